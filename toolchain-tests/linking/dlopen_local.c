// RTLD_LOCAL: nobody else sees the library's symbols, nor those of what it needs; it sees them itself.
//: lib dep.so
int dep(void) { return 3; }
//: lib a.so dep.so
int dep(void);
int who(void) { return dep() + 1; }
int from_a(void) { return who(); }
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW | RTLD_LOCAL);
	say("%d %d %d %d %d\n", CALL(h, "from_a"), CALL(h, "dep"), CALL(RTLD_DEFAULT, "who"), CALL(RTLD_DEFAULT, "dep"),
		CALL(OPEN(0, RTLD_NOW), "who"));
	return 0;
}
