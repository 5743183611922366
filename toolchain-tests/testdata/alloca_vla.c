// alloca and variable-length arrays: sizes, alignment, lifetime in loops, as arguments, two-dimensional.
// opt: -O0 -O1 -O2 -O3 -Os
#include <alloca.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
__attribute__((noinline)) static unsigned use(char *p, int n)
{
	unsigned s = 0;
	memset(p, n, n);
	for (int i = 0; i < n; i++)
		s = s * 31 + (unsigned char)p[i];
	return s;
}
__attribute__((noinline)) static unsigned with_alloca(int n)
{
	unsigned s = 0;
	char *list[20];
	for (int i = 0; i < 20; i++) {
		list[i] = alloca(n + i);
		s += ((uintptr_t)list[i] & 15) != 0;
		s += use(list[i], n + i);
	}
	for (int i = 0; i < 20; i++)
		s += (unsigned char)list[i][n / 2];
	return s;
}
__attribute__((noinline)) static unsigned with_vla(int n, int m)
{
	unsigned s = 0;
	for (int i = 1; i < n; i++) {
		int a[i][m];
		for (int j = 0; j < i; j++)
			for (int k = 0; k < m; k++)
				a[j][k] = j * k + i;
		s = s * 7 + a[i - 1][m - 1] + a[i / 2][m / 3] + sizeof a;
	}
	return s;
}
__attribute__((noinline)) static int matrix(int r, int c, int m[r][c])
{
	int t = 0;
	for (int i = 0; i < r; i++)
		for (int j = 0; j < c; j++)
			t += m[i][j] * (i - j);
	return t;
}
__attribute__((noinline)) static long recurse(int n)
{
	char v[n + 1];
	memset(v, n, n + 1);
	long r = n ? recurse(n - 1) : 0;
	return r + v[n] + v[0];
}
int main(void)
{
	for (int n = 1; n < 3000; n = n * 3 + 1)
		printf("%u %u\n", with_alloca(n), with_vla(n % 40 + 2, n % 13 + 1));
	int v[3][5];
	for (int i = 0; i < 15; i++)
		((int *)v)[i] = i * i;
	printf("%d %ld\n", matrix(3, 5, v), recurse(120));
	int once = 100000;
	char big[once];
	big[0] = 1;
	big[once - 1] = 2;
	printf("%d\n", big[0] + big[once - 1]);
	return 0;
}
