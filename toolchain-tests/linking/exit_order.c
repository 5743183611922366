// atexit functions run before destructors, latest first.
//: lib a.so
static void bye(void) { say("atexit of a\n"); }
__attribute__((constructor)) static void up(void) { say("up a\n"); }
void later(void) { atexit(bye); }
DOWN(a)
//: main a.so
void later(void);
static void bye(void) { say("atexit of main\n"); }
DOWN(main)
int main(void) { later(); atexit(bye); say("main\n"); return 0; }
