// A weak reference that nobody satisfies is null: function and variable, in the program and in a library.
//: lib a.so
extern int f(void) __attribute__((weak));
extern int v __attribute__((weak));
int a(void) { return !f + 2 * !&v; }
//: main a.so
int a(void);
extern int g(void) __attribute__((weak));
extern int w __attribute__((weak));
int main(void) { say("%d %d %d\n", a(), g == 0, &w == 0); return 0; }
