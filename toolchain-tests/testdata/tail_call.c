// Sibling calls, direct and through pointers, with more or fewer arguments.
// opt: -O2 -O3 -Os
#include <stdio.h>
__attribute__((noinline)) static long f3(long a, long b, long c) { return a * 100 + b * 10 + c; }
__attribute__((noinline)) static long f2(long a, long b) { return f3(b, a, a + b); }
__attribute__((noinline)) static long f8(long a, long b, long c, long d, long e, long f, long g, long h) { return a + b + c + d + e + f + g * 1000 + h * 100000; }
__attribute__((noinline)) static long g8(long a, long b, long c, long d, long e, long f, long g, long h) { return f8(h, g, f, e, d, c, b, a); }
struct node { struct node *next; long (*fn)(struct node *, long); long v; };
static long add(struct node *n, long acc);
static long mul(struct node *n, long acc);
static long stop(struct node *n, long acc) { return acc; }
__attribute__((noinline)) static long add(struct node *n, long acc) { return n->next->fn(n->next, acc + n->v); }
__attribute__((noinline)) static long mul(struct node *n, long acc) { return n->next->fn(n->next, acc * n->v % 1000003); }
__attribute__((noinline)) static long loop(long n, long acc, long (*k)(long, long)) { return n == 0 ? k(acc, 1) : loop(n - 1, acc + n % 7, k); }
__attribute__((noinline)) static double fl(double x, double y) { return x * y; }
__attribute__((noinline)) static double fl1(double x) { return fl(x, x + 1); }
int main(void)
{
	printf("%ld %ld\n", f2(1, 2), g8(1, 2, 3, 4, 5, 6, 7, 8));
	static struct node v[1000];
	for (int i = 0; i < 1000; i++) {
		v[i].next = &v[(i + 1) % 1000];
		v[i].fn = i == 999 ? stop : i % 2 ? add : mul;
		v[i].v = i + 2;
	}
	printf("%ld\n", v[0].fn(&v[0], 1));
	/* so deep that it must not use stack */
	printf("%ld %g\n", loop(3000000, 0, f2), fl1(2.5));
	return 0;
}
