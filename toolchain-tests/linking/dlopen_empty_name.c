// An empty name means the program, like a null one.
//: main -rdynamic
int mine(void) { return 3; }
int main(void) { void *h = dlopen("", RTLD_NOW); say("%d\n", h ? CALL(h, "mine") : -1); return 0; }
//: out musl: an empty name is an error
// -1
