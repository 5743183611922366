// A library with more initial-exec variables than threads have room for is refused, also when others have taken it; what they had is free after they are closed.
// skip musl: refuses it: there is no room in threads that run
//: lib big.so
__thread char x[100000] __attribute__((tls_model("initial-exec")));
char *at(void) { return x; }
//: lib a.so
__thread char x[300] __attribute__((tls_model("initial-exec"))) = "a";
int next(void) { return x[0]++ + x[299]++; }
//: lib b.so
__thread char x[300] __attribute__((tls_model("initial-exec"))) = "b";
int next(void) { return x[0]++ + x[299]++; }
//: lib c.so
__thread char x[1400] __attribute__((tls_model("initial-exec"))) = "c";
int next(void) { return x[0]++ + x[1399]++; }
//: main
int main(void)
{
	say("%d\n", dlopen("big.so", RTLD_NOW) != 0);
	say("%d\n", dlerror() != 0);
	for (int i = 0; i < 100; i++) {
		void *a = OPEN(i & 1 ? "a.so" : "b.so", RTLD_NOW), *c = dlopen("c.so", RTLD_NOW);
		int n = c ? 1 : CALL(a, "next");
		dlclose(a);
		if (!c && !(c = dlopen("c.so", RTLD_NOW))) {
			say("no room\n");
			break;
		}
		n = n * 1000 + CALL(c, "next");
		dlclose(c);
		if (i < 4) say("%d\n", n);
	}
	return 0;
}
//: out glibc: gives room back in the reverse order of opening alone
// 0
// 1
// 1099
// no room
