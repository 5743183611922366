// A preloaded function without a version takes the place of a versioned one.
// env: LD_LIBRARY_PATH=$LIBS LD_PRELOAD=p.so
//: file v.map
V1 { global: f; local: *; };
//: lib a.so -Wl,--version-script=$OUT/v.map
int f(void) { return 1; }
//: lib p.so
int f(void) { return 5; }
//: main a.so
int f(void);
int main(void) { say("%d\n", f()); return 0; }
