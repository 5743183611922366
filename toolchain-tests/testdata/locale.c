// The C locale's conventions.
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
	struct lconv *l = localeconv();
	printf("[%s] [%s] [%s] %d\n", l->decimal_point, l->thousands_sep, l->currency_symbol, l->frac_digits);
	printf("%s\n", setlocale(LC_ALL, 0));
	printf("%s\n", setlocale(LC_ALL, "C"));
	printf("%s %s %s %s\n", nl_langinfo(DAY_1), nl_langinfo(MON_12), nl_langinfo(D_T_FMT), nl_langinfo(RADIXCHAR));
	locale_t a = newlocale(LC_CTYPE_MASK, "C.UTF-8", 0);
	locale_t old = uselocale(a);
	printf("%s\n", nl_langinfo(CODESET));
	uselocale(old);
	freelocale(a);
	return 0;
}
