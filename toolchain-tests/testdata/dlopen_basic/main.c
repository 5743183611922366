// dlopen, dlsym, dlclose and dlerror; handles are counted, symbols of RTLD_LOCAL stay private.
// lib: libplug.so plug.c
// lib: libuser.so user.c -Wl,-z,undefs
// cc: -Wl,-rpath,$ORIGIN
// short
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
	void *h = dlopen("libnone.so", RTLD_NOW);
	char *e = dlerror();
	printf("%d %d %d\n", h == 0, e != 0 && strstr(e, "libnone.so") != 0, dlerror() == 0);
	h = dlopen("libplug.so", RTLD_NOW | RTLD_LOCAL);
	if (!h) {
		printf("%s\n", dlerror());
		return 1;
	}
	int (*f)(int) = (int (*)(int))dlsym(h, "plug");
	int *d = dlsym(h, "plug_data");
	printf("%d %d\n", f(5), *d);
	*d = 100;
	printf("%d\n", f(5));
	printf("%d", dlsym(h, "nothing") == 0);
	e = dlerror();
	printf(" %d\n", e && strstr(e, "nothing") != 0);
	printf("local: %d\n", dlsym(RTLD_DEFAULT, "plug") == 0);
	dlerror();
	void *h2 = dlopen("libplug.so", RTLD_NOW);
	printf("same handle: %d\n", h2 == h);
	printf("%d\n", dlclose(h2));
	printf("%d\n", f(1));
	void *u = dlopen("libuser.so", RTLD_NOW);
	printf("unresolved: %d %d\n", u == 0, strstr(dlerror(), "plug") != 0);
	h2 = dlopen("libplug.so", RTLD_NOW | RTLD_GLOBAL);
	printf("global now: %d\n", dlsym(RTLD_DEFAULT, "plug") == (void *)f);
	u = dlopen("libuser.so", RTLD_NOW);
	printf("%d\n", u ? ((int (*)(void))dlsym(u, "user"))() : -1);
	printf("noload: %d %d\n", dlopen("libplug.so", RTLD_NOLOAD | RTLD_NOW) == h, dlopen("libnone.so", RTLD_NOLOAD | RTLD_NOW) == 0);
	void *self = dlopen(0, RTLD_NOW);
	printf("self: %d %d\n", dlsym(self, "main") == 0 || 1, dlsym(self, "printf") == (void *)printf);
	printf("next: %d\n", dlsym(RTLD_NEXT, "puts") == (void *)puts);
	return 0;
}
