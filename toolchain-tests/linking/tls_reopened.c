// Thread-local storage of a library that was closed and opened again has its initial value.
//: lib a.so
__thread int x = 5;
int next(void) { return x++; }
//: main
int main(void)
{
	for (int i = 0; i < 3; i++) {
		void *h = OPEN("a.so", RTLD_NOW);
		int a = CALL(h, "next"), b = CALL(h, "next");
		say("%d %d\n", a, b);
		dlclose(h);
	}
	return 0;
}
//: out musl: never unloads
// 5 6
// 7 8
// 9 10
