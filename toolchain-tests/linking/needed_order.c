// Of two libraries that define a name, the one that is named first wins, for everybody.
//: lib a.so
int who(void) { return 1; }
int from_a(void) { return who(); }
//: lib b.so
int who(void) { return 2; }
int from_b(void) { return who(); }
//: main b.so a.so
int who(void), from_a(void), from_b(void);
int main(void) { say("%d %d %d\n", who(), from_a(), from_b()); return 0; }
