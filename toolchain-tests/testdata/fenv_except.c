// The exception flags of SSE and x87 are raised, tested, saved and cleared.
#include <fenv.h>
#include <math.h>
#include <stdio.h>
static volatile double z = 0, one = 1, big = 1e308, tiny = 1e-308, three = 3, r;
static volatile long double lz = 0, lone = 1, lr;
static void show(const char *what)
{
	int e = fetestexcept(FE_ALL_EXCEPT);
	printf("%s:%s%s%s%s%s\n", what, e & FE_INVALID ? " invalid" : "", e & FE_DIVBYZERO ? " divbyzero" : "", e & FE_OVERFLOW ? " overflow" : "",
		e & FE_UNDERFLOW ? " underflow" : "", e & FE_INEXACT ? " inexact" : "");
	feclearexcept(FE_ALL_EXCEPT);
}
int main(void)
{
	show("start");
	r = one / z; show("1/0");
	r = z / z; show("0/0");
	r = big * big; show("big*big");
	r = tiny * tiny; show("tiny*tiny");
	r = one / three; show("1/3");
	r = sqrt(-one); show("sqrt(-1)");
	lr = lone / lz; show("x87 1/0");
	lr = lz / lz; show("x87 0/0");
	r = (int)(one + 1); show("exact");
	feraiseexcept(FE_OVERFLOW | FE_INVALID); show("raised");
	fexcept_t f;
	r = one / z;
	fegetexceptflag(&f, FE_ALL_EXCEPT);
	feclearexcept(FE_ALL_EXCEPT);
	show("cleared");
	fesetexceptflag(&f, FE_ALL_EXCEPT);
	show("restored");
	fenv_t e;
	fesetround(FE_UPWARD);
	feholdexcept(&e);
	r = one / z;
	show("held");
	fesetenv(FE_DFL_ENV);
	printf("%d\n", fegetround() == FE_TONEAREST);
	fesetenv(&e);
	printf("%d\n", fegetround() == FE_UPWARD);
	fesetround(FE_TONEAREST);
	r = one / z;
	feupdateenv(&e);
	show("updated");
	return 0;
}
