// Each of eight libraries needs the next; the last one's symbol comes from the first, which calls it through all.
//: lib l8.so
int first(void);
int f8(void) { return first() + 1; }
//: lib l7.so l8.so
int f8(void); int f7(void) { return f8() + 1; }
//: lib l6.so l7.so
int f7(void); int f6(void) { return f7() + 1; }
//: lib l5.so l6.so
int f6(void); int f5(void) { return f6() + 1; }
//: lib l4.so l5.so
int f5(void); int f4(void) { return f5() + 1; }
//: lib l3.so l4.so
int f4(void); int f3(void) { return f4() + 1; }
//: lib l2.so l3.so
int f3(void); int f2(void) { return f3() + 1; }
//: lib l1.so l2.so
int f2(void); int first(void) { return 100; } int f1(void) { return f2() + 1; }
//: main l1.so
int f1(void);
int main(void) { say("%d\n", f1()); return 0; }
