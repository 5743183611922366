// A unique symbol has one definition in the process, also among libraries that do not see each other.
//: lib a.so
extern int counter;
__asm__(".pushsection .data\n.type counter, @gnu_unique_object\n.size counter, 4\n.balign 4\ncounter: .long 0\n.popsection");
int *in_a(void) { return &counter; }
//: lib b.so
extern int counter;
__asm__(".pushsection .data\n.type counter, @gnu_unique_object\n.size counter, 4\n.balign 4\ncounter: .long 0\n.popsection");
int *in_b(void) { return &counter; }
//: main
int main(void)
{
	void *a = OPEN("a.so", RTLD_NOW | RTLD_LOCAL), *b = OPEN("b.so", RTLD_NOW | RTLD_LOCAL);
	void *x = ((void *(*)(void))must(dlsym(a, "in_a")))(), *y = ((void *(*)(void))must(dlsym(b, "in_b")))();
	say("%d\n", x == y);
	return 0;
}
//: out musl: treats unique symbols like global ones
// 0
