// Frames: alloca, variable-length arrays, aligned locals, shrink wrapping,
// large frames, setjmp.
long results[4096];
int nresults;
#define emit(x) (results[nresults++ & 4095] = (long)(x))
#define NI __attribute__((noinline, noclone))
#define alloca __builtin_alloca

void *memcpy(void *d, const void *s, unsigned long n)
{
	char *p = d;
	const char *q = s;
	while (n--) {
		*p++ = *q++;
		__asm__ volatile("");
	}
	return d;
}
void *memset(void *d, int c, unsigned long n)
{
	char *p = d;
	while (n--) {
		*p++ = c;
		__asm__ volatile("");
	}
	return d;
}

NI long use(void *p, int n)
{
	unsigned char *q = p;
	long s = 0;
	for (int i = 0; i < n; i++) {
		q[i] = i * 7;
		s += q[i];
	}
	return s;
}
NI long al(int n)
{
	char *p = alloca(n);
	long s = use(p, n);
	if (n > 50) {
		char *q = alloca(n / 2);
		s += use(q, n / 2) + p[1];
	}
	return s + p[n - 1];
}
NI long vla(int n, int m)
{
	int a[n][m];
	long s = 0;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < m; j++)
			a[i][j] = i * j;
	s = use(a, n * m);
	for (int i = 0; i < n; i++) {
		char b[i + 1];
		s += use(b, i + 1);
	}
	return s + a[n - 1][m - 1];
}
NI long vlaloop(int n)
{
	long s = 0;
again:
	{
		long v[n];
		v[0] = n;
		use(v, n * sizeof *v);
		s += v[0];
		if (--n > 0)
			goto again;
	}
	return s;
}
NI long aligned(int n, long a, long b, long c, long d, long e, long f, long g)
{
	long x[8] __attribute__((aligned(64)));
	for (int i = 0; i < 8; i++)
		x[i] = i * n + g;
	return (((unsigned long)x & 63) == 0) + use(x, sizeof x) + x[7] + f;
}
NI long alignedvar(int n, ...)
{
	__builtin_va_list ap;
	__builtin_va_start(ap, n);
	long x[8] __attribute__((aligned(32)));
	for (int i = 0; i < 8; i++)
		x[i] = __builtin_va_arg(ap, long);
	char *p = alloca(n);
	long s = use(p, n) + (((unsigned long)x & 31) == 0);
	for (int i = 0; i < 8; i++)
		s = s * 3 + x[i];
	__builtin_va_end(ap);
	return s;
}
NI long alignedtail(int n, long g)
{
	long x[4] __attribute__((aligned(64)));
	x[n & 3] = g;
	use(x, 32);
	return al(n + (x[0] & 1));
}
NI long shrink(int n, long *p)
{
	if (n < 0)
		return -1;
	if (!p)
		return n;
	long a = use(p, 8), b = use(p, 16), c = use(p, 24);
	if (a > b)
		return a * b;
	return a + b * 3 + c;
}
NI long large(int n)
{
	char buf[100000];
	use(buf, n);
	return buf[n / 2] + use(buf + 50000, n);
}
NI long leaf(long *p, int n)
{
	volatile long t[6];
	for (int i = 0; i < 6; i++)
		t[i] = p[i % n] * i;
	return t[0] + t[1] + t[2] + t[3] + t[4] + t[5];
}
NI long pushes(long a, long b, long c, long d, long e, long f, long g, long h, long i)
{
	long s = 0;
	long w[3] = {a, b, c};
	for (int k = 0; k < 5; k++)
		s += shrink(k, w) + pushes == 0 ? 0 : a + b + c + d + e + f + g + h + i;
	return s;
}
__attribute__((cold)) NI void rare(long *p) { *p += 1000; }
NI long coldpath(int n)
{
	long s = n;
	char b[40];
	use(b, 40);
	if (__builtin_expect(n == 3, 0)) {
		rare(&s);
		s += b[2];
	}
	if (__builtin_expect(n == 5, 0))
		rare(&s), rare(&s);
	return s + b[3];
}

NI long frameptr(int n)
{
	long *p = __builtin_frame_address(0);
	long k = n;
	use(&k, 8);
	return k + (p != 0);
}

void test(void)
{
	emit(al(10));
	emit(al(100));
	emit(vla(5, 7));
	emit(vlaloop(9));
	emit(aligned(3, 1, 2, 3, 4, 5, 6, 7));
	emit(alignedvar(30, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L));
	emit(alignedtail(20, 5));
	long v[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	emit(shrink(-4, v));
	emit(shrink(4, 0));
	emit(shrink(4, v));
	emit(large(3000));
	emit(leaf(v, 5));
	emit(pushes(1, 2, 3, 4, 5, 6, 7, 8, 9));
	for (int i = 0; i < 7; i++)
		emit(coldpath(i));
	emit(frameptr(77));
}
