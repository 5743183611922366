// RUNPATH of the program serves the program's own needs, not those of its libraries.
// env: X=1
// says: deep.so: not found, needed by
//: lib sub/deep.so
int who(void) { return 4; }
//: lib sub/a.so sub/deep.so
int who(void);
int from_a(void) { return who(); }
//: main sub/a.so -Wl,--enable-new-dtags,-rpath,$ORIGIN/sub -Wl,-rpath-link,$OUT/sub
int from_a(void);
int main(void) { say("%d\n", from_a()); return 0; }
//: out musl: treats RUNPATH like RPATH: both are inherited
// 4
