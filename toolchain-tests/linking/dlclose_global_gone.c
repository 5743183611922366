// The symbols of a global library are gone when it is closed; the next one takes their place.
//: lib a.so
int who(void) { return 1; }
//: lib b.so
int who(void) { return 2; }
//: lib user.so
int who(void);
int use(void) { return who(); }
//: lib later.so
int who(void);
int use(void) { return who() + 10; }
//: main
int main(void)
{
	void *a = OPEN("a.so", RTLD_NOW | RTLD_GLOBAL);
	OPEN("b.so", RTLD_NOW | RTLD_GLOBAL);
	void *user = OPEN("user.so", RTLD_NOW);
	say("%d", CALL(user, "use"));
	dlclose(user);
	dlclose(a);
	say(" %d\n", CALL(OPEN("later.so", RTLD_NOW), "use"));
	return 0;
}
//: out musl: never unloads
// 1 11
