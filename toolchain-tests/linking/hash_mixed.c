// The order of libraries counts, not the kind of their tables.
//: lib a.so -Wl,--hash-style=sysv
int x(void) { return 1; }
//: lib b.so -Wl,--hash-style=gnu
int x(void) { return 2; }
int y(void) { return 2; }
//: lib c.so -Wl,--hash-style=both
int y(void) { return 3; }
int z(void) { return 3; }
//: lib d.so -Wl,--hash-style=sysv
int z(void) { return 4; }
//: main a.so b.so c.so d.so
int x(void), y(void), z(void);
int main(void) { say("%d %d %d\n", x(), y(), z()); return 0; }
