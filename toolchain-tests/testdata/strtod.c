// Numbers from text: corner cases of rounding, range, bases and ends.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <inttypes.h>
int main(void)
{
	const char *v[] = {"0.1", "1e23", "9007199254740993", "9007199254740992.5000000000000000000000001", "2.2250738585072011e-308", "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324",
		"1.7976931348623157e308", "1.7976931348623159e308", "-0", "+.5e+1x", "1e", "0x1.fffffffffffff8p0", "0x1p-1074", "0x.8p1", "0x", "infinity!", "nan(123)z", "  12abc", "", ".", "1e400", "1e-400",
		"123456789012345678901234567890", "0.000000000000000000000000000000000000000000001e45", "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880"};
	for (unsigned i = 0; i < sizeof v / sizeof *v; i++) {
		char *e;
		errno = 0;
		double d = strtod(v[i], &e);
		int er = errno;
		float f = strtof(v[i], 0);
		long double l = strtold(v[i], 0);
		printf("%.30s: %a %d %d %a %La\n", v[i], d, (int)(e - v[i]), er == ERANGE, f, l);
	}
	const char *n[] = {"0", "-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "0x7f", "0777", "zz", "  +42tail", "-", "0x"};
	int bases[] = {0, 10, 16, 36};
	for (unsigned i = 0; i < sizeof n / sizeof *n; i++)
		for (int k = 0; k < 4; k++) {
			char *e;
			errno = 0;
			long l = strtol(n[i], &e, bases[k]);
			int er = errno;
			unsigned long u = strtoul(n[i], 0, bases[k]);
			printf("%ld/%lu/%d/%d ", l, u, er, (int)(e - n[i]));
		}
	printf("\n%d %ld %lld %g\n", atoi("-17x"), atol("99999999999"), atoll("123456789012345"), atof("1.5e3"));
	printf("%jd %d\n", strtoimax("-5", 0, 10), abs(-3));
	div_t q = div(-7, 2);
	ldiv_t r = ldiv(7, -2);
	printf("%d %d %ld %ld\n", q.quot, q.rem, r.quot, r.rem);
	return 0;
}
