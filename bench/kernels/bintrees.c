// Binary trees: allocation, walking, freeing.
// rounds: 10
#include "kernel.h"
struct node { struct node *l, *r; };
static struct node *make(int d)
{
	struct node *n = malloc(sizeof *n);
	n->l = d ? make(d - 1) : 0;
	n->r = d ? make(d - 1) : 0;
	return n;
}
static int check(const struct node *n) { return n->l ? 1 + check(n->l) + check(n->r) : 1; }
static void drop(struct node *n)
{
	if (n->l) {
		drop(n->l);
		drop(n->r);
	}
	free(n);
}
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	struct node *lived = make(14);
	while (n--)
		for (int d = 4; d <= 14; d += 2)
			for (int i = 0; i < 1 << (14 - d); i++) {
				struct node *t = make(d);
				s = s * 3 + check(t);
				drop(t);
			}
	s += check(lived);
	drop(lived);
	return s;
}
