// Structures of every size by value, as arguments and results.
// opt: -O0 -O1 -O2 -O3 -Os
#include <stdio.h>
#include <string.h>
#define T(n) \
	struct s##n { unsigned char v[n]; }; \
	__attribute__((noinline)) static struct s##n mk##n(int k) { struct s##n s; for (int i = 0; i < n; i++) s.v[i] = k * 7 + i; return s; } \
	__attribute__((noinline)) static struct s##n rot##n(int a, struct s##n x, double d, struct s##n y) { struct s##n r; for (int i = 0; i < n; i++) r.v[i] = x.v[(i + 1) % n] + y.v[i] * a + (int)d; return r; } \
	static unsigned test##n(void) { struct s##n r = rot##n(3, mk##n(1), 2.5, rot##n(1, mk##n(5), 1.0, mk##n(9))); unsigned h = n; for (int i = 0; i < n; i++) h = h * 31 + r.v[i]; return h; }
T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12) T(13) T(14) T(15) T(16) T(17) T(20) T(24) T(31) T(32) T(33) T(48) T(64) T(100) T(257) T(4000)
struct fd { float f; double d; };
struct di { double d; long i; };
struct id { int i; double d; };
struct ff { float a, b, c, d; };
struct ld { long double l; };
struct nest { struct { char c; short s; } a[3]; union { double d; long l; } u; };
__attribute__((noinline)) static struct fd f1(struct fd x) { x.f *= 2; x.d += 1; return x; }
__attribute__((noinline)) static struct di f2(struct di x) { x.d *= 2; x.i += 1; return x; }
__attribute__((noinline)) static struct id f3(struct id x) { x.d *= 2; x.i += 1; return x; }
__attribute__((noinline)) static struct ff f4(struct ff x) { x.a = x.b + x.c; x.d *= 3; return x; }
__attribute__((noinline)) static struct ld f5(struct ld x) { x.l /= 3; return x; }
__attribute__((noinline)) static struct nest f6(struct nest x) { x.a[2].s += x.a[1].c; x.u.d += 0.5; return x; }
__attribute__((noinline)) static struct di mixed(int a, struct di b, struct di c, struct di d, struct id e, struct ff f, struct ld g, int h)
{
	return (struct di){a + b.d + c.d + d.d + e.d + f.c + (double)g.l, b.i + c.i + d.i + e.i + h};
}
int main(void)
{
	printf("%u %u %u %u %u %u %u %u\n", test1(), test2(), test3(), test4(), test5(), test6(), test7(), test8());
	printf("%u %u %u %u %u %u %u %u\n", test9(), test10(), test11(), test12(), test13(), test14(), test15(), test16());
	printf("%u %u %u %u %u %u %u %u\n", test17(), test20(), test24(), test31(), test32(), test33(), test48(), test64());
	printf("%u %u %u\n", test100(), test257(), test4000());
	struct fd a = f1((struct fd){1.5f, 2.5});
	struct di b = f2((struct di){1.5, 10});
	struct id c = f3((struct id){7, 0.25});
	struct ff d = f4((struct ff){1, 2, 3, 4});
	struct ld e = f5((struct ld){10});
	struct nest n = {{{1, 2}, {3, 4}, {5, 6}}, {1.25}};
	n = f6(n);
	printf("%g %g %g %ld %d %g %g %g %.20Lg %d %g\n", a.f, a.d, b.d, b.i, c.i, c.d, d.a, d.d, e.l, n.a[2].s, n.u.d);
	struct di m = mixed(1, b, b, b, c, d, e, 9);
	printf("%.10g %ld\n", m.d, m.i);
	return 0;
}
