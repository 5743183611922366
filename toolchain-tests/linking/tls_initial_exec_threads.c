// Initial-exec variables of a library that dlopen brings: in threads that run already and in later ones, again after the library was closed.
// skip musl: refuses it: there is no room in threads that run
//: lib a.so
__thread char pad[41] __attribute__((tls_model("initial-exec")));
__thread long x __attribute__((tls_model("initial-exec"))) = 5;
int next(void) { pad[0]++; pad[40]++; return x++ * 100 + pad[0] * 10 + pad[40]; }
//: lib b.so
static __thread int y[100] __attribute__((tls_model("initial-exec"), aligned(64)));
int next(void) { return ((long)y & 63) * 1000 + (y[99] += 7); }
//: main
#include <pthread.h>
#define N 3
static pthread_barrier_t bar;
static void *volatile a, *volatile b;
static int sum[N];
static void *thread(void *p)
{
	int *at = p;
	for (int i = 0; i < 3; i++) {
		pthread_barrier_wait(&bar);
		*at = CALL(a, "next");
		*at = *at * 1000 + CALL(a, "next") % 1000;
		*at += CALL(b, "next");
		*at += CALL(b, "next");
		pthread_barrier_wait(&bar);
	}
	return 0;
}
static void *later(void *p)
{
	say("%d %d\n", CALL(a, "next"), CALL(b, "next"));
	return 0;
}
int main(void)
{
	pthread_t t[N], u;
	pthread_barrier_init(&bar, 0, N + 1);
	for (int i = 0; i < N; i++)
		pthread_create(&t[i], 0, thread, &sum[i]);
	for (int i = 0; i < 3; i++) {
		a = OPEN("a.so", RTLD_NOW);
		b = OPEN("b.so", RTLD_NOW);
		pthread_barrier_wait(&bar);
		pthread_barrier_wait(&bar);
		pthread_create(&u, 0, later, 0);
		pthread_join(u, 0);
		say("%d %d %d %d %d\n", sum[0], sum[1], sum[2], CALL(a, "next"), CALL(b, "next"));
		dlclose(i & 1 ? a : b);
		dlclose(i & 1 ? b : a);
	}
	for (int i = 0; i < N; i++)
		pthread_join(t[i], 0);
	return 0;
}
