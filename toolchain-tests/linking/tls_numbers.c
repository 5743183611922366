// Libraries with thread-local storage come and go, and threads use them: the numbers of their modules stay small, and nobody sees what another library left.
// skip musl: never unloads, and knows only one request of dlinfo
//: lib a.so
__thread int x[3] = { 1, 2, 3 };
int next(void) { return x[0]++ + x[1]++ + x[2]++; }
//: lib b.so
__thread char x[7000] = "b";
int next(void) { int n = x[0]++ + x[6999]; x[6999] = x[12] = 9; return n + x[11]; }
//: lib c.so
__thread int x;
int next(void) { return x++; }
//: main
#include <pthread.h>
#define N 4
static pthread_barrier_t bar;
static void *volatile h[3];
static int bad;
static void use(int round, int who)
{
	static const int first[] = { 6, 'b', 0 };
	for (int i = 0; i < 3; i++)
		if (h[i] && (round + who) % 3 != i) {
			int n = CALL(h[i], "next"), m = CALL(h[i], "next");
			if (n != first[i] || m != n + (i == 0 ? 3 : i == 1 ? 10 : 1))
				__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
		}
}
static void *thread(void *p)
{
	for (int i = 0; i < 200; i++) {
		pthread_barrier_wait(&bar);
		use(i, (long)p);
		pthread_barrier_wait(&bar);
	}
	return 0;
}
int main(void)
{
	static const char *const names[] = { "a.so", "b.so", "c.so" };
	pthread_t t[N];
	size_t id, most = 0;
	pthread_barrier_init(&bar, 0, N + 1);
	for (long i = 0; i < N; i++)
		pthread_create(&t[i], 0, thread, (void *)i);
	for (int i = 0; i < 200; i++) {
		for (int k = 0; k < 3; k++)
			if ((i * 7 + k * 3) % 5) {
				h[(i + k) % 3] = OPEN(names[(i + k) % 3], RTLD_NOW);
				if (dlinfo(h[(i + k) % 3], RTLD_DI_TLS_MODID, &id) || !id) say("no number\n");
				if (id > most) most = id;
			}
		pthread_barrier_wait(&bar);
		use(i, N);
		pthread_barrier_wait(&bar);
		for (int k = 0; k < 3; k++)
			if (h[k]) {
				dlclose(h[k]);
				h[k] = 0;
			}
	}
	for (int i = 0; i < N; i++)
		pthread_join(t[i], 0);
	say("%d %d\n", bad, most < 8);
	return 0;
}
