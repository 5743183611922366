// A weak definition in an earlier library wins over a strong one in a later one.
//: lib a.so
__attribute__((weak)) int who(void) { return 1; }
//: lib b.so
int who(void) { return 2; }
//: main a.so b.so
int who(void);
int main(void) { say("%d\n", who()); return 0; }
