// Calls through tables of functions: a mixed population of objects.
// rounds: 2500
#include "kernel.h"
struct obj;
struct methods { long (*step)(struct obj *, long); long (*weight)(const struct obj *); };
struct obj { const struct methods *m; long a, b; };
static long s0(struct obj *o, long x) { return o->a += x & 7; }
static long s1(struct obj *o, long x) { return o->b ^= x; }
static long s2(struct obj *o, long x) { o->a = o->b + x; return o->a >> 1; }
static long s3(struct obj *o, long x) { return x > o->a ? ++o->b : --o->a; }
static long w0(const struct obj *o) { return o->a; }
static long w1(const struct obj *o) { return o->b * 3; }
static long w2(const struct obj *o) { return o->a - o->b; }
static const struct methods kinds[] = {{s0, w0}, {s1, w1}, {s2, w2}, {s3, w0}, {s0, w2}, {s2, w1}};
static struct obj o[4096];
static uint64_t kernel(long n)
{
	for (int i = 0; i < 4096; i++)
		o[i] = (struct obj){&kinds[i % 100 < 50 ? i % 2 : rnd() % 6], i, i * 7};
	long s = 1;
	while (n--)
		for (int i = 0; i < 4096; i++) {
			s += o[i].m->step(&o[i], s);
			s ^= o[i].m->weight(&o[i]);
		}
	return s;
}
