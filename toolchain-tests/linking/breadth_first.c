// Breadth first: what a library of the program defines comes before what only that library's own needs define.
//: lib deep.so
int who(void) { return 1; }
//: lib a.so deep.so
int a(void) { return 0; }
//: lib b.so
int who(void) { return 2; }
//: main a.so b.so
int who(void);
int main(void) { say("%d\n", who()); return 0; }
