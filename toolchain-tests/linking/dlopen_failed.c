// A library that cannot be loaded leaves nothing behind: what it needs is not loaded either, and no constructor ran.
//: lib dep.so
UP(dep)
//: lib a.so dep.so
UP(a)
extern int gone;
int *p = &gone;
//: main
int main(void)
{
	for (int i = 0; i < 2; i++) {
		void *h = dlopen("a.so", RTLD_NOW);
		const char *e = dlerror();
		say("%d %d", h == 0, e && strstr(e, "gone"));
		say(" %d\n", dlopen("dep.so", RTLD_NOW | RTLD_NOLOAD) == 0);
	}
	OPEN("dep.so", RTLD_NOW);
	return 0;
}
