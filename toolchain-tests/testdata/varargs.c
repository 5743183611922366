// Variable arguments of every type, beyond the registers, passed on and copied.
// opt: -O0 -O1 -O2 -O3 -Os
#include <stdarg.h>
#include <stdio.h>
struct small { int a, b; };
struct mixed { double d; int i; };
struct large { long v[5]; };
struct floats { float x, y, z; };
__attribute__((noinline)) static long sum_int(int n, ...)
{
	va_list ap;
	va_start(ap, n);
	long s = 0;
	for (int i = 0; i < n; i++)
		s = s * 3 + va_arg(ap, int);
	va_end(ap);
	return s;
}
__attribute__((noinline)) static double sum_double(int n, ...)
{
	va_list ap;
	va_start(ap, n);
	double s = 0;
	for (int i = 0; i < n; i++)
		s = s * 1.5 + va_arg(ap, double);
	va_end(ap);
	return s;
}
__attribute__((noinline)) static void walk(const char *f, va_list ap)
{
	for (; *f; f++)
		switch (*f) {
		case 'i': printf(" %d", va_arg(ap, int)); break;
		case 'l': printf(" %ld", va_arg(ap, long)); break;
		case 'd': printf(" %g", va_arg(ap, double)); break;
		case 'L': printf(" %Lg", va_arg(ap, long double)); break;
		case 's': printf(" %s", va_arg(ap, char *)); break;
		case 'p': printf(" %d", *va_arg(ap, int *)); break;
		case 'S': { struct small s = va_arg(ap, struct small); printf(" {%d,%d}", s.a, s.b); break; }
		case 'M': { struct mixed s = va_arg(ap, struct mixed); printf(" {%g,%d}", s.d, s.i); break; }
		case 'B': { struct large s = va_arg(ap, struct large); printf(" {%ld,%ld}", s.v[0], s.v[4]); break; }
		case 'F': { struct floats s = va_arg(ap, struct floats); printf(" {%g,%g,%g}", s.x, s.y, s.z); break; }
		case 'q': { __int128 q = va_arg(ap, __int128); printf(" %llx:%llx", (unsigned long long)(q >> 64), (unsigned long long)q); break; }
		}
	printf("\n");
}
__attribute__((noinline)) static void show(const char *f, ...)
{
	va_list ap, again;
	va_start(ap, f);
	va_copy(again, ap);
	walk(f, ap);
	va_end(ap);
	walk(f, again);
	va_end(again);
}
int main(void)
{
	printf("%ld\n", sum_int(3, 1, 2, 3));
	printf("%ld\n", sum_int(12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, -12));
	printf("%g\n", sum_double(11, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.5));
	int x = 77;
	struct small s = {1, 2};
	struct mixed m = {2.5, 3};
	struct large l = {{10, 20, 30, 40, 50}};
	struct floats f = {1.5f, 2.5f, 3.5f};
	__int128 q = ((__int128)5 << 64) + 7;
	show("ildLsp", 1, 2L, 3.5, 4.25L, "str", &x);
	show("SMBFq", s, m, l, f, q);
	show("dididididididididLi", 1.0, 1, 2.0, 2, 3.0, 3, 4.0, 4, 5.0, 5, 6.0, 6, 7.0, 7, 8.0, 8, 9.0, 9, 10.5L, 10);
	show("iiiiSiMlqBdddddddFddLS", 1, 2, 3, 4, s, 5, m, 6L, q, l, .1, .2, .3, .4, .5, .6, .7, f, .8, .9, 1.5L, s);
	show("BLBLq", l, 1.0L, l, 2.0L, q);
	return 0;
}
