// Two libraries that need each other: both are constructed, and destroyed in the reverse order.
//: lib a.so
int a;
//: lib b.so a.so
UP(b) DOWN(b)
//: lib a.so b.so
UP(a) DOWN(a)
int a;
//: main a.so
int main(void) { say("main\n"); return 0; }
//: out glibc: enters a cycle at another place: in a cycle there is no right order
// up a
// up b
// main
// down b
// down a
