// A program does not start when a library lacks a version that it was linked against.
// says: a.so: version V2 not defined, needed by
//: file v.map
V1 { global: f; local: *; };
V2 { global: g; } V1;
//: file old.map
V1 { global: *; };
//: lib a.so -Wl,--version-script=$OUT/v.map
int f(void) { return 1; }
int g(void) { return 2; }
//: main a.so
int f(void), g(void);
int main(void) { say("%d %d\n", f(), g()); return 0; }
//: lib a.so -Wl,--version-script=$OUT/old.map
int f(void) { return 3; }
int g(void) { return 4; }
//: out musl: does not look at versions of references
// 3 4
