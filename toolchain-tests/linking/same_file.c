// A library under two names, one of them a symbolic link, is loaded once.
//: lib a.so
UP(a)
int counter;
//: symlink b.so a.so
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW), *i = OPEN("b.so", RTLD_NOW), *j = OPEN("./b.so", RTLD_NOW);
	say("%d %d\n", h == i, i == j);
	return 0;
}
