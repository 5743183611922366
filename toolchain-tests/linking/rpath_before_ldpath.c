// RPATH comes before LD_LIBRARY_PATH.
// env: LD_LIBRARY_PATH=$LIBS/two
//: lib one/a.so
int who(void) { return 1; }
//: lib two/a.so
int who(void) { return 2; }
//: main one/a.so -Wl,--disable-new-dtags,-rpath,$ORIGIN/one
int who(void);
int main(void) { say("%d\n", who()); return 0; }
//: out musl: LD_LIBRARY_PATH comes first, whatever the file says
// 2
