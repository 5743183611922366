// 128-bit integers: all operators, passing and returning.
// opt: -O0 -O2 -O3
#include <stdio.h>
typedef __int128 s128;
typedef unsigned __int128 u128;
static void show(u128 v)
{
	char b[40];
	int n = 0;
	do
		b[n++] = '0' + (int)(v % 10);
	while (v /= 10);
	while (n)
		putchar(b[--n]);
	putchar('\n');
}
__attribute__((noinline)) static s128 mix(int a, s128 b, char c, u128 d, s128 e, s128 f) { return a + b * c - (s128)d + (e ^ f); }
int main(void)
{
	volatile u128 a = ((u128)0x0123456789abcdef << 64) | 0xfedcba9876543210, b = 0xdeadbeefcafef00d;
	volatile s128 m = -(s128)a;
	show(a); show(a + b); show(a - b); show(a * b); show(a / b); show(a % b); show(a / 7); show(a % 1000000007);
	show(a << 3); show(a >> 65); show(a & b); show(~a); show(a ^ b); show(-(u128)m);
	show((u128)(m / 12345)); show((u128)(-(m % 12345))); show((u128)(m >> 100));
	printf("%d %d %d\n", a > b, m < 0, m == -(s128)a);
	show((u128)mix(-5, 77, 'x', b, a, m));
	printf("%.15g %.6g %Lg\n", (double)a, (double)(float)a, (long double)m);
	double d = 1e30;
	show((u128)d); show((u128)(s128)1e20f);
	show((u128)__builtin_popcountll(b) + __builtin_clzll(b) + __builtin_ctzll(a));
	u128 x;
	printf("%d", __builtin_mul_overflow((u128)a, (u128)a, &x));
	printf("%d\n", __builtin_add_overflow((u128)a, (u128)b, &x));
	return 0;
}
