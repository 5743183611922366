// Without RTLD_DEEPBIND the program's definitions come before the library's own.
//: lib a.so
int who(void) { return 2; }
int from_a(void) { return who(); }
//: main -rdynamic
int who(void) { return 8; }
int main(void) { void *h = OPEN("a.so", RTLD_NOW); say("%d %d\n", CALL(h, "from_a"), CALL(h, "who")); return 0; }
