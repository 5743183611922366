// RTLD_LAZY and a function that nobody defines.
//: lib a.so -Wl,-z,lazy
int gone(void);
int there(int x) { return x ? gone() : 5; }
//: main
int main(void)
{
	void *h = dlopen("a.so", RTLD_LAZY);
	say("%d\n", h ? ((int (*)(int))dlsym(h, "there"))(0) : -1);
	return 0;
}
//: out halite: RTLD_LAZY means RTLD_NOW: a library that is not complete is refused when it is opened, not when it is called
// -1
