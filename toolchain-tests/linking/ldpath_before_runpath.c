// LD_LIBRARY_PATH comes before RUNPATH.
// env: LD_LIBRARY_PATH=$LIBS/two
//: lib one/a.so
int who(void) { return 1; }
//: lib two/a.so
int who(void) { return 2; }
//: main one/a.so -Wl,--enable-new-dtags,-rpath,$ORIGIN/one
int who(void);
int main(void) { say("%d\n", who()); return 0; }
