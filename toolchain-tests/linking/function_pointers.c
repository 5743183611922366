// One function has one address, whoever takes it and however.
//: lib a.so
int f(int x) { return x + 1; }
int (*a_takes(void))(int) { return f; }
int (*const a_table[1])(int) = { f };
//: lib b.so a.so
int f(int);
int (*b_takes(void))(int) { return f; }
//: main a.so b.so
int f(int);
int (*a_takes(void))(int), (*b_takes(void))(int);
extern int (*const a_table[1])(int);
int main(void)
{
	void *p = (void *)f;
	say("%d %d %d %d %d\n", p == (void *)a_takes(), p == (void *)b_takes(), p == (void *)a_table[0],
		p == dlsym(RTLD_DEFAULT, "f"), ((int (*)(int))p)(4));
	return 0;
}
