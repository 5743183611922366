// Over-aligned locals and arguments: the stack is realigned, also with variable-length arrays and varargs.
// opt: -O0 -O1 -O2 -O3 -Os
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static int bad;
typedef int v8 __attribute__((vector_size(32)));
__attribute__((noinline)) static void check(void *p, int a) { bad += ((uintptr_t)p & (a - 1)) != 0; memset(p, 1, a); }
__attribute__((noinline)) static int a32(int n, int a, int b, int c, int d, int e, int f, int g, int h)
{
	char x[32] __attribute__((aligned(32)));
	check(x, 32);
	return x[n % 32] + a + b + c + d + e + f + g * h;
}
__attribute__((noinline)) static int a64vla(int n, ...)
{
	va_list ap;
	va_start(ap, n);
	char x[64] __attribute__((aligned(64)));
	char v[n * 10];
	char y[128] __attribute__((aligned(128)));
	check(x, 64);
	check(y, 128);
	memset(v, 2, n * 10);
	int s = 0;
	for (int i = 0; i < n; i++)
		s = s * 3 + va_arg(ap, int) + v[i] + x[i] + y[i];
	va_end(ap);
	return s;
}
struct __attribute__((aligned(32))) big { long v[6]; };
__attribute__((noinline)) static long by_value(int a, struct big s, int b, struct big t, double d)
{
	bad += ((uintptr_t)&s & 31) != 0;
	bad += ((uintptr_t)&t & 31) != 0;
	return a + s.v[5] * 2 + b * 3 + t.v[0] + (long)d;
}
__attribute__((noinline)) static int page(int n)
{
	char x[4096] __attribute__((aligned(4096)));
	bad += ((uintptr_t)x & 4095) != 0;
	x[0] = n;
	x[4095] = 1;
	return n ? page(n - 1) + x[0] : x[4095];
}
int main(void)
{
	printf("%d\n", a32(3, 1, 2, 3, 4, 5, 6, 7, 8));
	for (int i = 1; i < 8; i++)
		printf("%d ", a64vla(i, 1, 2, 3, 4, 5, 6, 7, 8));
	struct big b = {{1, 2, 3, 4, 5, 6}};
	printf("\n%ld %d\n", by_value(1, b, 2, b, 7.5), page(10));
	printf("%d misaligned\n", bad);
	return bad;
}
