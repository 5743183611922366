// A constructor that ends the program: destructors of what was constructed run, those of the rest do not.
//: lib b.so
UP(b) DOWN(b)
//: lib a.so b.so
__attribute__((constructor)) static void up(void) { say("a ends it\n"); exit(0); }
//: main a.so
UP(main) DOWN(main)
int main(void) { say("main\n"); return 0; }
//: out glibc: runs no destructors of libraries before the program's own start code ran
// up b
// a ends it
