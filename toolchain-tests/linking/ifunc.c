// An indirect function, which the library chooses when it is loaded.
//: lib a.so
static int one(void) { return 1; }
static void *choose(void) { return (void *)one; }
int f(void) __attribute__((ifunc("choose")));
int a(void) { return f(); }
//: main
int main(void)
{
	void *h = dlopen("a.so", RTLD_NOW);
	say("%d\n", h ? CALL(h, "a") : -1);
	return 0;
}
//: out glibc: has indirect functions; here and in musl they are refused: the guest would have to run in the middle of being linked
// 1
