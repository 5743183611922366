// A local library becomes global when it is opened again with RTLD_GLOBAL, also with RTLD_NOLOAD.
//: lib dep.so
int dep(void) { return 3; }
//: lib a.so dep.so
int who(void) { return 4; }
//: main
int main(void)
{
	OPEN("a.so", RTLD_NOW | RTLD_LOCAL);
	say("%d %d\n", CALL(RTLD_DEFAULT, "who"), CALL(RTLD_DEFAULT, "dep"));
	OPEN("a.so", RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
	say("%d %d\n", CALL(RTLD_DEFAULT, "who"), CALL(RTLD_DEFAULT, "dep"));
	OPEN("a.so", RTLD_NOW | RTLD_LOCAL);
	say("%d\n", CALL(RTLD_DEFAULT, "who"));
	return 0;
}
