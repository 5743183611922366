// Of two versions of a function, new programs get the default one.
//: file v.map
V1 { global: f; local: *; };
V2 { global: f; } V1;
//: lib v.so -Wl,--version-script=$OUT/v.map
__asm__(".symver f1, f@V1\n.symver f2, f@@V2");
int f1(void) { return 1; }
int f2(void) { return 2; }
//: main v.so
int f(void);
int main(void) { say("%d %d\n", f(), CALL(RTLD_DEFAULT, "f")); return 0; }
