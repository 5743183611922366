// A library that was closed and is opened again has fresh data, and is constructed again.
//: lib a.so
UP(a)
int n = 5, zero;
int next(void) { return n++ * 10 + zero++; }
//: main
int main(void)
{
	for (int i = 0; i < 3; i++) {
		void *h = OPEN("a.so", RTLD_NOW);
		CALL(h, "next");
		say("%d\n", CALL(h, "next"));
		dlclose(h);
	}
	return 0;
}
//: out musl: never unloads
// up a
// 61
// 83
// 105
