// RTLD_NEXT goes on after the caller, through a chain of libraries.
//: lib c.so
int f(void) { return 3; }
//: lib b.so
int f(void) { return CALL(RTLD_NEXT, "f") * 10 + 2; }
//: lib a.so
int f(void) { return CALL(RTLD_NEXT, "f") * 10 + 1; }
//: main a.so b.so c.so -rdynamic
int f(void) { return CALL(RTLD_NEXT, "f") * 10; }
int main(void) { say("%d %d\n", f(), CALL(RTLD_NEXT, "main")); return 0; }
