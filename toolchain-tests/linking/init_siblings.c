// Constructors of libraries that do not need each other.
//: lib a.so
UP(a) DOWN(a)
//: lib b.so
UP(b) DOWN(b)
//: lib c.so
UP(c) DOWN(c)
//: main a.so b.so c.so
int main(void) { say("main\n"); return 0; }
//: out glibc: constructors of libraries that do not need each other run in the reverse order of loading; here and in musl in the order of loading
// up c
// up b
// up a
// main
// down a
// down b
// down c
