// A library is unloaded when it was closed as often as it was opened.
//: lib a.so
UP(a) DOWN(a)
static int n;
int next(void) { return ++n; }
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW), *i = OPEN("a.so", RTLD_NOW), *j = OPEN("./a.so", RTLD_NOW);
	say("%d %d\n", h == i, i == j);
	CALL(h, "next");
	dlclose(h);
	dlclose(h);
	say("%d\n", CALL(h, "next"));
	dlclose(h);
	say("closed\n");
	return 0;
}
//: out musl: never unloads; destructors run at the end
// up a
// 1 1
// 2
// closed
// down a
