// What a debugger finds through DT_DEBUG: the list of libraries, as dlopen and dlclose change it.
//: lib a.so
int a(void) { return 1; }
//: lib b.so
int b(void) { return 1; }
//: main a.so
#include <link.h>
extern ElfW(Dyn) _DYNAMIC[];
static struct r_debug *debug(void)
{
	for (ElfW(Dyn) *d = _DYNAMIC; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_DEBUG)
			return (struct r_debug *)d->d_un.d_ptr;
	return 0;
}
static void show(void)
{
	struct r_debug *d = debug();
	int n = 0;
	if (!d) { say("none\n"); return; }
	for (struct link_map *m = d->r_map; m; m = m->l_next) {
		const char *base = strrchr(m->l_name, '/');
		if (base && (!strcmp(base, "/a.so") || !strcmp(base, "/b.so")))
			n = n * 10 + base[1] - 'a' + 1;
	}
	say("%d %d %d\n", d->r_version >= 1, d->r_state == RT_CONSISTENT, n);
}
int main(void)
{
	show();
	void *h = OPEN("b.so", RTLD_NOW);
	show();
	dlclose(h);
	show();
	return 0;
}
//: out musl: never unloads
// 1 1 1
// 1 1 12
// 1 1 12
