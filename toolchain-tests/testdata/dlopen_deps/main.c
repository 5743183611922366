// A plugin brings its own dependencies, shares those that are there, and its constructors may open more.
// lib: libleaf.so leaf.c
// lib: libdep.so dep.c -lleaf -Wl,-rpath,$ORIGIN
// lib: libnested.so nested.c
// lib: libtop.so top.c -ldep -Wl,-rpath,$ORIGIN
// cc: -lleaf -Wl,-rpath,$ORIGIN
#include <dlfcn.h>
#include <stdio.h>
extern int leaf_value;
int leaf(void);
int main(void)
{
	leaf_value = 40;
	void *h = dlopen("libtop.so", RTLD_NOW);
	if (!h) {
		printf("%s\n", dlerror());
		return 1;
	}
	int (*top)(void) = (int (*)(void))dlsym(h, "top");
	int (*dep)(void) = (int (*)(void))dlsym(h, "dep");
	printf("%d %d %d\n", top(), dep(), leaf());
	printf("closing\n");
	dlclose(h);
	printf("end\n");
	return 0;
}
