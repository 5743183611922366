// dlinfo leads to a library's program headers.
// skip musl: knows only RTLD_DI_LINKMAP
// skip glibc: knows the request since 2.36.1
//: lib a.so
int a(void) { return 1; }
//: main
#include <link.h>
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW);
	const ElfW(Phdr) *p = 0;
	int loads = 0, n = dlinfo(h, RTLD_DI_PHDR, &p);
	for (int i = 0; i < n; i++)
		loads += p[i].p_type == PT_LOAD;
	say("%d\n", loads > 1);
	return 0;
}
