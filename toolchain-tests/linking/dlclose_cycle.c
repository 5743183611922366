// Two libraries that need each other are unloaded together.
//: lib a.so
int a;
//: lib b.so a.so
DOWN(b)
//: lib a.so b.so
DOWN(a)
int a;
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW);
	dlclose(h);
	say("closed %d\n", dlopen("b.so", RTLD_NOW | RTLD_NOLOAD) == 0);
	return 0;
}
//: out glibc: enters a cycle at another place: in a cycle there is no right order
// down b
// down a
// closed 1
//: out musl: never unloads; destructors run at the end
// closed 0
// down a
// down b
