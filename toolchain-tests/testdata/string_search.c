// Searching and comparing functions against plain loops, over random strings.
#define _GNU_SOURCE
#include "check.h"
static int sgn(int x) { return (x > 0) - (x < 0); }
static char *slow_strstr(char *h, char *n)
{
	for (; ; h++) {
		size_t i = 0;
		while (n[i] && h[i] == n[i])
			i++;
		if (!n[i])
			return h;
		if (!*h)
			return 0;
	}
}
int main(void)
{
	char buf[600], needle[64];
	long hits = 0;
	for (int round = 0; round < 20000; round++) {
		int al = 1 + rnd() % 4, n = rnd() % (round % 10 ? 40 : 500), m = rnd() % (round % 7 ? 5 : 40), off = rnd() % 16;
		char *s = buf + off;
		for (int i = 0; i < n; i++)
			s[i] = 'a' + rnd() % al;
		s[n] = 0;
		for (int i = 0; i < m; i++)
			needle[i] = 'a' + rnd() % al;
		needle[m] = 0;
		char *w = slow_strstr(s, needle);
		CHECK(strstr(s, needle) == w);
		CHECK((char *)memmem(s, n, needle, m) == w);
		hits += w != 0;
		char *first = 0, *last = 0;
		for (int i = 0; i < n; i++)
			if (s[i] == 'b') {
				if (!first)
					first = s + i;
				last = s + i;
			}
		CHECK(strchr(s, 'b') == first && strrchr(s, 'b') == last && memchr(s, 'b', n) == first && memrchr(s, 'b', n) == last);
		int k = 0;
		while (s[k] && s[k] == needle[k])
			k++;
		CHECK(sgn(strcmp(s, needle)) == sgn((unsigned char)s[k] - (unsigned char)needle[k]));
	}
	char t[] = ",a,,b;c d";
	for (char *p = strtok(t, ",; "); p; p = strtok(0, ",; "))
		printf("<%s>", p);
	char t2[] = ",a,,b;c d", *q = t2, *p;
	while ((p = strsep(&q, ",; ")))
		printf("(%s)", p);
	char t3[] = "x=1&y=2", *s1, *s2;
	for (p = strtok_r(t3, "&", &s1); p; p = strtok_r(0, "&", &s1)) {
		char *k = strtok_r(p, "=", &s2);
		printf(" %s->%s", k, strtok_r(0, "=", &s2));
	}
	printf("\n%d %d %d\n", sgn(strcmp("\x80", "\x7f")), sgn(memcmp("\xff", "\x01", 1)), sgn(strncmp("abcX", "abcY", 3)));
	printf("%d %d\n", sgn(strverscmp("file9", "file10")), sgn(strcoll("a", "b")));
	printf("%s %s\n", strndup("truncated", 5), strsignal(11));
	char x[10];
	size_t l = strlcat(strcpy(x, "ab"), "cdefghijkl", 10);
	printf("%zu %s %zu\n", l, x, strxfrm(0, "abc", 0));
	printf("%ld hits, %d failures\n", hits, failures);
	return failures != 0;
}
