// What a version script keeps local cannot be found, nor interposed.
//: file v.map
V1 { global: from_a; local: *; };
//: lib a.so -Wl,--version-script=$OUT/v.map
int who(void) { return 1; }
int from_a(void) { return who(); }
//: lib b.so
int who(void) { return 2; }
//: main b.so a.so
int from_a(void);
int main(void) { say("%d %d\n", from_a(), dlsym(OPEN("a.so", RTLD_NOW), "who") == 0); return 0; }
