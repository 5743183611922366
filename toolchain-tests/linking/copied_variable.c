// A variable that the program may hold a copy of is one variable for all.
//: lib a.so
int shared = 5;
int other = 6;
int get(void) { return shared; }
void set(int x) { shared = x; }
int *where(void) { return &shared; }
//: main a.so
extern int shared, other;
int get(void), *where(void);
void set(int);
int main(void)
{
	say("%d %d %d", shared, get(), where() == &shared);
	shared = 7;
	say(" %d", get());
	set(8);
	say(" %d %d %d\n", shared, other, dlsym(RTLD_DEFAULT, "shared") == &shared);
	return 0;
}
