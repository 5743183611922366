// A versioned reference does not take the same name from an earlier library that has it in another version, but does from one without versions.
//: file p.map
P { global: f; local: *; };
//: file q.map
Q { global: f; local: *; };
//: lib q.so -Wl,--version-script=$OUT/q.map
int f(void) { return 2; }
//: lib user.so q.so
int f(void);
int from_user(void) { return f(); }
//: lib p.so -Wl,--version-script=$OUT/p.map
int f(void) { return 1; }
//: lib plain.so
int f(void) { return 3; }
//: main p.so user.so
int from_user(void);
int main(void) { say("%d\n", from_user()); return 0; }
//: out musl: takes the first definition, whatever its version
// 1
