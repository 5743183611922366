// A library that was opened by its path is found again by its DT_SONAME, though no such file exists.
//: lib a.so -Wl,-soname,liba.so.1
UP(a)
//: main
int main(void)
{
	void *h = OPEN("./a.so", RTLD_NOW);
	say("%d\n", dlopen("liba.so.1", RTLD_NOW) == h);
	return 0;
}
//: out musl: knows a library by the names that it was asked for, not by DT_SONAME
// up a
// 0
