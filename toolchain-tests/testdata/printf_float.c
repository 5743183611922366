// Floating conversions of printf: double and long double, every style, exact digits.
#include <float.h>
#include <math.h>
#include <stdio.h>
int main(void)
{
	double v[] = {0.0, -0.0, 1.0, -1.5, 0.1, 1.0 / 3, 123456789.987654321, 1e-5, 1e20, 1e100, DBL_MAX, DBL_MIN, 4.9406564584124654e-324, INFINITY, -INFINITY, 0.5, 1.5, 2.5, 9.995};
	for (unsigned i = 0; i < sizeof v / sizeof *v; i++) {
		printf("%f|%.0f|%#.0f|%10.2f|%-12.3f|%+.1f|%012.4f\n", v[i], v[i], v[i], v[i], v[i], v[i], v[i]);
		printf("%e|%.0e|%.15e|%E\n", v[i], v[i], v[i], v[i]);
		printf("%g|%.3g|%#g|%.17g|%G\n", v[i], v[i], v[i], v[i], v[i]);
		printf("%a|%.2a|%A\n", v[i], v[i], v[i]);
	}
	printf("%f %F %5.1f\n", NAN, NAN, NAN);
	long double l[] = {0.0L, 1.0L, 1.0L / 3, -2.718281828459045235360287L, 1e4000L, 1e-4000L, LDBL_MAX, LDBL_MIN, 0.1L};
	for (unsigned i = 0; i < sizeof l / sizeof *l; i++)
		printf("%Lg|%.21Lg|%.3Le|%La\n", l[i], l[i], l[i], l[i]);
	printf("%.60f\n", 0.1);
	printf("%.40Lf\n", 0.1L);
	printf("%Lf %d %Lf %s %f\n", 1.5L, 2, 3.25L, "mixed", 4.125);
	printf("%.200e\n", DBL_MIN);
	return 0;
}
