// dl_iterate_phdr shows every library with its program headers; the counters tell of changes.
//: lib a.so
int a(void) { return 1; }
//: lib b.so
__thread int x = 3;
int *b(void) { return &x; }
//: main a.so
#include <link.h>
int a(void);
static int seen, loads, inside;
static unsigned long long adds, subs;
static int look(struct dl_phdr_info *i, size_t n, void *p)
{
	const char *base = strrchr(i->dlpi_name, '/');
	base = base ? base + 1 : i->dlpi_name;
	if (!strcmp(base, "a.so")) seen |= 1;
	if (!strcmp(base, "b.so")) seen |= 2;
	for (int k = 0; k < i->dlpi_phnum; k++) {
		const ElfW(Phdr) *h = &i->dlpi_phdr[k];
		loads += h->p_type == PT_LOAD;
		if (h->p_type == PT_LOAD && (char *)p - (char *)i->dlpi_addr - h->p_vaddr < h->p_memsz)
			inside++;
	}
	adds = i->dlpi_adds;
	subs = i->dlpi_subs;
	return 0;
}
static int stop(struct dl_phdr_info *i, size_t n, void *p) { return ++*(int *)p == 2 ? 77 : 0; }
int main(void)
{
	int n = 0;
	dl_iterate_phdr(look, (void *)a);
	say("%d %d %d\n", seen, loads > 3, inside);
	unsigned long long before = adds;
	void *h = OPEN("b.so", RTLD_NOW);
	seen = 0;
	dl_iterate_phdr(look, (void *)a);
	say("%d %d\n", seen, (int)(adds - before));
	say("%d %d\n", dl_iterate_phdr(stop, &n), n);
	return h == 0;
}
