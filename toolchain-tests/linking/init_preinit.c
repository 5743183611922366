// DT_PREINIT_ARRAY of the program comes before the constructors of its libraries.
//: lib a.so
UP(a)
//: main a.so
static void early(void) { say("preinit\n"); }
__attribute__((section(".preinit_array"), used)) static void (*entry)(void) = early;
UP(main)
int main(void) { say("main\n"); return 0; }
//: out musl: ignores DT_PREINIT_ARRAY
// up a
// up main
// main
