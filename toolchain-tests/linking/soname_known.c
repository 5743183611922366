// A name that is the DT_SONAME of a loaded library means that library, whatever its file is called.
//: lib a.so -Wl,-soname,liba.so.1
UP(a)
int who(void) { return 1; }
//: move a.so liba.so.1
//: symlink a.so liba.so.1
//: main a.so
int who(void);
int main(void)
{
	void *h = OPEN("liba.so.1", RTLD_NOW);
	say("%d %d\n", who(), dlsym(h, "who") == (void *)who);
	return 0;
}
