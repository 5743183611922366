// A constructor opens its own library: it is there already, and is not constructed twice.
//: lib a.so
int a(void) { return 3; }
__attribute__((constructor)) static void up(void) { say("up %d\n", CALL(OPEN("a.so", RTLD_NOW), "a")); }
//: main
int main(void) { OPEN("a.so", RTLD_NOW); say("opened\n"); return 0; }
