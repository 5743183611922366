// $ORIGIN in a library's RUNPATH is the library's directory.
// env: LD_LIBRARY_PATH=$LIBS
//: lib sub/deep.so
int who(void) { return 4; }
//: lib a.so sub/deep.so -Wl,--enable-new-dtags,-rpath,$ORIGIN/sub
int who(void);
int from_a(void) { return who(); }
//: main a.so -Wl,-rpath-link,$OUT/sub
int from_a(void);
int main(void) { say("%d\n", from_a()); return 0; }
