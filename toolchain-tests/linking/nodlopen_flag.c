// A library linked with -z nodlopen can be needed, but not opened.
//: lib a.so -Wl,-z,nodlopen
int a(void) { return 1; }
//: main
int main(void) { say("%d\n", dlopen("a.so", RTLD_NOW) == 0); return 0; }
//: out musl: does not know the flag
// 0
