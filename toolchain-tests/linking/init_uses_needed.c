// A constructor may use what its library needs: data, functions, thread-local variables.
//: lib b.so
__thread int tls = 3;
static int ready;
__attribute__((constructor)) static void up(void) { ready = 5; tls++; }
int state(void) { return ready * 10 + tls; }
//: lib a.so b.so
int state(void);
extern __thread int tls;
__attribute__((constructor)) static void up(void) { tls++; say("constructor sees %d\n", state()); }
//: main a.so
int main(void) { say("main\n"); return 0; }
