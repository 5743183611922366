// A cycle of three libraries, with a tail that it needs: the tail comes first.
//: lib tail.so
UP(tail) DOWN(tail)
//: lib a.so
int a;
//: lib c.so a.so tail.so
UP(c) DOWN(c)
//: lib b.so c.so
UP(b) DOWN(b)
//: lib a.so b.so
UP(a) DOWN(a)
int a;
//: main a.so
int main(void) { say("main\n"); return 0; }
//: out glibc: enters a cycle at another place: in a cycle there is no right order
// up tail
// up b
// up a
// up c
// main
// down c
// down a
// down b
// down tail
