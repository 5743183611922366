// RTLD_NOLOAD finds what is loaded and loads nothing.
//: lib a.so
UP(a)
//: main
int main(void)
{
	say("%d\n", dlopen("a.so", RTLD_NOW | RTLD_NOLOAD) == 0);
	say("%d\n", dlopen("./a.so", RTLD_NOW | RTLD_NOLOAD) == 0);
	void *h = OPEN("a.so", RTLD_NOW);
	say("%d %d\n", dlopen("a.so", RTLD_NOW | RTLD_NOLOAD) == h, dlopen("./a.so", RTLD_NOW | RTLD_NOLOAD) == h);
	return 0;
}
