// A handle sees its library first, then what that needs, breadth first, and nothing else.
//: lib deep.so
int x(void) { return 1; }
int y(void) { return 1; }
//: lib b.so deep.so
int z(void) { return 2; }
//: lib c.so
int x(void) { return 3; }
//: lib a.so b.so c.so
int y(void) { return 4; }
//: main -rdynamic
int z(void) { return 9; }
int mine(void) { return 9; }
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW);
	say("%d %d %d %d\n", CALL(h, "x"), CALL(h, "y"), CALL(h, "z"), CALL(h, "mine"));
	return 0;
}
