// What the program defines takes the place of a library's function, also inside of that library.
//: lib a.so
int who(void) { return 1; }
int from_a(void) { return who(); }
//: main a.so -rdynamic
int from_a(void);
int who(void) { return 9; }
int main(void) { say("%d %d\n", who(), from_a()); return 0; }
