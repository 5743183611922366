// $ORIGIN in the name that dlopen is given.
//: lib sub/b.so
int b(void) { return 3; }
//: lib sub/a.so
int from_a(void) { void *h = dlopen("$ORIGIN/b.so", RTLD_NOW); return h ? CALL(h, "b") : -1; }
//: main
int main(void) { void *h = dlopen("sub/a.so", RTLD_NOW); say("%d\n", CALL(must(h), "from_a")); return 0; }
//: out musl: replaces it in RPATH and RUNPATH alone
// -1
