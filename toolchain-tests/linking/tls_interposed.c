// The program's thread-local variable takes the place of a library's.
//: lib a.so
__thread int x = 1;
__thread int y = 2;
int *in_a(void) { return &x; }
int *y_in_a(void) { return &y; }
//: main a.so -rdynamic
__thread int x = 7;
extern __thread int y;
int *in_a(void), *y_in_a(void);
int main(void) { say("%d %d %d %d\n", *in_a(), in_a() == &x, y, y_in_a() == &y); return 0; }
