// Protected symbols: others can use them, but the library itself is bound to its own.
//: lib a.so
int who(void) { return 1; }
//: lib b.so
__attribute__((visibility("protected"))) int who(void) { return 2; }
__attribute__((visibility("protected"))) int only(void) { return 3; }
int from_b(void) { return who() * 10 + only(); }
//: main a.so b.so
int who(void), only(void), from_b(void);
int main(void) { say("%d %d %d\n", who(), only(), from_b()); return 0; }
