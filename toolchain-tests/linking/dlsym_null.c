// A symbol whose value is null is no error for dlsym, unlike one that is not there.
//: lib a.so -Wl,--defsym,nothing=0
int a(void) { return 1; }
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW);
	dlerror();
	say("%d", dlsym(h, "nothing") == 0);
	say(" %d", dlerror() == 0);
	say(" %d", dlsym(h, "absent") == 0);
	say(" %d\n", dlerror() != 0);
	return 0;
}
//: out musl: takes a symbol whose value is 0 for undefined
// 1 0 1 1
