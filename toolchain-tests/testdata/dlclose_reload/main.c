// A library that is closed and opened again and again.
// lib: librl.so rl.c
// cc: -Wl,-rpath,$ORIGIN
#include <dlfcn.h>
#include <stdio.h>
int main(void)
{
	int bad = 0;
	for (int i = 0; i < 200; i++) {
		void *h = dlopen("librl.so", RTLD_NOW);
		if (!h) {
			printf("%d: %s\n", i, dlerror());
			return 1;
		}
		int (*f)(void) = (int (*)(void))dlsym(h, "next");
		bad += f() <= 0;
		bad += dlclose(h);
	}
	printf("%d bad\n", bad);
	return 0;
}
