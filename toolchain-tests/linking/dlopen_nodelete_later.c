// RTLD_NODELETE with RTLD_NOLOAD makes a loaded library stay.
//: lib a.so
UP(a) DOWN(a)
static int n;
int next(void) { return ++n; }
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW), *i = OPEN("a.so", RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
	CALL(h, "next");
	dlclose(i);
	dlclose(h);
	say("%d\n", CALL(OPEN("a.so", RTLD_NOW), "next"));
	return 0;
}
