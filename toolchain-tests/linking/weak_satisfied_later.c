// A weak reference is bound to a definition in a library that is named later.
//: lib a.so
extern int f(void) __attribute__((weak));
int a(void) { return f ? f() : -1; }
//: lib b.so
int f(void) { return 6; }
//: main a.so b.so
int a(void);
int main(void) { say("%d\n", a()); return 0; }
