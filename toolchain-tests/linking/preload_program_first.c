// The program's own definition comes before a preloaded one, even a weak one.
// env: LD_LIBRARY_PATH=$LIBS LD_PRELOAD=p.so
//: lib p.so
int who(void) { return 5; }
int other(void) { return 6; }
//: lib a.so
int who(void);
int other(void) { return 7; }
int from_a(void) { return who() * 10 + other(); }
//: main a.so -rdynamic
int from_a(void);
__attribute__((weak)) int who(void) { return 1; }
int main(void) { say("%d %d\n", who(), from_a()); return 0; }
