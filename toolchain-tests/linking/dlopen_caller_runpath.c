// dlopen searches the RUNPATH of the library that calls it.
// env: X=1
//: lib sub/b.so
int b(void) { return 3; }
//: lib a.so -Wl,--enable-new-dtags,-rpath,$ORIGIN/sub
int from_a(void) { void *h = dlopen("b.so", RTLD_NOW); return h ? CALL(h, "b") : -1; }
//: main a.so -Wl,--enable-new-dtags,-rpath,$ORIGIN
int from_a(void);
int main(void) { say("%d\n", from_a()); return 0; }
//: out musl: does not ask who calls dlopen
// -1
