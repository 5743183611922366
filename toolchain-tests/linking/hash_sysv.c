// Many symbols in a System V hash table.
//: lib a.so -Wl,--hash-style=sysv
#define F(n) int f##n(void) { return n; }
#define T(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)
T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12)
//: main a.so
int f10(void), f129(void);
int main(void)
{
	int sum = 0;
	void *h = OPEN("a.so", RTLD_NOW);
	for (int i = 10; i < 130; i++) {
		char name[20];
		snprintf(name, sizeof name, "f%d", i);
		sum += ((int (*)(void))must(dlsym(h, name)))();
	}
	say("%d %d %d %d %d\n", sum, f10(), f129(), dlsym(h, "f130") == 0, dlsym(h, "f9") == 0);
	return 0;
}
