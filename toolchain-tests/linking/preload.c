// A preloaded library comes before the program's own ones.
// env: LD_LIBRARY_PATH=$LIBS LD_PRELOAD=$LIBS/p.so
//: lib a.so
int who(void) { return 1; }
int from_a(void) { return who(); }
UP(a)
//: lib p.so
int who(void) { return 7; }
UP(p)
//: main a.so
int who(void), from_a(void);
int main(void) { say("%d %d\n", who(), from_a()); return 0; }
//: out glibc: constructors of libraries that do not need each other run in the reverse order of loading; here and in musl in the order of loading
// up a
// up p
// 7 7
