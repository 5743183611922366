// Floating conversions and comparisons among all types, with special values.
// opt: -O0 -O1 -O2 -O3 -Os
#include "check.h"
#include <float.h>
#include <math.h>
#include <stdint.h>
static uint64_t h = 14695981039346656037u;
static void add(uint64_t v) { h = (h ^ v) * 1099511628211u; }
static void addd(double d) { uint64_t v; if (d != d) d = 0.25; memcpy(&v, &d, 8); add(v); }
static void addf(float f) { uint32_t v; if (f != f) f = 0.25f; memcpy(&v, &f, 4); add(v); }
static void addl(long double l) { uint64_t v[2] = {0}; if (l != l) l = 0.25L; memcpy(v, &l, 10); add(v[0]); add(v[1]); }
__attribute__((noinline)) static void conv(double d)
{
	float f = d;
	long double l = d;
	addf(f);
	addl(l);
	addd(l * 3);
	addd(f);
	addl(f);
	if (fabs(d) < 9e18) {
		add((int64_t)d);
		add((int64_t)l);
	}
	if (fabs(d) < 2e9) {
		add((int32_t)d);
		add((int32_t)f);
		add((uint32_t)(int64_t)d);
	}
	if (d >= 0 && d < 1.8e19) {
		add((uint64_t)d);
		add((uint64_t)l);
	}
	if (fabs(d) < 30000) {
		add((int16_t)d);
		add((int8_t)(int)d);
	}
}
__attribute__((noinline)) static void pair(double a, double b)
{
	addd(a + b); addd(a - b); addd(a * b); addd(a / b);
	float x = a, y = b;
	addf(x + y); addf(x - y); addf(x * y); addf(x / y);
	long double p = a, q = b;
	addl(p + q); addl(p - q); addl(p * q); addl(p / q);
	add((a < b) | (a <= b) << 1 | (a == b) << 2 | (a != b) << 3 | (a > b) << 4 | (a >= b) << 5);
	add((x < y) | (x <= y) << 1 | (x == y) << 2 | (x != y) << 3 | (x > y) << 4 | (x >= y) << 5);
	add((p < q) | (p <= q) << 1 | (p == q) << 2 | (p != q) << 3 | (p > q) << 4 | (p >= q) << 5);
	addd(a < b ? a : b);
	addd(a > b ? a : b);
	addf(x < 0 ? -x : y);
	addd(copysign(a, b));
	addd(fabs(a) + -b);
	addd(sqrt(fabs(a)));
}
int main(void)
{
	volatile double v[] = {0.0, -0.0, 1, -1, 0.5, 1e-320, DBL_MIN, DBL_MAX, -DBL_MAX, INFINITY, -INFINITY, NAN, FLT_MAX, FLT_MIN, 1e-45, 16777217, 4294967295.5, 9007199254740993, 1e19, 255.9, -128.5, M_PI};
	int n = sizeof v / sizeof *v;
	for (int i = 0; i < n; i++) {
		conv(v[i]);
		for (int j = 0; j < n; j++)
			pair(v[i], v[j]);
	}
	for (int i = 0; i < 3000; i++) {
		double a = (int)rnd() * pow(2, (int)(rnd() % 80) - 60), b = (int)rnd() * pow(2, (int)(rnd() % 80) - 60);
		conv(a);
		pair(a, b);
		int64_t k = (uint64_t)rnd() << 32 | rnd();
		addd(k); addf(k); addl(k); addd((uint64_t)k); addf((uint64_t)k); addl((uint64_t)k);
		addd((int32_t)k); addd((uint32_t)k); addf((int32_t)k); addf((uint32_t)k); addd((int8_t)k); addl((int16_t)k);
	}
	printf("%llx\n", (unsigned long long)h);
	return 0;
}
