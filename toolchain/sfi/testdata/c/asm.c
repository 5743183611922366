// Inline assembly, atomics, thread-local storage, vectors, bit operations.
#include <stdint.h>
long results[4096];
int nresults;
#define emit(x) (results[nresults++ & 4095] = (long)(x))
#define NI __attribute__((noinline, noclone))

__thread int tl = 5;
static __thread long tls2[4] = {1, 2, 3, 4};
static __thread char tlc;

NI long tlsuse(int i)
{
	tl += i;
	tls2[i & 3] += tl;
	tlc++;
	long *p = &tls2[i & 1];
	return tl + tls2[0] + *p + tlc + (&tls2[1] - &tls2[0]);
}
NI long atomics(int *p, long *q)
{
	long s = 0;
	s += __atomic_fetch_add(p, 3, __ATOMIC_SEQ_CST);
	s += __atomic_exchange_n(q, 7, __ATOMIC_SEQ_CST);
	int e = 3;
	s += __atomic_compare_exchange_n(p, &e, 9, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	s += e;
	__atomic_or_fetch(q, 32, __ATOMIC_SEQ_CST);
	__atomic_sub_fetch(q, 1, __ATOMIC_RELAXED);
	return s + *p + *q;
}
NI void copy(void *d, const void *s, long n) { __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory"); }
NI void fill(void *d, int v, long n) { __asm__ volatile("cld; rep; stosl" : "+D"(d), "+c"(n) : "a"(v) : "memory"); }
NI long find(const char *s, int c)
{
	long n = 100;
	const char *p = s;
	__asm__ volatile("repne scasb" : "+D"(p), "+c"(n) : "a"(c) : "cc", "memory");
	return p - s;
}
NI int cmp(const char *a, const char *b, long n)
{
	int r;
	__asm__ volatile("cmp %%eax,%%eax; repe cmpsb\n\tseta %b0\n\tsbbb $0,%b0" : "=a"(r), "+S"(a), "+D"(b), "+c"(n) : : "cc", "memory");
	return (signed char)r;
}
NI long misc(long x)
{
	long r;
	__asm__("mov %1, %0\n\tbswap %0 # comment ; not a statement\n\tror $8, %0; not %0 /* two\n lines */" : "=r"(r) : "r"(x));
	int c = 0;
	__asm__ volatile("1: decq %0\n\tjs 2f\n\tincl %1\n\tjmp 1b\n2:" : "+r"(x), "+r"(c));
	__asm__ volatile("lock; addl $1, %0" : "+m"(c));
	__asm__ volatile("pushq %0; popq %1" : : "r"(r), "m"(x));
	__asm__ volatile("pause; rep; nop; mfence" ::: "memory");
	return r + c * 3;
}
NI uint64_t bits(uint64_t x)
{
	return __builtin_popcountll(x) + __builtin_clzll(x) * 3 + __builtin_ctzll(x) * 5 + __builtin_bswap64(x) + (x << 3 | x >> 61);
}
int __popcountdi2(uint64_t x)
{
	int n = 0;
	for (; x; x &= x - 1)
		n++;
	return n;
}
typedef int v4 __attribute__((vector_size(16)));
typedef double v2d __attribute__((vector_size(16)));
NI v4 vec(v4 a, v4 b) { return a * b + (a > b); }
NI double vecd(v2d *p, int n)
{
	v2d s = {0, 0};
	for (int i = 0; i < n; i++)
		s += p[i] * p[i];
	return s[0] + s[1];
}
NI void saxpy(float *y, const float *x, float a, int n)
{
	for (int i = 0; i < n; i++)
		y[i] += a * x[i];
}
NI long hist(unsigned char *p, int n)
{
	unsigned h[256] = {0};
	for (int i = 0; i < n; i++)
		h[p[i]]++;
	long s = 0;
	for (int i = 0; i < 256; i++)
		s = s * 31 + h[i];
	return s;
}
NI long high(unsigned short *p, int n)
{
	long s = 0;
	for (int i = 0; i < n; i++)
		s += (p[i] >> 8) ^ (unsigned char)(p[i] * 3 >> 8);
	return s;
}
NI long cpu(int leaf)
{
	unsigned a = leaf, b, c = 0, d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return a != 0;
}
NI double x87(long double a) { return __builtin_fabsl(a - 5) + a / 3; }
void *memcpy(void *d, const void *s, unsigned long n)
{
	copy(d, s, n);
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

void test(void)
{
	for (int i = 0; i < 6; i++)
		emit(tlsuse(i));
	int a = 0;
	long b = 4;
	emit(atomics(&a, &b));
	char s[64] = "the quick brown fox", t[64];
	copy(t, s, 64);
	emit(find(t, 'k'));
	emit(cmp(s, t, 20));
	t[5]++;
	emit(cmp(s, t, 20));
	t[5] -= 2;
	emit(cmp(s, t, 20));
	fill(t, 0x41424344, 16);
	emit(t[63] + t[0] * 1000);
	emit(misc(23));
	emit(bits(0x123456789abcdef0));
	v4 v = vec((v4){1, 2, 3, 4}, (v4){5, -6, 7, 8});
	emit(v[0] + v[1] * 10 + v[2] * 100 + v[3] * 1000);
	v2d d[3] = {{1, 2}, {3, 4}, {5, 6}};
	emit(vecd(d, 3));
	float x[21], y[21];
	for (int i = 0; i < 21; i++)
		x[i] = i, y[i] = 2 * i;
	saxpy(y, x, 3, 21);
	emit(y[20] + y[7]);
	emit(hist((unsigned char *)s, 64));
	unsigned short h[9] = {0x1234, 0x5678, 0x9abc, 1, 2, 0xffff, 7, 0x8000, 0x0100};
	emit(high(h, 9));
	emit(x87(2) * 1e6);
	emit(cpu(0));
}
