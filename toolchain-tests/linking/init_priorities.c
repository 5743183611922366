// Constructors and destructors of one library by their priorities, then as they stand.
//: lib a.so
#define P(n) __attribute__((constructor(n))) static void up_##n(void) { say("up " #n "\n"); } \
	__attribute__((destructor(n))) static void down_##n(void) { say("down " #n "\n"); }
UP(first) P(300) P(101) DOWN(first) UP(second) P(200) DOWN(second)
//: main a.so
int main(void) { say("main\n"); return 0; }
