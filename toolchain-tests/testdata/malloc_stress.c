// Random allocation of all sizes never overlaps and keeps contents.
#include "check.h"
#include <stdint.h>
enum { N = 2000 };
static struct { unsigned char *p; size_t n; unsigned char tag; } s[N];
int main(void)
{
	size_t total = 0, live = 0;
	for (int i = 0; i < 200000; i++) {
		unsigned k = rnd() % N;
		if (s[k].p) {
			CHECK(s[k].p[0] == s[k].tag && s[k].p[s[k].n - 1] == s[k].tag && s[k].p[s[k].n / 2] == s[k].tag);
			live -= s[k].n;
			free(s[k].p);
			s[k].p = 0;
		} else {
			size_t n = 1 + rnd() % 128;
			if (rnd() % 20 == 0)
				n = 1 + rnd() % 5000;
			if (rnd() % 500 == 0)
				n = 1 + rnd() % 300000;
			s[k].p = malloc(n);
			CHECK(s[k].p && ((uintptr_t)s[k].p & 15) == 0);
			s[k].n = n;
			s[k].tag = i;
			memset(s[k].p, i, n);
			total += n;
			live += n;
		}
	}
	for (int i = 0; i < N; i++)
		free(s[i].p);
	printf("%zu bytes, %zu live at the end, %d failures\n", total, live, failures);
	return failures != 0;
}
