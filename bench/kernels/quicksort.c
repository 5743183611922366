// Quicksort of 100,000 integers, written out, and qsort with a comparison function.
// rounds: 8
#include "kernel.h"
enum { N = 100000 };
static int v[N], w[N / 5];
static void sort(int *a, int *b)
{
	while (b - a > 16) {
		int *m = a + (b - a) / 2, p = *m, *i = a, *j = b - 1;
		if (*a > p) p = *a < b[-1] ? *a : p > b[-1] ? p : b[-1];
		else if (p > b[-1]) p = *a > b[-1] ? *a : b[-1];
		while (i <= j) {
			while (*i < p) i++;
			while (*j > p) j--;
			if (i <= j) {
				int t = *i;
				*i++ = *j;
				*j-- = t;
			}
		}
		if (j + 1 - a < b - i) {
			sort(a, j + 1);
			a = i;
		} else {
			sort(i, b);
			b = j + 1;
		}
	}
	for (int *i = a + 1; i < b; i++) {
		int x = *i, *j = i;
		for (; j > a && j[-1] > x; j--)
			*j = j[-1];
		*j = x;
	}
}
static int cmp(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	return (x > y) - (x < y);
}
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	while (n--) {
		for (int i = 0; i < N; i++)
			v[i] = rnd();
		memcpy(w, v, sizeof w);
		sort(v, v + N);
		qsort(w, N / 5, sizeof *w, cmp);
		for (int i = 1; i < N; i++)
			s += v[i - 1] <= v[i];
		s = s * 31 + v[N / 3] + w[N / 7];
	}
	return s;
}
