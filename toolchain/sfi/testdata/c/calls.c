// Calls of every kind: many arguments, by value, variadic, through pointers,
// sibling calls, recursion.
#include <stdarg.h>
long results[4096];
int nresults;
#define emit(x) (results[nresults++ & 4095] = (long)(x))
#define NI __attribute__((noinline, noclone))

struct big { long a[12]; };
struct small { int a, b, c; };
struct fp { double x, y; };

NI long many(long a, long b, long c, long d, long e, long f, long g, long h, int i, short j)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j;
}
NI long bigsum(struct big b, int k)
{
	long s = k;
	for (int i = 0; i < 12; i++)
		s = s * 3 + b.a[i];
	return s;
}
NI struct big mkbig(int n)
{
	struct big b;
	for (int i = 0; i < 12; i++)
		b.a[i] = n * i - 5;
	return b;
}
NI struct small mksmall(int n) { return (struct small){n, n + 1, n * n}; }
NI struct fp mkfp(double d) { return (struct fp){d / 3, d * 7}; }
NI long vsum(int n, ...)
{
	va_list ap;
	long s = 0;
	va_start(ap, n);
	while (n--)
		s = s * 5 + va_arg(ap, long);
	va_end(ap);
	return s;
}
NI double vmix(const char *f, ...)
{
	va_list ap;
	double s = 0;
	va_start(ap, f);
	for (; *f; f++)
		switch (*f) {
		case 'i': s += va_arg(ap, int); break;
		case 'd': s += va_arg(ap, double) * 2; break;
		case 'l': s += va_arg(ap, long) * 3; break;
		case 'b': s += va_arg(ap, struct big).a[11]; break;
		case 's': s += va_arg(ap, struct small).c; break;
		case 'f': s += va_arg(ap, struct fp).y; break;
		}
	va_end(ap);
	return s;
}
NI long vpass(int n, va_list ap)
{
	long s = 0;
	while (n--)
		s += va_arg(ap, int);
	return s;
}
NI long vouter(int n, ...)
{
	va_list ap;
	va_start(ap, n);
	long s = vpass(n, ap);
	va_end(ap);
	return s;
}
NI long fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
NI int odd(unsigned);
NI int even(unsigned n) { return n == 0 ? 1 : odd(n - 1); }
NI int odd(unsigned n) { return n == 0 ? 0 : even(n - 1); }
NI long tail7(long a, long b, long c, long d, long e, long f, long g)
{
	return many(g, f, e, d, c, b, a, 1, 2, 3) + 1;
}
NI long tailstack(long a, long b, long c, long d, long e, long f, long g, long h, int i, short j)
{
	return many(b, a, d, c, f, e, h, g, j, i);
}
typedef long (*fn)(long, long);
NI long add(long a, long b) { return a + b; }
NI long sub(long a, long b) { return a - b; }
NI long mul(long a, long b) { return a * b; }
fn table[] = {add, sub, mul};
NI long viatable(int i, long a, long b) { return table[i](a, b); }
NI long viaptr(fn f, long a, long b) { return f(a, b) + f(b, a); }
NI long sibptr(fn *f, long a, long b) { return f[1](b, a); }
NI long condtail(long a, long b)
{
	if (a > b)
		return sub(a, b);
	if (a == b)
		return mul(a, b);
	return add(a, b);
}
NI double fpargs(double a, float b, double c, float d, double e, double f, double g, double h, double i, float j)
{
	return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g * 7 + h * 8 + i * 9 + j * 10;
}
NI long double ld(long double a, long double b) { return a * b + 1; }
NI __int128 wide(__int128 a, __int128 b) { return a * b - (a >> 3); }
NI long nested(int n)
{
	long s = 0;
	long acc(int k)
	{
		s += k;
		return k < 3 ? s : acc(k - 3) + 1;
	}
	for (int i = 0; i < n; i++)
		s += acc(i);
	return s;
}
NI void *retaddr(void) { return __builtin_frame_address(0); }
NI long keep(long a, long b, long c)
{
	long x = add(a, b), y = add(b, c), z = add(a, c);
	long w = mul(x, y);
	return sub(w, z) + x * y + z;
}

void test(void)
{
	emit(many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
	emit(bigsum(mkbig(3), 7));
	struct small s = mksmall(9);
	emit(s.a + s.b + s.c);
	struct fp f = mkfp(12.5);
	emit(f.x * 1000 + f.y);
	emit(vsum(9, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L));
	emit(vmix("iiddllbsfdddddddddiiii", 1, 2, 1.5, 2.5, 3L, 4L, mkbig(2), s, f, 1., 2., 3., 4., 5., 6., 7., 8., 9., 5, 6, 7, 8));
	emit(vouter(8, 1, 2, 3, 4, 5, 6, 7, 8));
	emit(fib(15));
	emit(even(10) * 2 + odd(7));
	emit(tail7(1, 2, 3, 4, 5, 6, 7));
	emit(tailstack(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
	for (int i = 0; i < 3; i++)
		emit(viatable(i, 10, 4));
	emit(viaptr(sub, 1, 2) + viaptr(mul, 3, 4));
	emit(sibptr(table, 7, 9));
	emit(condtail(1, 2) + condtail(2, 1) * 10 + condtail(3, 3) * 100);
	emit(fpargs(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
	emit(ld(3, 4.5));
	emit(wide(1234567, -7654321));
	emit(nested(12));
	emit(retaddr() != 0);
	emit(keep(3, 4, 5));
}
