// A destructor closes a library that its own one had opened.
//: lib b.so
DOWN(b)
int b(void) { return 1; }
//: lib a.so
static void *h;
__attribute__((constructor)) static void up(void) { h = OPEN("b.so", RTLD_NOW); }
__attribute__((destructor)) static void down(void) { say("down a %d\n", CALL(h, "b")); dlclose(h); }
//: main
int main(void) { dlclose(OPEN("a.so", RTLD_NOW)); say("closed %d\n", dlopen("b.so", RTLD_NOW | RTLD_NOLOAD) == 0); return 0; }
//: out musl: never unloads; destructors run at the end
// closed 0
// down b
// down a 1
