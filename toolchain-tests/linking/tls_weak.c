// A thread-local variable in two libraries: the first one's is used by both.
//: lib a.so
__thread int x = 1;
int *in_a(void) { return &x; }
//: lib b.so
__attribute__((weak)) __thread int x = 2;
int *in_b(void) { return &x; }
//: main a.so b.so
int *in_a(void), *in_b(void);
int main(void) { say("%d %d\n", *in_b(), in_a() == in_b()); return 0; }
