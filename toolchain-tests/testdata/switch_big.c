// Switches that become jump tables, bit tests, comparison trees and tables of data.
// opt: -O0 -O1 -O2 -O3 -Os
#include <stdio.h>
__attribute__((noinline)) static int dense(int x)
{
	switch (x) {
	case 0: return printf("a\n");
	case 1: return x * 3;
	case 2: return -x;
	case 3: return x << 4;
	case 4: return dense(1) + 1;
	case 5: return x ^ 0x55;
	case 6: return 1000 / x;
	case 7: return x % 4;
	case 8: return dense(3) - dense(2);
	case 9: return 99;
	case 10: x++;
	/* falls through */
	case 11: return x;
	case 12: case 13: case 14: return 12;
	case 20: return 20;
	default: return -1;
	}
}
__attribute__((noinline)) static const char *table(unsigned char c)
{
	switch (c) {
	case 'a': return "alpha";
	case 'b': return "beta";
	case 'c': return "gamma";
	case 'd': return "delta";
	case 'e': return "epsilon";
	case 'f': return "zeta";
	}
	return "none";
}
__attribute__((noinline)) static int sparse(long x)
{
	switch (x) {
	case -1000000000000: return 1;
	case -5: return 2;
	case 0: return 3;
	case 17: return 4;
	case 1000: return 5;
	case 100000: return 6;
	case 0x7fffffffffff: return 7;
	}
	return 0;
}
__attribute__((noinline)) static int bits(char c)
{
	switch (c) {
	case ' ': case '\t': case '\n': case '\r': return 1;
	case '0' ... '9': return 2;
	case 'a' ... 'z': case 'A' ... 'Z': case '_': return 3;
	}
	return 0;
}
#define C(n) case n: s = s * 31 + n * n; break;
#define C10(n) C(n##0) C(n##1) C(n##2) C(n##3) C(n##4) C(n##5) C(n##6) C(n##7) C(n##8) C(n##9)
__attribute__((noinline)) static unsigned huge(const unsigned char *p, int n)
{
	unsigned s = 0;
	for (int i = 0; i < n; i++)
		switch (p[i]) {
		C10(1) C10(2) C10(3) C10(4) C10(5) C10(6) C10(7) C10(8) C10(9) C10(10) C10(11) C10(12) C10(13) C10(14) C10(15) C10(16)
		case 200: s ^= s >> 3; break;
		case 201: i++; break;
		default: s += p[i];
		}
	return s;
}
int main(void)
{
	for (int i = -1; i < 22; i++)
		printf("%d ", dense(i));
	printf("\n%s %s %s\n", table('a'), table('f'), table('z'));
	long v[] = {-1000000000000, -5, 0, 17, 1000, 100000, 0x7fffffffffff, 3};
	for (int i = 0; i < 8; i++)
		printf("%d", sparse(v[i]));
	int n = 0;
	for (int c = -128; c < 128; c++)
		n = n * 5 + bits(c);
	printf(" %d\n", n);
	unsigned char buf[5000];
	for (int i = 0; i < 5000; i++)
		buf[i] = i * i + i / 7;
	printf("%u\n", huge(buf, 5000));
	return 0;
}
