// C++ with exceptions, destructors, virtual calls and thread-safe statics.
extern "C" void use(void *, int);
extern "C" int maybe(int);
struct noisy {
	int k;
	noisy(int n) : k(n) { use(this, n); }
	~noisy() { use(this, -k); }
};
struct base {
	virtual ~base();
	virtual int f(int) = 0;
};
base::~base() {}
struct derived : base {
	int v;
	derived(int n) : v(n) {}
	int f(int x) override { return x ? v + x : throw x; }
};
int guarded(int n)
{
	noisy a(1);
	try {
		noisy b(2);
		if (maybe(n))
			throw n;
		noisy c(3);
		return maybe(n + 1);
	} catch (int e) {
		return e + 1;
	} catch (...) {
		noisy d(5);
		return maybe(4);
	}
}
int stackargs(int n)
{
	extern int sum8(int, int, int, int, int, int, int, int, noisy);
	try {
		return sum8(1, 2, 3, 4, 5, 6, 7, n, noisy(9)) + sum8(n, 2, 3, 4, 5, 6, 7, 8, noisy(4));
	} catch (long) {
		return 2;
	}
}
int vlacatch(int n)
{
	char b[n];
	use(b, n);
	try {
		char *c = (char *)__builtin_alloca(n * 2);
		use(c, n);
		noisy d(n);
		return maybe(b[0]);
	} catch (int e) {
		use(b, e);
	}
	return b[1];
}
base *make(int n) { return new derived(n); }
int dispatch(base *b, int n) { return b->f(n) + b->f(n + 1); }
int tailcall(base *b, int n) { return b->f(n); }
noisy &instance()
{
	static noisy the(maybe(3));
	return the;
}
template <typename T> T pick(int n, T a, T b)
{
	switch (n) {
	case 0: return a;
	case 1: return b;
	case 2: return a + b;
	case 3: return a * b;
	case 4: return maybe(n) ? a : b;
	case 5: use(&a, n); return a;
	default: throw a;
	}
}
int picks(int n) { return pick(n, 1, 2) + (int)pick(n, 2.0, 3.0); }
