// Control flow: gotos into and out of loops, short circuits, ternaries, Duff's device, state machines, mutual recursion, many arguments.
// opt: -O0 -O1 -O2 -O3 -Os
#include "check.h"
#include <stdint.h>
static uint64_t h = 5;
static void add(uint64_t v) { h = h * 6364136223846793005u + v; }
static int calls;
static int t(int v) { calls = calls * 3 + 1; return v; }
__attribute__((noinline)) static void duff(char *d, const char *s, int n)
{
	int k = (n + 7) / 8;
	switch (n % 8) {
	case 0: do { *d++ = *s++;
	case 7: *d++ = *s++;
	case 6: *d++ = *s++;
	case 5: *d++ = *s++;
	case 4: *d++ = *s++;
	case 3: *d++ = *s++;
	case 2: *d++ = *s++;
	case 1: *d++ = *s++;
		} while (--k > 0);
	}
}
__attribute__((noinline)) static int machine(const char *s)
{
	int words = 0, lines = 0;
	enum { OUT, IN, QUOTE } st = OUT;
	for (; *s; s++)
		switch (st) {
		case OUT:
			if (*s == '"') st = QUOTE;
			else if (*s == '\n') lines++;
			else if (*s != ' ') { st = IN; words++; }
			break;
		case IN:
			if (*s == ' ' || *s == '\n') { st = OUT; lines += *s == '\n'; }
			break;
		case QUOTE:
			if (*s == '"') { st = OUT; words += 100; }
		}
	return words * 1000 + lines;
}
__attribute__((noinline)) static int spaghetti(int n)
{
	int r = 0, i = 0;
	if (n & 1)
		goto middle;
top:
	r += 3;
	while (i < n) {
		r ^= i;
middle:
		i += 2;
		if (r > 500)
			goto done;
		if (i % 5 == 0)
			goto top;
	}
done:
	return r * 100 + i;
}
__attribute__((noinline)) static long many(char a, short b, int c, long d, unsigned char e, unsigned short f, unsigned g, long h_, char i, short j, int k, long l, float m, double n, float o, double p, float q, double r, float s, double t_, float u, double v)
{
	return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g * 7 + h_ * 8 + i * 9 + j * 10 + k * 11 + l * 12 + (long)(m + n * 2 + o * 3 + p * 4 + q * 5 + r * 6 + s * 7 + t_ * 8 + u * 9 + v * 10);
}
static int f1(int), f2(int), f3(int);
static int (*const fs[3])(int) = {f1, f2, f3};
__attribute__((noinline)) static int f1(int n) { return n <= 0 ? 1 : fs[n % 3](n - 1) + 1; }
__attribute__((noinline)) static int f2(int n) { return n <= 0 ? 2 : fs[(n + 1) % 3](n - 2) * 2 % 10007; }
__attribute__((noinline)) static int f3(int n) { return n <= 0 ? 3 : fs[n * n % 3](n - 1) ^ n; }
__attribute__((noinline)) static const char *classify(int a, int b)
{
	return a > b ? a > 2 * b ? "much more" : "more" : a < b ? !a ? "nothing" : "less" : "equal";
}
__attribute__((noinline, cold)) static int cold(int x) { return x * 3; }
__attribute__((noinline)) static int likely(int x) { if (__builtin_expect(x > 100, 0)) return cold(x); return x + 1; }
__attribute__((noreturn, noinline)) static void leave(int c) { printf("%llx %d\n", (unsigned long long)h, calls & 0xff); exit(c); }
static inline __attribute__((always_inline)) int inl(int x) { return x * x - 1; }
int main(void)
{
	char src[100], dst[100];
	for (int i = 0; i < 100; i++)
		src[i] = i * 3;
	for (int n = 1; n < 60; n++) {
		memset(dst, 0, sizeof dst);
		duff(dst, src, n);
		add(memcmp(dst, src, n) == 0 && dst[n] == 0);
	}
	add(machine("two words\n\"a quoted one\" x\ny z\n"));
	for (int n = 0; n < 40; n++)
		add(spaghetti(n));
	add(many(-1, -2, -3, -4, 250, 65000, 4000000000u, -8, -9, -10, -11, -12, 1.5f, 2.5, 3.5f, 4.5, 5.5f, 6.5, 7.5f, 8.5, 9.5f, 10.5));
	for (int n = 0; n < 100; n++)
		add(fs[n % 3](n));
	for (int a = 0; a < 6; a++)
		for (int b = 0; b < 6; b++) {
			add(classify(a, b)[0]);
			add((t(a) && t(b)) || (t(a > 3) && !t(b)));
			add(likely(a * b * 20));
		}
	int x = 5;
	x += (x > 3 && (x = 3, x + 1)) ? x-- : ++x;
	add(x > 0);
	add(({ int y = inl(4); y > 3 ? y : -y; }));
	do {
		if (h & 1)
			continue;
		add(1);
	} while (0);
	leave((int)(h & 63));
}
