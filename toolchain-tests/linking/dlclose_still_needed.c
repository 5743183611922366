// A library that another open one needs stays when its own handle is closed.
//: lib b.so
UP(b) DOWN(b)
int n = 1;
int b(void) { return n++; }
//: lib a.so b.so
DOWN(a)
int b(void);
int a(void) { return b(); }
//: main
int main(void)
{
	void *b = OPEN("b.so", RTLD_NOW), *a = OPEN("a.so", RTLD_NOW);
	CALL(b, "b");
	dlclose(b);
	say("%d\n", CALL(a, "a"));
	dlclose(a);
	say("closed\n");
	return 0;
}
//: out musl: never unloads; destructors run at the end
// up b
// 2
// closed
// down a
// down b
