// Spot values of the long double functions (x87), to the last bit.
#include <math.h>
#include <stdio.h>
#include <float.h>
#define S(x) printf("%-22s %La\n", #x, (long double)(x))
static volatile long double h = 0.5L, t = 2.75L, b = 1e10L, n = -3.25L, z = 0.0L;
int main(void)
{
	S(sinl(h)); S(cosl(t)); S(tanl(h)); S(asinl(h)); S(acosl(h)); S(atanl(t)); S(atan2l(n, t));
	S(sinhl(t)); S(coshl(t)); S(tanhl(h)); S(asinhl(t)); S(acoshl(t)); S(atanhl(h));
	S(expl(t)); S(expl(-11000 + z)); S(exp2l(h)); S(expm1l(h)); S(logl(t)); S(log2l(t)); S(log10l(t)); S(log1pl(h));
	S(powl(t, n)); S(powl(1.0000001L, 1e9L + z)); S(sqrtl(t)); S(cbrtl(t)); S(hypotl(t, n));
	S(floorl(n)); S(ceill(n)); S(truncl(n)); S(roundl(n)); S(rintl(t)); S(fmodl(b, t)); S(remainderl(b, t));
	S(fminl(t, NAN)); S(fdiml(t, n)); S(fmal(t, n, h)); S(ldexpl(t, 16000)); S(scalbnl(t, -16400)); S(nextafterl(1 + z, 2));
	S(erfl(h)); S(tgammal(t + 2)); S(lgammal(b)); S(copysignl(t, n)); S(fabsl(n)); S(1 / z);
	S(LDBL_EPSILON); S(h + LDBL_EPSILON); S(t * n / 3 - h);
	printf("%ld %lld %d\n", lroundl(n), llrintl(t), ilogbl(b));
	long long i = 0x7fffffffffffffff;
	long double x = i;
	printf("%d %.0Lf %lld\n", (long long)x == i, x, (long long)(x / 3));
	unsigned long long u = 0xffffffffffffffff;
	x = u;
	printf("%.0Lf %llu\n", x, (unsigned long long)(x - 1));
	double d = 0.1;
	float f = 0.1f;
	printf("%La %La %a %a\n", (long double)d, (long double)f, (double)(x / 7), (float)(x / 7));
	return 0;
}
