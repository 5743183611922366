// A variable in two versions.
//: file v.map
V1 { global: x; local: *; };
V2 { global: x; } V1;
//: file old.map
V1 { global: x; local: *; };
//: lib v.so -Wl,--version-script=$OUT/old.map
int x = 0;
//: lib old.so v.so
extern int x;
int *from_old(void) { return &x; }
//: lib v.so -Wl,--version-script=$OUT/v.map
__asm__(".symver x1, x@V1\n.symver x2, x@@V2");
int x1 = 1, x2 = 2;
//: lib new.so v.so
extern int x;
int *from_new(void) { return &x; }
//: main old.so new.so
int *from_old(void), *from_new(void);
int main(void) { say("%d %d %d\n", *from_old(), *from_new(), from_old() == from_new()); return 0; }
//: out musl: takes the default version, whatever was linked against
// 2 2 1
