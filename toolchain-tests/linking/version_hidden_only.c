// A function that exists in an old, hidden version alone: its users find it, an unversioned reference does too, and dlsym does not.
//: file old.map
V1 { global: f; local: *; };
//: lib a.so -Wl,--version-script=$OUT/old.map
int f(void) { return 0; }
//: main a.so
int f(void);
int main(void) { say("%d %d\n", f(), CALL(RTLD_DEFAULT, "f")); return 0; }
//: file v.map
V1 { local: *; };
V2 { local: *; } V1;
//: lib a.so -Wl,--version-script=$OUT/v.map
__asm__(".symver f1, f@V1");
int f1(void) { return 1; }
