// A variable of the program takes the place of one of the same name in two libraries.
//: lib a.so
int shared = 1;
int *in_a(void) { return &shared; }
//: lib b.so
int shared = 2;
int *in_b(void) { return &shared; }
//: main a.so b.so -rdynamic
int shared = 3;
int *in_a(void), *in_b(void);
int main(void) { *in_a() += 10; say("%d %d %d\n", shared, in_a() == &shared, in_b() == &shared); return 0; }
