// Complex arithmetic in three precisions, with the infinities of annex G.
// opt: -O2 -O0
#include <complex.h>
#include <math.h>
#include <stdio.h>
#define S(x) do { double complex v_ = (x); printf("%-18s %.12g %.12g\n", #x, creal(v_), cimag(v_)); } while (0)
static float complex cmulf(float complex a, float complex b) { return a * b; }
static double complex cdiv(double complex a, double complex b) { return a / b; }
static long double complex cmull(long double complex a, long double complex b) { return a * b; }
static long double complex cdivl(long double complex a, long double complex b) { return a / b; }
int main(void)
{
	volatile double complex a = 3 - 4 * I, b = 0.5 + 2 * I, inf = CMPLX(INFINITY, NAN);
	S(a + b); S(a - b); S(a * b); S(a / b); S(-a); S(conj(a)); S(a * 2.0); S(1.0 / a);
	S(cabs(a)); S(carg(a)); S(csqrt(a)); S(cexp(b)); S(clog(a)); S(cpow(a, b)); S(csin(b)); S(ccos(b)); S(ctan(b));
	S(casin(b)); S(cacos(b)); S(catan(b)); S(csinh(b)); S(ccosh(b)); S(ctanh(b)); S(cproj(inf));
	S(inf * a); S(cdiv(a, 0)); S(cdiv(a, b));
	float complex f = cmulf(a, b);
	long double complex l = cmull(a, b), m = cdivl(a, b);
	printf("%g %g %Lg %Lg %Lg %Lg\n", crealf(f), cimagf(f), creall(l), cimagl(l), creall(m), cimagl(m));
	printf("%d %d\n", a == b, a == conj(conj(a)));
	return 0;
}
