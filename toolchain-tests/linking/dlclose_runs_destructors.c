// dlclose runs destructors of what nobody uses any more, in the right order, and not again at the end.
//: lib c.so
UP(c) DOWN(c)
//: lib b.so c.so
UP(b) DOWN(b)
//: main
DOWN(main)
int main(void) { dlclose(OPEN("b.so", RTLD_NOW)); say("closed\n"); return 0; }
//: out musl: never unloads; destructors run at the end
// up c
// up b
// closed
// down b
// down c
// down main
