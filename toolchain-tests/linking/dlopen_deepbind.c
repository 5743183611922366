// RTLD_DEEPBIND: the library and what it needs come before the global scope.
//: lib dep.so
int dep(void) { return 1; }
//: lib a.so dep.so
int dep(void);
int who(void) { return 2; }
int from_a(void) { return who() * 10 + dep(); }
//: main -rdynamic
int who(void) { return 8; }
int dep(void) { return 9; }
int main(void) { say("%d\n", CALL(OPEN("a.so", RTLD_NOW | RTLD_DEEPBIND), "from_a")); return 0; }
//: out musl: does not know RTLD_DEEPBIND
// 89
