// Matching a regular expression by simulating its automaton over sets of states.
// rounds: 80
#include "kernel.h"
enum { MATCH = 256, SPLIT, ANY };
struct state { int c; struct state *out, *out2; int list; };
static struct state pool[64];
static int used, mark;
static struct state *st(int c, struct state *o, struct state *o2)
{
	struct state *s = &pool[used++];
	*s = (struct state){c, o, o2, 0};
	return s;
}
static struct state *cur[64], *next[64];
static int add(struct state **l, int n, struct state *s)
{
	if (!s || s->list == mark)
		return n;
	s->list = mark;
	if (s->c == SPLIT) {
		n = add(l, n, s->out);
		return add(l, n, s->out2);
	}
	l[n++] = s;
	return n;
}
/* (a|b)*a(a|b)(a|b)(c.)*d */
static struct state *build(void)
{
	struct state *m = st(MATCH, 0, 0), *d = st('d', m, 0);
	struct state *loop = st(SPLIT, 0, d), *any = st(ANY, loop, 0);
	loop->out = st('c', any, 0);
	struct state *s2 = st(SPLIT, st('a', loop, 0), st('b', loop, 0));
	struct state *s1 = st(SPLIT, st('a', s2, 0), st('b', s2, 0));
	struct state *a = st('a', s1, 0), *star = st(SPLIT, 0, a);
	star->out = st(SPLIT, st('a', star, 0), st('b', star, 0));
	return star;
}
static char text[20000];
static uint64_t kernel(long n)
{
	used = 0;
	mark = 0;
	struct state *start = build();
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = "aababbabcd"[rnd() % 10];
	uint64_t s = 0;
	while (n--) {
		int k = 0;
		for (size_t i = 0; i < sizeof text; i++) {
			mark++;
			int m = 0;
			/* unanchored: a match may begin anywhere */
			for (int j = 0; j < k; j++) {
				struct state *q = cur[j];
				if (q->c == text[i] || q->c == ANY)
					m = add(next, m, q->out);
				else if (q->c == MATCH)
					s += i;
			}
			m = add(next, m, start);
			memcpy(cur, next, m * sizeof *cur);
			k = m;
		}
		s = s * 31 + k;
	}
	return s;
}
