// A library that two others need exists once, with one set of data.
//: lib base.so
int counter;
int *where(void) { return &counter; }
UP(base)
//: lib l.so base.so
extern int counter;
int *l(void) { counter++; return &counter; }
//: lib r.so base.so
extern int counter;
int *r(void) { counter++; return &counter; }
//: main l.so r.so
int *l(void), *r(void);
int main(void) { say("%d", l() == r()); say(" %d\n", *l()); return 0; }
