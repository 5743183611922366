// Calls through pointers: tables, arguments, returns, members, recursion, comparison.
// opt: -O0 -O2 -O3
#include <stdio.h>
#include <stdlib.h>
typedef int (*op)(int, int);
static int add(int a, int b) { return a + b; }
static int sub(int a, int b) { return a - b; }
static int mul(int a, int b) { return a * b; }
static op ops[] = {add, sub, mul};
static op pick(int i) { return ops[i % 3]; }
struct shape { const struct vt *vt; double a, b; };
struct vt { double (*area)(const struct shape *); const char *(*name)(void); };
static double rect(const struct shape *s) { return s->a * s->b; }
static double tri(const struct shape *s) { return s->a * s->b / 2; }
static const char *rname(void) { return "rectangle"; }
static const char *tname(void) { return "triangle"; }
static const struct vt rvt = {rect, rname}, tvt = {tri, tname};
static int apply(op f, int n, int x) { return n ? apply(f, n - 1, f(x, n)) : x; }
static int eight(int a, int b, int c, int d, int e, int f, int g, int h) { return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g * 7 + h * 8; }
static double many(double a, int b, float c, long d, double e, double f, double g, double h, double i, double j, double k) { return a + b + c + d + e + f + g + h + i + j * k; }
static void *ident(void *p) { return p; }
typedef void (*thunk)(void);
int main(void)
{
	for (int i = 0; i < 6; i++)
		printf("%d ", pick(i)(10, i));
	printf("\n%d %d %d\n", apply(add, 10, 0), apply(mul, 10, 1), apply(sub, 10, 0));
	struct shape s[] = {{&rvt, 2, 3}, {&tvt, 4, 5}};
	for (int i = 0; i < 2; i++)
		printf("%s %g\n", s[i].vt->name(), s[i].vt->area(&s[i]));
	int (*volatile e)(int, int, int, int, int, int, int, int) = eight;
	double (*volatile m)(double, int, float, long, double, double, double, double, double, double, double) = many;
	printf("%d %g\n", e(1, 2, 3, 4, 5, 6, 7, 8), m(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
	int (*volatile lib)(const char *) = atoi;
	printf("%d\n", lib("123"));
	thunk t = (thunk)ident;
	printf("%d %d\n", ((void *(*)(void *))t)(s) == s, pick(0) == add);
	static int (*volatile p)(const char *, ...) = printf;
	p("%s %d %g\n", "through a pointer", 5, 2.5);
	return 0;
}
