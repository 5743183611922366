// Two local libraries share one that both need: one set of data, and what it left open is bound to the first one's.
//: lib dep.so
int n;
int who(void);
int asked(void) { return who(); }
int count(void) { return ++n; }
//: lib a.so dep.so
int count(void);
int who(void) { return 1; }
int a(void) { return count(); }
//: lib b.so dep.so
int count(void), asked(void);
int who(void) { return 2; }
int b(void) { return count() * 10 + asked(); }
//: main
int main(void)
{
	void *a = OPEN("a.so", RTLD_NOW), *b = OPEN("b.so", RTLD_NOW);
	say("%d", CALL(a, "a"));
	say(" %d\n", CALL(b, "b"));
	return 0;
}
