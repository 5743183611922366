// -Bsymbolic-functions binds functions at home, and leaves variables.
//: lib a.so
int who(void) { return 1; }
int value = 1;
//: lib b.so -Wl,-Bsymbolic-functions
int who(void) { return 2; }
int value = 2;
int from_b(void) { return who() * 10 + value; }
//: main a.so b.so
int who(void), from_b(void);
int main(void) { say("%d %d\n", who(), from_b()); return 0; }
