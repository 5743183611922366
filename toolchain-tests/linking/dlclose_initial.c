// What the program began with is not unloaded.
//: lib a.so
DOWN(a)
int a(void) { return 4; }
//: main a.so
int a(void);
int main(void) { dlclose(OPEN("a.so", RTLD_NOW)); say("%d\n", a()); return 0; }
