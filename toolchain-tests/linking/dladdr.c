// dladdr names the library and the symbol of an address: at its start, inside of it, and for data.
//: lib a.so
int var[10];
int f(int x) { return x * x * x + 7; }
static int hid(void) { return 5; }
void *hidden(void) { return (void *)hid; }
//: main a.so
int f(int);
extern int var[10];
static void show(void *p)
{
	Dl_info i;
	if (!dladdr(p, &i)) { say("none\n"); return; }
	const char *base = strrchr(i.dli_fname, '/');
	say("%s %s %d\n", base ? base + 1 : i.dli_fname, i.dli_sname ? i.dli_sname : "-", i.dli_sname ? (int)((char *)p - (char *)i.dli_saddr) : 0);
}
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW);
	show(dlsym(h, "f"));
	show((char *)dlsym(h, "f") + 1);
	show(dlsym(h, "var"));
	show((char *)dlsym(h, "var") + 12);
	show((void *)16);
	return 0;
}
