// A constructor opens another library, which is constructed at once.
//: lib b.so
UP(b)
int b(void) { return 7; }
//: lib a.so
__attribute__((constructor)) static void up(void)
{
	say("a begins\n");
	say("a ends %d\n", CALL(OPEN("b.so", RTLD_NOW), "b"));
}
DOWN(a)
//: main
UP(main)
int main(void) { OPEN("a.so", RTLD_NOW); say("opened\n"); return 0; }
