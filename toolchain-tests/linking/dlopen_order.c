// Constructors of what dlopen brings; those that are constructed already are not constructed again.
//: lib c.so
UP(c)
//: lib b.so c.so
UP(b)
//: lib d.so
UP(d)
//: lib a.so b.so
UP(a)
//: main d.so
int main(void) { OPEN("b.so", RTLD_NOW); say("b is open\n"); OPEN("a.so", RTLD_NOW); OPEN("d.so", RTLD_NOW); return 0; }
