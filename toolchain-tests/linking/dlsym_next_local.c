// RTLD_NEXT in a library that dlopen brought goes on among what was opened with it.
//: lib b.so
int f(void) { return 2; }
//: lib a.so b.so
int f(void) { return CALL(RTLD_NEXT, "f") * 10 + 1; }
//: main
int main(void) { say("%d\n", CALL(OPEN("a.so", RTLD_NOW), "f")); return 0; }
