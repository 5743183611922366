/* Compares the builtins (prefix h) with those of the native libgcc. */
#include <complex.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef __int128 i128;
typedef unsigned __int128 u128;
typedef uint64_t u64;

static int failures;

#define FAIL(...) do { if (failures++ < 20) { printf(__VA_ARGS__); putchar('\n'); } } while (0)

static u64 state = 88172645463325252;

static u64 rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Numbers of all widths, and the neighbours of powers of two. */
static u128 wide(void)
{
	u128 x = (u128)rnd() << 64 | rnd();
	int shift = rnd() % 128;

	switch (rnd() % 4) {
	case 0: return x >> shift;
	case 1: return ((u128)1 << shift) + (i128)(rnd() % 5) - 2;
	case 2: return -(x >> shift);
	}
	return x & ((u128)rnd() << 64 | rnd()) << shift;
}

static double real(void)
{
	static const double special[] = { 0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 0x1p-1074, 0x1p-14, 0x1p-24, 0x1p-25, 65504, 65519.99, 65520, 0x1p64, 0x1p127, -0x1p127, 0x1p128 };
	union { u64 u; double d; } v;

	switch (rnd() % 4) {
	case 0: return special[rnd() % (sizeof special / sizeof *special)];
	case 1: v.u = rnd(); return v.d;
	}
	return ldexp((double)(int64_t)rnd(), (int)(rnd() % 160) - 100);
}

extern u128 h__udivti3(u128, u128), h__umodti3(u128, u128), h__udivmodti4(u128, u128, u128 *);
extern i128 h__divti3(i128, i128), h__modti3(i128, i128);
extern int h__popcountdi2(u64), h__popcountti2(u128), h__parityti2(u128), h__clzti2(u128), h__ctzti2(u128), h__ffsti2(u128), h__clrsbti2(i128), h__clrsbdi2(long long);
extern float h__floatuntisf(u128), h__floattisf(i128);
extern double h__floatuntidf(u128), h__floattidf(i128);
extern long double h__floatuntixf(u128), h__floattixf(i128);
extern u128 h__fixunssfti(float), h__fixunsdfti(double), h__fixunsxfti(long double);
extern i128 h__fixsfti(float), h__fixdfti(double), h__fixxfti(long double);
extern double complex h__muldc3(double, double, double, double), h__divdc3(double, double, double, double);
extern float complex h__mulsc3(float, float, float, float);
extern long double complex h__mulxc3(long double, long double, long double, long double);
extern float h__extendhfsf2(_Float16);
extern _Float16 h__truncsfhf2(float), h__truncdfhf2(double);
extern double h__powidf2(double, int);

extern u128 __udivti3(u128, u128), __umodti3(u128, u128);
extern i128 __divti3(i128, i128), __modti3(i128, i128);
extern float __floatuntisf(u128), __floattisf(i128);
extern double __floatuntidf(u128), __floattidf(i128);
extern long double __floatuntixf(u128), __floattixf(i128);
extern u128 __fixunssfti(float), __fixunsdfti(double), __fixunsxfti(long double);
extern i128 __fixsfti(float), __fixdfti(double), __fixxfti(long double);
extern double complex __muldc3(double, double, double, double), __divdc3(double, double, double, double);
extern float complex __mulsc3(float, float, float, float);
extern long double complex __mulxc3(long double, long double, long double, long double);
extern float __extendhfsf2(_Float16);
extern _Float16 __truncsfhf2(float), __truncdfhf2(double);
extern double __powidf2(double, int);

static int same(double a, double b)
{
	return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static int near(double a, double b)
{
	return same(a, b) || fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b));
}

static unsigned bits(_Float16 x)
{
	unsigned short u;

	memcpy(&u, &x, 2);
	return u;
}

#define HEX(x) (unsigned long long)((u128)(x) >> 64), (unsigned long long)(x)

int main(void)
{
	for (int i = 0; i < 400000; i++) {
		u128 a = wide(), b = wide(), r;
		if (!b) b = 1;
		if (h__udivti3(a, b) != __udivti3(a, b)) FAIL("udiv %llx%016llx %llx%016llx", HEX(a), HEX(b));
		if (h__umodti3(a, b) != __umodti3(a, b)) FAIL("umod %llx%016llx %llx%016llx", HEX(a), HEX(b));
		if (h__udivmodti4(a, b, &r) != a / b || r != a % b) FAIL("udivmod %llx%016llx %llx%016llx", HEX(a), HEX(b));
		if (!(a == (u128)1 << 127 && b == -(u128)1)) {
			if (h__divti3(a, b) != __divti3(a, b)) FAIL("div %llx%016llx %llx%016llx", HEX(a), HEX(b));
			if (h__modti3(a, b) != __modti3(a, b)) FAIL("mod %llx%016llx %llx%016llx", HEX(a), HEX(b));
		}
		int ones = __builtin_popcountll(a) + __builtin_popcountll(a >> 64);
		if (h__popcountti2(a) != ones || h__parityti2(a) != (ones & 1) || h__popcountdi2(a) != __builtin_popcountll(a)) FAIL("popcount %llx%016llx", HEX(a));
		if (a) {
			int lead = a >> 64 ? __builtin_clzll(a >> 64) : 64 + __builtin_clzll(a);
			int trail = (u64)a ? __builtin_ctzll(a) : 64 + __builtin_ctzll(a >> 64);
			if (h__clzti2(a) != lead || h__ctzti2(a) != trail || h__ffsti2(a) != trail + 1) FAIL("clz/ctz %llx%016llx", HEX(a));
		}
		if (h__clrsbdi2(a) != __builtin_clrsbll(a)) FAIL("clrsb %llx", (unsigned long long)a);
		if (!same(h__floatuntisf(a), __floatuntisf(a))) FAIL("floatuntisf %llx%016llx: %a %a", HEX(a), h__floatuntisf(a), __floatuntisf(a));
		if (!same(h__floattisf(a), __floattisf(a))) FAIL("floattisf %llx%016llx", HEX(a));
		if (!same(h__floatuntidf(a), __floatuntidf(a))) FAIL("floatuntidf %llx%016llx", HEX(a));
		if (!same(h__floattidf(a), __floattidf(a))) FAIL("floattidf %llx%016llx", HEX(a));
		if (h__floatuntixf(a) != __floatuntixf(a)) FAIL("floatuntixf %llx%016llx", HEX(a));
		if (h__floattixf(a) != __floattixf(a)) FAIL("floattixf %llx%016llx", HEX(a));

		double x = real(), y = real(), z = real(), w = real();
		/* Out of range the results are not defined. */
		if (x > -1 && x < 0x1p128 && h__fixunsdfti(x) != __fixunsdfti(x)) FAIL("fixunsdfti %a", x);
		if (fabs(x) < 0x1p127 && h__fixdfti(x) != __fixdfti(x)) FAIL("fixdfti %a", x);
		if (fabs(x) < 0x1p127 && h__fixxfti(x + 0.1L) != __fixxfti(x + 0.1L)) FAIL("fixxfti %a", x);
		if (fabs((float)x) < 0x1p127 && h__fixsfti(x) != __fixsfti(x)) FAIL("fixsfti %a", x);
		double complex p = h__muldc3(x, y, z, w), q = __muldc3(x, y, z, w);
		if (!same(creal(p), creal(q)) || !same(cimag(p), cimag(q))) FAIL("muldc3 %a %a %a %a", x, y, z, w);
		float complex pf = h__mulsc3(x, y, z, w), qf = __mulsc3(x, y, z, w);
		if (!same(crealf(pf), crealf(qf)) || !same(cimagf(pf), cimagf(qf))) FAIL("mulsc3 %a %a %a %a", x, y, z, w);
		/* libgcc divides with more care at the ends of the range. */
		double dx = (int64_t)rnd() / 1e9, dy = (int64_t)rnd() / 1e9, dz = (int64_t)rnd() / 1e9, dw = (int64_t)rnd() / 1e9;
		p = h__divdc3(dx, dy, dz, dw);
		q = __divdc3(dx, dy, dz, dw);
		if (!near(creal(p), creal(q)) || !near(cimag(p), cimag(q))) FAIL("divdc3 %a %a %a %a", dx, dy, dz, dw);

		_Float16 hx;
		unsigned short u = rnd();
		memcpy(&hx, &u, 2);
		if (!same(h__extendhfsf2(hx), __extendhfsf2(hx))) FAIL("extendhfsf2 %x", u);
		if (!isnan(x) && bits(h__truncdfhf2(x)) != bits(__truncdfhf2(x))) FAIL("truncdfhf2 %a: %x %x", x, bits(h__truncdfhf2(x)), bits(__truncdfhf2(x)));
		if (!isnan(x) && bits(h__truncsfhf2(x)) != bits(__truncsfhf2(x))) FAIL("truncsfhf2 %a", x);
	}
	for (int n = -40; n <= 40; n++)
		if (!near(h__powidf2(1.3, n), __powidf2(1.3, n))) FAIL("powidf2 %d", n);
	static const double inf = INFINITY;
	double complex p = h__divdc3(1, 1, 0, 0), q = h__divdc3(inf, 0, 1, 1), s = h__divdc3(1, 1, inf, inf);
	if (!isinf(creal(p)) || !isinf(creal(q)) || creal(s) != 0) FAIL("divdc3 with infinities");
	if (failures) printf("%d failures\n", failures);
	else puts("ok");
	return failures != 0;
}
