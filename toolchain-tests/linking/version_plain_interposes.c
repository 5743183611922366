// An unversioned definition in an earlier library takes the place of a versioned one.
//: file q.map
Q { global: f; local: *; };
//: lib q.so -Wl,--version-script=$OUT/q.map
int f(void) { return 2; }
//: lib user.so q.so
int f(void);
int from_user(void) { return f(); }
//: lib plain.so
int f(void) { return 3; }
//: main plain.so user.so
int from_user(void);
int main(void) { say("%d\n", from_user()); return 0; }
