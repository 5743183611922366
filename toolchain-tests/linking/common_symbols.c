// Uninitialised variables without an owner, in two libraries, are one.
//: lib a.so -fcommon
int tentative;
int *in_a(void) { return &tentative; }
//: lib b.so -fcommon
int tentative;
int *in_b(void) { return &tentative; }
//: main a.so b.so
int *in_a(void), *in_b(void);
int main(void) { *in_b() = 4; say("%d %d\n", in_a() == in_b(), *in_a()); return 0; }
