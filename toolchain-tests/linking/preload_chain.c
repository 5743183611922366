// Two preloaded wrappers of one function call each other in their order.
// env: LD_LIBRARY_PATH=$LIBS LD_PRELOAD=p.so:q.so
//: lib a.so
int work(int x) { return x; }
//: lib p.so
int work(int x) { return ((int (*)(int))must(dlsym(RTLD_NEXT, "work")))(x) * 10 + 1; }
//: lib q.so
int work(int x) { return ((int (*)(int))must(dlsym(RTLD_NEXT, "work")))(x) * 10 + 2; }
//: main a.so
int work(int);
int main(void) { say("%d\n", work(5)); return 0; }
