// Constructors of what a library needs come first, destructors last.
//: lib c.so
UP(c) DOWN(c)
//: lib b.so c.so
UP(b) DOWN(b)
//: lib a.so b.so
UP(a) DOWN(a)
//: main a.so
UP(main) DOWN(main)
int main(void) { say("main\n"); return 0; }
