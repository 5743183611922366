#include <dlfcn.h>
#include <stdio.h>
int dep(void);
static int (*nested)(void);
__attribute__((constructor)) static void up(void)
{
	puts("top up");
	void *h = dlopen("libnested.so", RTLD_NOW);
	if (!h)
		puts("nested is not found from here");
	else
		nested = (int (*)(void))dlsym(h, "nested");
}
int top(void) { return dep() * 100 + (nested ? nested() : 0); }
