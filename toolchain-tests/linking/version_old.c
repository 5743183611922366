// A library that was linked with an older version keeps it, beside others that use the new one.
//: file v.map
V1 { global: f; local: *; };
V2 { global: f; } V1;
//: file old.map
V1 { global: f; local: *; };
//: lib v.so -Wl,--version-script=$OUT/old.map
int f(void) { return 0; }
//: lib old.so v.so
int f(void);
int from_old(void) { return f(); }
//: lib v.so -Wl,--version-script=$OUT/v.map
__asm__(".symver f1, f@V1\n.symver f2, f@@V2");
int f1(void) { return 1; }
int f2(void) { return 2; }
//: lib new.so v.so
int f(void);
int from_new(void) { return f(); }
//: main old.so new.so
int from_old(void), from_new(void);
int main(void) { say("%d %d\n", from_old(), from_new()); return 0; }
//: out musl: takes the default version, whatever was linked against
// 2 2
