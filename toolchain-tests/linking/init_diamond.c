// A diamond whose sides depend on each other has one order.
//: lib base.so
UP(base) DOWN(base)
//: lib l.so base.so
UP(l) DOWN(l)
//: lib r.so base.so l.so
UP(r) DOWN(r)
//: lib top.so r.so l.so
UP(top) DOWN(top)
//: main top.so
int main(void) { say("main\n"); return 0; }
