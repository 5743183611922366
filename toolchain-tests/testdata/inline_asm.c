// Inline assembly: arithmetic, flags, cpuid, xchg, lock cmpxchg, memory operands, bit scans, local labels, system call.
// opt: -O0 -O2
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
static long add(long a, long b) { long r; __asm__("leaq (%1,%2), %0" : "=r"(r) : "r"(a), "r"(b)); return r; }
static int bsf(unsigned v) { int r; __asm__("bsfl %1, %0" : "=r"(r) : "rm"(v) : "cc"); return r; }
static unsigned swap(unsigned *p, unsigned v) { __asm__ volatile("xchgl %0, %1" : "+r"(v), "+m"(*p) : : "memory"); return v; }
static int cas(long *p, long old, long new)
{
	char ok;
	__asm__ volatile("lock; cmpxchgq %3, %1\n\tsete %0" : "=q"(ok), "+m"(*p), "+a"(old) : "r"(new) : "memory", "cc");
	return ok;
}
static int cas_prefix(int *p, int old, int new)
{
	__asm__ volatile("lock cmpxchgl %2, %1" : "+a"(old), "+m"(*p) : "r"(new) : "memory", "cc");
	return old;
}
static void inc(int *p) { __asm__ volatile("lock\n\tincl %0" : "+m"(*p) : : "cc"); }
static int loop(int n) { int r = 0; __asm__("1: addl %1, %0\n\tdecl %1\n\tjnz 1b" : "+r"(r), "+r"(n) : : "cc"); return r; }
static unsigned long mul(unsigned long a, unsigned long b, unsigned long *hi) { unsigned long lo; __asm__("mulq %3" : "=a"(lo), "=d"(*hi) : "a"(a), "rm"(b) : "cc"); return lo; }
static long sys_write(int fd, const char *s, long n)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_write), "D"((long)fd), "S"(s), "d"(n) : "rcx", "r11", "memory");
	return r;
}
static int flag(int a, int b) { int r; __asm__("cmpl %2, %1" : "=@ccl"(r) : "r"(a), "r"(b)); return r; }
static int jump(int x) { __asm__ goto("testl %0, %0\n\tjs %l1" : : "r"(x) : "cc" : neg); return 1; neg: return -1; }
static double sqrt_asm(double x) { double r; __asm__("sqrtsd %1, %0" : "=x"(r) : "xm"(x)); return r; }
static long double x87(long double x) { __asm__("fsqrt" : "+t"(x)); return x; }
static unsigned char high(unsigned v) { unsigned char r; __asm__("movb %h1, %0" : "=Q"(r) : "Q"(v)); return r; }
int main(void)
{
	printf("%ld %d %d\n", add(40, 2), bsf(0x50), loop(100));
	unsigned u = 5;
	unsigned o = swap(&u, 9);
	printf("%u %u\n", o, u);
	long l = 7;
	int c1 = cas(&l, 7, 8), c2 = cas(&l, 7, 9);
	printf("%d %d %ld\n", c1, c2, l);
	int i = 3, r = cas_prefix(&i, 3, 30);
	inc(&i);
	printf("%d %d\n", r, i);
	unsigned long hi, lo = mul(0xffffffffffffffff, 0x123456789, &hi);
	printf("%lx %lx\n", hi, lo);
	fflush(stdout);
	printf("%ld\n", sys_write(1, "direct\n", 7));
	printf("%d %d %d %d\n", flag(1, 2), flag(2, 1), jump(5), jump(-5));
	printf("%g %Lg %x\n", sqrt_asm(2.25), x87(6.25L), high(0xabcd));
	unsigned a, b, c, d;
	__cpuid(0, a, b, c, d);
	printf("%d\n", a > 0 && b && c && d);
	__asm__ volatile("" : : : "memory");
	return 0;
}
