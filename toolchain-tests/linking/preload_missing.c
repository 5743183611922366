// A preloaded library that is not there is passed over.
// env: LD_LIBRARY_PATH=$LIBS LD_PRELOAD=nothing.so
//: lib a.so
int who(void) { return 1; }
//: main a.so
int who(void);
int main(void) { say("%d\n", who()); return 0; }
