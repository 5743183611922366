// Hidden and internal symbols are nobody else's: neither by linking nor by dlsym.
//: lib a.so
__attribute__((visibility("hidden"))) int who(void) { return 1; }
__attribute__((visibility("internal"))) int inner(void) { return 3; }
int from_a(void) { return who() * 10 + inner(); }
//: lib b.so
int who(void) { return 2; }
int inner(void) { return 4; }
//: main a.so b.so
int who(void), inner(void), from_a(void);
int main(void)
{
	void *a = OPEN("a.so", RTLD_NOW);
	say("%d %d %d %d\n", who(), inner(), from_a(), dlsym(a, "who") == 0);
	return 0;
}
