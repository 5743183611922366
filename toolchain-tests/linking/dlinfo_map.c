// The list of libraries: the program, what it needs, what dlopen brought; handles are in it.
//: lib a.so
int a(void) { return 1; }
//: lib b.so
int b(void) { return 1; }
//: main a.so
#include <link.h>
int main(void)
{
	void *h = OPEN("b.so", RTLD_NOW);
	struct link_map *m = 0, *p;
	int n = 0, back = 1, mine = 0;
	say("%d", dlinfo(h, RTLD_DI_LINKMAP, &m));
	say(" %d", strstr(m->l_name, "b.so") != 0);
	for (p = m; p->l_prev; p = p->l_prev)
		back &= p->l_prev->l_next == p;
	for (; p; p = p->l_next) {
		const char *base = strrchr(p->l_name, '/');
		base = base ? base + 1 : p->l_name;
		if (!strcmp(base, "a.so") || !strcmp(base, "b.so"))
			n = n * 10 + base[0] - 'a' + 1;
		mine |= p == m;
	}
	say(" %d %d %d %d\n", back, n, mine, (long)m->l_ld > (long)m->l_addr);
	return 0;
}
