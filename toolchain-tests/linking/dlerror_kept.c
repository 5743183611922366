// A call that succeeds does not take away the message of one that failed.
//: lib a.so
int a(void) { return 1; }
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW);
	dlsym(h, "missing_symbol");
	dlsym(h, "a");
	char *e = dlerror();
	say("%d\n", e && strstr(e, "missing_symbol"));
	return 0;
}
//: out glibc: each call forgets the last one's message
// 0
