// A function that nobody defines and nobody calls, in a program linked for lazy binding.
// says: undefined symbol: gone, needed by
//: lib a.so
int there(void) { return 1; }
int gone(void) { return 2; }
//: main a.so -Wl,-z,lazy
int there(void), gone(void);
int main(int argc, char **argv) { say("%d\n", there()); return argc > 5 ? gone() : 0; }
//: lib a.so
int there(void) { return 1; }
//: out glibc: binds functions when they are first called; here and in musl everything is bound at the start, so that nothing can fail later
// 1
