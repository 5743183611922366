// RTLD_GLOBAL: libraries that are opened later bind to it and to what it needs.
//: lib dep.so
int dep(void) { return 3; }
//: lib a.so dep.so
int who(void) { return 4; }
//: lib user.so
int who(void), dep(void);
int use(void) { return who() * 10 + dep(); }
//: main
int main(void)
{
	say("%d\n", dlopen("user.so", RTLD_NOW) == 0);
	void *a = OPEN("a.so", RTLD_NOW | RTLD_GLOBAL);
	say("%d %d\n", CALL(OPEN("user.so", RTLD_NOW), "use"), CALL(RTLD_DEFAULT, "dep"));
	return a == 0;
}
