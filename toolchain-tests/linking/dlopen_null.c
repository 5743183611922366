// The handle of the program sees the global scope, and what becomes global later.
//: lib a.so
int from_a(void) { return 1; }
//: lib b.so
int from_b(void) { return 2; }
//: main a.so -rdynamic
int mine(void) { return 3; }
int main(void)
{
	void *h = OPEN(0, RTLD_NOW);
	say("%d %d %d", CALL(h, "mine"), CALL(h, "from_a"), CALL(h, "from_b"));
	OPEN("b.so", RTLD_NOW | RTLD_GLOBAL);
	say(" %d %d %d\n", CALL(h, "from_b"), dlclose(h), CALL(OPEN(0, RTLD_NOW), "mine"));
	return 0;
}
