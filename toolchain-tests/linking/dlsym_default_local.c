// RTLD_DEFAULT in a local library sees the global scope, then the library's own.
//: lib b.so
int dep(void) { return 4; }
int shared(void) { return 5; }
//: lib a.so b.so
int own(void) { return 3; }
int look(const char *name) { return CALL(RTLD_DEFAULT, name); }
//: main -rdynamic
int shared(void) { return 9; }
int main(void)
{
	int (*look)(const char *) = (int (*)(const char *))dlsym(OPEN("a.so", RTLD_NOW | RTLD_LOCAL), "look");
	say("%d %d %d %d\n", look("own"), look("dep"), look("shared"), CALL(RTLD_DEFAULT, "own"));
	return 0;
}
//: out musl: looks at the global scope alone
// -1 -1 9 -1
