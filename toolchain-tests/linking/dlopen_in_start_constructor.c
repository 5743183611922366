// The same before main.
//: lib b.so
UP(b)
int b(void) { return 7; }
//: lib a.so
__attribute__((constructor)) static void up(void) { say("a: %d\n", CALL(OPEN("b.so", RTLD_NOW), "b")); }
//: main a.so
UP(main)
int main(void) { say("main\n"); return 0; }
