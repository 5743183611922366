// Spot values of the double functions, to the last bit.
#include <math.h>
#include <stdio.h>
#define S(x) printf("%-22s %a\n", #x, (double)(x))
static volatile double h = 0.5, t = 2.75, b = 1e10, n = -3.25, z = 0.0;
int main(void)
{
	S(sin(h)); S(cos(t)); S(tan(h)); S(sin(b)); S(cos(1e22 + z)); S(asin(h)); S(acos(h)); S(atan(t)); S(atan2(n, t));
	S(sinh(t)); S(cosh(t)); S(tanh(h)); S(asinh(t)); S(acosh(t)); S(atanh(h));
	S(exp(t)); S(exp(-700 + z)); S(exp2(h)); S(expm1(h)); S(log(t)); S(log2(t)); S(log10(t)); S(log1p(h));
	S(pow(t, n)); S(pow(n, 3 + z)); S(pow(z, z)); S(pow(n, h)); S(sqrt(t)); S(sqrt(n)); S(cbrt(t)); S(hypot(t, n));
	S(floor(n)); S(ceil(n)); S(trunc(n)); S(round(n)); S(rint(t)); S(nearbyint(t + 0.75)); S(round(h)); S(rint(h));
	S(fmod(b, t)); S(remainder(b, t)); S(fmin(t, NAN)); S(fmax(NAN, n)); S(fdim(t, n)); S(fma(t, n, h));
	S(ldexp(t, 20)); S(scalbn(t, -1070)); S(logb(b)); S(nextafter(1 + z, 2)); S(copysign(t, n)); S(fabs(n));
	S(erf(h)); S(erfc(t)); S(tgamma(t + 2)); S(lgamma(b)); S(j0(t)); S(j1(t)); S(jn(3, t)); S(y0(t)); S(y1(t)); S(yn(2, t));
	S(1 / z); S(-1 / z); S(z / z); S(exp(b)); S(log(z)); S(log(n));
	int e, q;
	double i;
	S(frexp(b, &e));
	printf("%d\n", e);
	S(modf(n, &i));
	S(i);
	S(remquo(b, t, &q));
	printf("%d %d %ld %lld %ld\n", q & 7, ilogb(b), lround(n), llrint(t), lrint(h));
	printf("%d %d %d %d %d\n", isnan(z / z) != 0, isinf(1 / z) != 0, isfinite(t) != 0, signbit(-z) != 0, fpclassify(4e-320 + z) == FP_SUBNORMAL);
	printf("%d %d %d\n", isgreater(t, n), isless(t, NAN), isunordered(t, NAN));
	return 0;
}
