// A library that dlopen brings may use what the program exports, and nothing else of it.
//: lib a.so
int offered(void);
int from_a(void) { return offered(); }
//: lib b.so
int kept(void);
int from_b(void) { return kept(); }
//: file list
{ offered; };
//: main -Wl,--dynamic-list=$OUT/list
int offered(void) { return 5; }
int kept(void) { return 6; }
int main(void)
{
	say("%d %d\n", CALL(OPEN("a.so", RTLD_NOW), "from_a"), dlopen("b.so", RTLD_NOW) == 0);
	return 0;
}
