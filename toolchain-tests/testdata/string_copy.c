// memcpy, memmove, memset and their kind for all small sizes and alignments, and large ones, leave the neighbours alone.
// opt: -O2 -O0
#include "check.h"
#include <wchar.h>
enum { M = 300 };
static unsigned char a[M + 200], b[M + 200], want[M + 200];
static void fill(unsigned char *p, int seed)
{
	for (int i = 0; i < M + 200; i++)
		p[i] = i * 31 + seed;
}
int main(void)
{
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;
	void *(*volatile move)(void *, const void *, size_t) = memmove;
	void *(*volatile set)(void *, int, size_t) = memset;
	unsigned sum = 0;
	for (int n = 0; n <= M; n++) {
		int steps = n < 80 ? 1 : 5;
		for (int da = 0; da < 20; da += steps)
			for (int sa = 0; sa < 20; sa += n < 40 ? 3 : 7) {
				fill(a, 1);
				fill(b, 2);
				fill(want, 1);
				for (int i = 0; i < n; i++)
					want[da + i] = b[sa + i];
				CHECK(copy(a + da, b + sa, n) == a + da);
				CHECK(memcmp(a, want, sizeof a) == 0);
			}
		for (int da = 0; da < 20; da += steps) {
			fill(a, 3);
			fill(want, 3);
			for (int i = 0; i < n; i++)
				want[da + i] = 0xa5;
			CHECK(set(a + da, 0xffffffa5, n) == a + da);
			CHECK(memcmp(a, want, sizeof a) == 0);
		}
		for (int d = -40; d <= 40; d += n < 40 ? 1 : 9) {
			fill(a, 5);
			fill(b, 5);
			fill(want, 5);
			for (int i = 0; i < n; i++)
				want[60 + d + i] = b[60 + i];
			move(a + 60 + d, a + 60, n);
			CHECK(memcmp(a, want, sizeof a) == 0);
		}
		sum += n;
	}
	for (size_t n = 4000; n < 5000000; n = n * 3 + 17) {
		char *p = malloc(n + 64), *q = malloc(n + 64);
		for (size_t i = 0; i < n + 64; i++)
			p[i] = i * 13 + (i >> 8);
		memset(q, 0x77, n + 64);
		copy(q + 3, p + 1, n);
		CHECK(q[2] == 0x77 && q[3 + n] == 0x77 && memcmp(q + 3, p + 1, n) == 0);
		move(p + 5, p, n);
		CHECK(memcmp(p + 7, q + 3 + 1, n - 2) == 0);
		move(q, q + 3, n);
		CHECK(memcmp(q, p + 6, n - 1) == 0);
		set(q + 1, 0, n);
		size_t z = 0;
		for (size_t i = 0; i < n; i++)
			z += q[1 + i] == 0;
		CHECK(z == n);
		free(p);
		free(q);
	}
	wchar_t w[40], x[40];
	for (int i = 0; i < 40; i++)
		w[i] = i * 1000;
	wmemcpy(x, w, 40);
	wmemmove(x + 3, x, 30);
	CHECK(x[32] == 29000 && x[33] == 33000);
	wmemset(x, L'z', 5);
	CHECK(x[4] == 'z' && x[5] == 2000);
	printf("%u %d failures\n", sum, failures);
	return failures != 0;
}
