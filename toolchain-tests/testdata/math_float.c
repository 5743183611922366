// Spot values of the float functions, to the last bit.
#include <math.h>
#include <stdio.h>
#define S(x) printf("%-22s %a\n", #x, (float)(x))
static volatile float h = 0.5f, t = 2.75f, b = 1e10f, n = -3.25f, z = 0.0f;
int main(void)
{
	S(sinf(h)); S(cosf(t)); S(tanf(h)); S(sinf(b)); S(asinf(h)); S(acosf(h)); S(atanf(t)); S(atan2f(n, t));
	S(sinhf(t)); S(coshf(t)); S(tanhf(h)); S(asinhf(t)); S(acoshf(t)); S(atanhf(h));
	S(expf(t)); S(exp2f(h)); S(expm1f(h)); S(logf(t)); S(log2f(t)); S(log10f(t)); S(log1pf(h));
	S(powf(t, n)); S(sqrtf(t)); S(cbrtf(t)); S(hypotf(t, n));
	S(floorf(n)); S(ceilf(n)); S(truncf(n)); S(roundf(n)); S(rintf(t)); S(fmodf(b, t)); S(remainderf(b, t));
	S(fminf(t, NAN)); S(fmaxf(NAN, n)); S(fdimf(t, n)); S(fmaf(t, n, h)); S(ldexpf(t, 20)); S(nextafterf(1 + z, 2));
	S(erff(h)); S(erfcf(t)); S(tgammaf(t + 2)); S(lgammaf(b)); S(j0f(t)); S(y1f(t));
	S(copysignf(t, n)); S(fabsf(n)); S(1 / z);
	printf("%ld %lld %d\n", lroundf(n), llrintf(t), ilogbf(b));
	float s, c;
	sincosf(t, &s, &c);
	printf("%a %a\n", s, c);
	return 0;
}
