// A library linked with -z nodelete stays.
//: lib a.so -Wl,-z,nodelete
UP(a) DOWN(a)
static int n;
int next(void) { return ++n; }
//: main
int main(void)
{
	for (int i = 0; i < 2; i++) {
		void *h = OPEN("a.so", RTLD_NOW);
		say("%d\n", CALL(h, "next"));
		dlclose(h);
	}
	return 0;
}
