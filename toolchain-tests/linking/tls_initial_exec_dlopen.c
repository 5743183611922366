// The initial-exec model in a library that dlopen brings.
//: lib a.so
__thread int x __attribute__((tls_model("initial-exec"))) = 5;
int next(void) { return x++; }
//: main
int main(void)
{
	void *h = dlopen("a.so", RTLD_NOW);
	say("%d\n", h ? CALL(h, "next") : -1);
	return 0;
}
//: out musl: refuses it: there is no room in threads that run
// -1
