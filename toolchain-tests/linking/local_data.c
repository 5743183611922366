// Static data of the same name in several libraries stay apart.
//: lib a.so
static int n;
int a(void) { return ++n; }
//: lib b.so
static int n = 10;
int b(void) { return ++n; }
//: main a.so b.so
static int n = 20;
int a(void), b(void);
int main(void) { a(); b(); say("%d %d %d\n", a(), b(), n); return 0; }
