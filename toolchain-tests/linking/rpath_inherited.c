// RPATH of the program serves its libraries as well.
// env: X=1
//: lib sub/deep.so
int who(void) { return 4; }
//: lib sub/a.so sub/deep.so
int who(void);
int from_a(void) { return who(); }
//: main sub/a.so -Wl,--disable-new-dtags,-rpath,$ORIGIN/sub -Wl,-rpath-link,$OUT/sub
int from_a(void);
int main(void) { say("%d\n", from_a()); return 0; }
