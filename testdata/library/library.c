/* What the tests of Load call. The functions offered by the host are undefined. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int host_add(int a, int b);
double host_scale(double x, float y);
long host_many(long a, long b, long c, long d, long e, long f, long g, double x, long h);
int host_again(int depth);
int host_never(int) __attribute__((weak));

static int constructed;
__attribute__((constructor)) static void construct(void) { constructed = 42; }
__attribute__((destructor)) static void destruct(void) { puts("destructed"); }

int constructed_value(void) { return constructed; }
int counter = 7;
void nothing(void) {}
int add(int a, int b) { return a + b; }
double mix(int a, double x, long b, float y) { return a + x + b + y; }
float half(float x) { return x / 2; }
long nine(long a, long b, long c, long d, long e, long f, long g, long h, long i)
{
	return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f + 1000000 * g + 10000000 * h + 100000000 * i;
}
double floats(double a, double b, double c, double d, double e, double f, double g, double h, double i, double j)
{
	return a + b + c + d + e + f + g + h + 100 * i + 1000 * j;
}

uint32_t sum(const uint8_t *p, size_t n)
{
	uint32_t s = 0;
	while (n--) s += *p++;
	return s;
}
void fill(uint8_t *p, size_t n) { for (size_t i = 0; i < n; i++) p[i] = i; }
void invert(uint8_t *p, size_t n) { while (n--) { *p = ~*p; p++; } }
size_t length(const char *s) { return strlen(s); }
int format(char *buf, size_t n, const char *f, ...)
{
	va_list ap;
	va_start(ap, f);
	int r = vsnprintf(buf, n, f, ap);
	va_end(ap);
	return r;
}

struct pair { long a; double b; };
struct big { long v[4]; };
struct pair swap(struct pair p) { return (struct pair){ (long)p.b, (double)p.a }; }
struct big reverse(struct big b, long add)
{
	struct big r;
	for (int i = 0; i < 4; i++) r.v[i] = b.v[3 - i] + add;
	return r;
}

int call_add(int a, int b) { return host_add(a, b); }
double call_scale(double x, float y) { return host_scale(x, y); }
long call_many(void) { return host_many(1, 2, 3, 4, 5, 6, 7, 0.5, 8); }
int have_never(void) { return host_never != 0; }
int apply(int (*f)(int), int x) { return f(x) + 1; }
void repeat(void (*f)(void), long n) { while (n--) f(); }
int again(int depth) { return depth ? host_again(depth - 1) + 1 : 0; }

static jmp_buf env;
int jump_over(int (*f)(int)) { return setjmp(env) ? 1 : f(0); }
void jump(void) { longjmp(env, 1); }

__thread int per_thread;
int next_of_thread(void) { return ++per_thread; }
int meet(int n)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	static int here;
	pthread_mutex_lock(&m);
	here++;
	pthread_cond_broadcast(&c);
	while (here < n) pthread_cond_wait(&c, &m);
	pthread_mutex_unlock(&m);
	return here;
}
static void *thread_main(void *f) { return (void *)(intptr_t)((int (*)(int))f)(5); }
int in_thread(int (*f)(int))
{
	pthread_t t;
	void *r;
	if (pthread_create(&t, 0, thread_main, (void *)f) || pthread_join(t, &r)) return -1;
	return (int)(intptr_t)r;
}

void spin(void) { for (;;) __asm__ volatile(""); }
void crash(void) { *(volatile int *)16 = 1; }
void leave(int code) { exit(code); }
void leave_thread(void) { pthread_exit(0); }
void say(const char *s) { fputs(s, stdout); }
int call_slot(unsigned slot) { return ((int (*)(int))(uintptr_t)(0x10000 + 32 * slot))(1); }
int wait_inside(void) { return ((int (*)(void *, void *))0x11400)(0, 0); }
void *hostile(void) { return (void *)0xfffffff0; }
void *where(volatile char *p, int n)
{
	while (n--) (void)*p;
	return (void *)p;
}
void scribble(volatile char *volatile *where, int (*more)(void))
{
	while (more())
		for (int i = 0; i < 4096; i++) (*where)[i]++;
}

/* What a template holds, and what keeps a library from becoming one. */
static char *kept;
static size_t kept_size;
int count(void) { return ++counter; }
void keep(size_t n)
{
	if (!(kept = malloc(kept_size = n))) abort();
	memset(kept, 1, n);
}
long kept_sum(void)
{
	long sum = 0;
	for (size_t i = 0; i < kept_size; i++) sum += kept[i];
	return sum;
}
void touch(size_t step) { for (size_t i = 0; i < kept_size; i += step) kept[i]++; }
int have_file(const char *name) { return access(name, F_OK) == 0; }
int open_file(const char *name) { return open(name, O_CREAT | O_RDWR, 0666); }
int close_file(int fd) { return close(fd); }
static void *endless(void *arg) { for (;;) pause(); return arg; }
int begin_thread(void) { pthread_t t; return pthread_create(&t, 0, endless, 0); }

/* For a profile: turns in burn, called by profiled. */
__attribute__((noinline)) long burn(long n) { volatile long x = 0; while (n--) x += n; return x; }
__attribute__((noinline)) long profiled(long n) { long x = burn(n); __asm__ volatile("" : "+r"(x)); return x + 1; }
