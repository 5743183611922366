// A symbol with an absolute value has that value wherever its library lies.
//: lib a.so -Wl,--defsym,absolute=0x12345
int a(void) { return 1; }
//: main a.so
int main(void) { say("%d\n", dlsym(OPEN("a.so", RTLD_NOW), "absolute") == (void *)0x12345L); return 0; }
//: out musl: adds the library's address to every symbol's value
// 0
