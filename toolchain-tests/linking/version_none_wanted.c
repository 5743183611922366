// A program that was linked when the library had no versions takes the first one.
//: lib a.so
int f(void) { return 0; }
//: main a.so
int f(void);
int main(void) { say("%d\n", f()); return 0; }
//: file v.map
V1 { global: f; local: *; };
V2 { global: f; } V1;
//: lib a.so -Wl,--version-script=$OUT/v.map
__asm__(".symver f1, f@V1\n.symver f2, f@@V2");
int f1(void) { return 1; }
int f2(void) { return 2; }
//: out musl: takes the default version
// 2
