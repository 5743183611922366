// A destructor at the end of the program opens another library, which is constructed, usable and destroyed.
//: lib b.so
UP(b) DOWN(b)
int b(void) { return 4; }
//: lib a.so
__attribute__((destructor)) static void down(void) { say("down a %d\n", CALL(OPEN("b.so", RTLD_NOW), "b")); }
//: main a.so
int main(void) { say("main\n"); return 0; }
//: out glibc: does not destroy what is loaded that late
// main
// up b
// down a 4
//: out musl: dlopen fails while the program ends
// main
// error: Cannot dlopen while program is exiting.
// status 3
