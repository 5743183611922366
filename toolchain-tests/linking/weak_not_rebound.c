// A weak reference that was null when its library was loaded stays null, though a definition comes later.
//: lib a.so
extern int f(void) __attribute__((weak));
int a(void) { return f ? f() : -1; }
//: lib b.so
int f(void) { return 6; }
//: main a.so
int a(void);
int main(void)
{
	int before = a();
	OPEN("b.so", RTLD_NOW | RTLD_GLOBAL);
	say("%d %d\n", before, a());
	return 0;
}
