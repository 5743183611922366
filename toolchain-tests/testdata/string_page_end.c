// No string function reads or writes behind the end of a mapping.
// opt: -O2 -O0
#define _GNU_SOURCE
#include "check.h"
#include <wchar.h>
int main(void)
{
	char *e = page_end(2), *f = page_end(2);
	char *lo = page_end(1) - 4096;
	unsigned long sum = 0;
	for (int n = 1; n < 200; n++) {
		char *s = e - n, *t = f - n;
		memset(s, 'a' + n % 26, n);
		memcpy(t, s, n);
		CHECK(memcmp(s, t, n) == 0);
		CHECK(memchr(s, 'Z', n) == 0);
		CHECK(memrchr(s, 'Z', n) == 0);
		CHECK(strnlen(s, n) == (size_t)n);
		CHECK(memchr(s, s[0], n) == s);
		CHECK(strncmp(s, t, n) == 0);
		CHECK(strncasecmp(s, t, n) == 0);
		CHECK(memmem(s, n, "0", 1) == 0);
		s[n - 1] = t[n - 1] = 0;
		CHECK(strlen(s) == (size_t)n - 1);
		CHECK(strcmp(s, t) == 0);
		CHECK(strchr(s, 'Z') == 0 && strrchr(s, 'Z') == 0);
		CHECK(strchr(s, 0) == s + n - 1);
		CHECK(strchrnul(s, '!') == s + n - 1);
		CHECK(strspn(s, "abcdefghijklmnopqrstuvwxyz") == (size_t)n - 1);
		CHECK(strcspn(s, "XYZ") == (size_t)n - 1);
		CHECK(strpbrk(s, "XYZ") == 0);
		CHECK(strstr(s, "XYZ") == 0);
		CHECK(strcasecmp(s, t) == 0);
		memset(t, 'x', n);
		CHECK(strcpy(t, s) == t && strcmp(s, t) == 0);
		memset(t, 'x', n);
		CHECK(stpcpy(t, s) == t + n - 1);
		memset(t, 'x', n);
		CHECK(strncpy(t, s, n) == t && memcmp(s, t, n) == 0);
		t[0] = 0;
		CHECK(strcat(t, s) == t && strcmp(s, t) == 0);
		t[0] = 0;
		CHECK(strncat(t, s, n - 1) == t && strcmp(s, t) == 0);
		CHECK(strlcpy(t, s, n) == (size_t)n - 1);
		memmove(s, s, n);
		memset(t, 0, n);
		bzero(s, n);
		CHECK(memcmp(s, t, n) == 0);
		memset(lo, 'q', n);
		CHECK(memrchr(lo, 'Z', n) == 0);
		memmove(lo + 1, lo, n);
		memmove(lo, lo + 1, n);
		memcpy(lo, t, n);
		sum += n;
	}
	for (int n = 1; n < 60; n++) {
		wchar_t *s = (wchar_t *)e - n, *t = (wchar_t *)f - n;
		wmemset(s, L'ж', n);
		wmemcpy(t, s, n);
		CHECK(wmemchr(s, L'!', n) == 0 && wmemcmp(s, t, n) == 0);
		s[n - 1] = 0;
		CHECK(wcslen(s) == (size_t)n - 1);
		CHECK(wcscpy(t, s) == t && wcscmp(s, t) == 0);
		CHECK(wcschr(s, L'!') == 0);
	}
	char *d = e - 6;
	memcpy(d, "abcde", 6);
	char *dup = strdup(d);
	CHECK(strcmp(dup, "abcde") == 0);
	memcpy(d, "12345", 6);
	CHECK(atoi(d) == 12345 && strtod(d, 0) == 12345.0);
	printf("%lu %d failures\n", sum, failures);
	return failures != 0;
}
