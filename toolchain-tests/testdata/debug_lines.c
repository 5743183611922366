// -g, -g3 and -gdwarf-4 assemble and link.
// opt: -g -g3 -ggdb -gdwarf-4
#include <stdio.h>
#define TWICE(x) ((x) * 2)
struct s { int a; struct s *n; };
static inline int inl(struct s *s) { return s->n ? TWICE(s->a) + inl(s->n) : s->a; }
int main(void)
{
	struct s a = {1, 0}, b = {2, &a}, c = {3, &b};
	printf("%d\n", inl(&c));
	return 0;
}
