// Libraries with initial-exec variables come and go while threads are made, end, and fork.
// skip glibc: gives room back in the reverse order of opening alone
// skip musl: refuses it: there is no room in threads that run
//: lib a.so
__thread long x[20] __attribute__((tls_model("initial-exec"))) = { 5, [19] = 7 };
int next(void) { return x[0]++ * 100 + x[19]++ * 10 + x[10]++; }
//: lib b.so
__thread long y[90] __attribute__((tls_model("initial-exec"))) = { [89] = 3 };
int next(void) { return y[89]++ * 10 + y[7]++; }
//: lib c.so
__thread long z[300] = { 2 };
int next(void) { return z[0]++ * 10 + z[299]++; }
//: main
#include <pthread.h>
#include <sys/wait.h>
#define N 2
static pthread_rwlock_t open_lock = PTHREAD_RWLOCK_INITIALIZER;
static void *h[3];
static int done, bad, used;
static void check(int first)
{
	static const int want[] = { 570, 30, 20 };
	for (int i = 0; i < 3; i++) {
		pthread_rwlock_rdlock(&open_lock);
		if (h[i]) {
			int n = CALL(h[i], "next");
			if (first && n != want[i]) bad++;
			used |= 1 << i;
		}
		pthread_rwlock_unlock(&open_lock);
	}
}
static void *shortly(void *p)
{
	check(1);
	return 0;
}
static void *thread(void *p)
{
	for (int n = 0; !__atomic_load_n(&done, __ATOMIC_RELAXED); n++) {
		pthread_t t;
		pthread_create(&t, 0, shortly, 0);
		if (p && n % 8 == 0) {
			int status;
			pid_t c = fork();
			if (!c) {
				void *c = dlopen("c.so", RTLD_NOW);
				_exit(c ? 0 : 1);
			}
			waitpid(c, &status, 0);
			if (status) bad += 1000;
		}
		check(0);
		pthread_join(t, 0);
	}
	return 0;
}
int main(void)
{
	static const char *const names[] = { "a.so", "b.so", "c.so" };
	pthread_t t[N];
	for (long i = 0; i < N; i++)
		pthread_create(&t[i], 0, thread, (void *)i);
	for (int i = 0; i < 400; i++) {
		int k = i * 7 % 3;
		void *p = h[k] ? 0 : OPEN(names[k], RTLD_NOW), *old = h[k];
		pthread_rwlock_wrlock(&open_lock);
		h[k] = p;
		pthread_rwlock_unlock(&open_lock);
		if (old) dlclose(old);
		if (p) {
			int n = CALL(p, "next");
			if (n != (int[]){ 570, 30, 20 }[k]) bad += 1000000;
		}
		if (i % 16 == 0) usleep(1000);
	}
	done = 1;
	for (int i = 0; i < N; i++)
		pthread_join(t[i], 0);
	say("%d %d\n", bad, used);
	return 0;
}
