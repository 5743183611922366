// References with a version are served by a library that has none.
//: file v.map
V1 { global: f; local: *; };
//: lib a.so -Wl,--version-script=$OUT/v.map
int f(void) { return 1; }
//: main a.so
int f(void);
int main(void) { say("%d\n", f()); return 0; }
//: lib a.so
int f(void) { return 5; }
