// Two libraries define a name in versions of their own: each user gets the one that it was linked against.
//: file p.map
P { global: f; local: *; };
//: file q.map
Q { global: f; local: *; };
//: lib p.so -Wl,--version-script=$OUT/p.map
int f(void) { return 1; }
//: lib q.so -Wl,--version-script=$OUT/q.map
int f(void) { return 2; }
//: lib a.so p.so
int f(void);
int from_a(void) { return f(); }
//: lib b.so q.so
int f(void);
int from_b(void) { return f(); }
//: main a.so b.so
int from_a(void), from_b(void);
int main(void) { say("%d %d\n", from_a(), from_b()); return 0; }
//: out musl: takes the first definition, whatever its version
// 1 1
