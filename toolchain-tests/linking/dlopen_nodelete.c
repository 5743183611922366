// RTLD_NODELETE: the library stays, with its data, whatever is closed.
//: lib a.so
UP(a) DOWN(a)
static int n;
int next(void) { return ++n; }
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW | RTLD_NODELETE);
	int (*next)(void) = (int (*)(void))dlsym(h, "next");
	next();
	dlclose(h);
	say("%d\n", next());
	h = OPEN("a.so", RTLD_NOW);
	say("%d\n", CALL(h, "next"));
	dlclose(h);
	return 0;
}
