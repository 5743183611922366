// A library stays as long as another one is bound to it, though it does not name it.
//: lib b.so
DOWN(b)
int b(void) { return 4; }
//: lib a.so
DOWN(a)
int b(void);
int a(void) { return b(); }
//: main
int main(void)
{
	void *b = OPEN("b.so", RTLD_NOW | RTLD_GLOBAL), *a = OPEN("a.so", RTLD_NOW);
	dlclose(b);
	say("%d\n", CALL(a, "a"));
	dlclose(a);
	say("closed\n");
	return 0;
}
//: out musl: never unloads; destructors run at the end
// 4
// closed
// down a
// down b
