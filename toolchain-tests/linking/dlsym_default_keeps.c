// A library in which RTLD_DEFAULT found something stays as long as the caller does: the caller has the address.
//: lib a.so
DOWN(a)
int who(void) { return 1; }
//: main
int main(void)
{
	void *a = OPEN("a.so", RTLD_NOW | RTLD_GLOBAL);
	int (*who)(void) = (int (*)(void))must(dlsym(RTLD_DEFAULT, "who"));
	dlclose(a);
	say("%d\n", who());
	return 0;
}
