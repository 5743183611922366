// The four rounding directions act on sums, conversions, rint and long doubles.
// cc: -frounding-math
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
static volatile double one = 1, three = 3, v[] = {0.5, 1.5, -0.5, -1.5, 2.25};
static volatile long double lone = 1, lthree = 3;
int main(void)
{
	int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
	for (int i = 0; i < 4; i++) {
		printf("%d ", fesetround(modes[i]));
		printf("%d %a %a %La\n", fegetround() == modes[i], one / three, -one / three, lone / lthree);
		for (int j = 0; j < 5; j++)
			printf(" %g %ld %d", rint(v[j]), lrint(v[j]), (int)v[j]);
		printf(" %a %a\n", sqrt(three), (double)(float)(one / three));
		printf(" %a %.3f\n", strtod("0.1", 0), 0.0625 * three);
	}
	return 0;
}
