// dlvsym takes exactly the version that it names; dlsym the default one.
// skip musl: has no dlvsym
//: file v.map
V1 { global: f; local: *; };
V2 { global: f; only; } V1;
//: lib v.so -Wl,--version-script=$OUT/v.map
__asm__(".symver f1, f@V1\n.symver f2, f@@V2");
int f1(void) { return 1; }
int f2(void) { return 2; }
int only(void) { return 3; }
//: main
static int v(void *h, const char *name, const char *version)
{
	int (*f)(void) = (int (*)(void))dlvsym(h, name, version);
	return f ? f() : -1;
}
int main(void)
{
	void *h = OPEN("v.so", RTLD_NOW);
	say("%d %d %d %d %d %d\n", v(h, "f", "V1"), v(h, "f", "V2"), v(h, "f", "V3"), v(h, "only", "V2"), v(h, "only", "V1"), CALL(h, "f"));
	return 0;
}
