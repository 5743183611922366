// Libraries with thread-local storage come and go; each has its own values, in each of two threads.
//: lib a.so
__thread int x = 1;
int *at(void) { return &x; }
//: lib b.so
__thread char pad[333];
__thread int x = 2;
int *at(void) { return &x; }
//: lib c.so
__thread int x __attribute__((aligned(64))) = 3;
int *at(void) { return &x; }
//: main
#include <pthread.h>
static void *volatile handle[3];
static int add(int i) { return ++*((int *(*)(void))dlsym(handle[i], "at"))(); }
static pthread_barrier_t bar;
static int other;
static void *thread(void *p)
{
	for (int round = 0; round < 4; round++) {
		pthread_barrier_wait(&bar);
		for (int i = 0; i < 3; i++)
			other = other * 3 + add(i);
		pthread_barrier_wait(&bar);
	}
	return p;
}
int main(void)
{
	static const char *const names[] = { "a.so", "b.so", "c.so" };
	pthread_t t;
	int sum = 0;
	pthread_barrier_init(&bar, 0, 2);
	pthread_create(&t, 0, thread, 0);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 3; i++)
			handle[i] = OPEN(names[i], RTLD_NOW);
		pthread_barrier_wait(&bar);
		for (int i = 0; i < 3; i++)
			sum = sum * 3 + add(i);
		pthread_barrier_wait(&bar);
		say("%d %d\n", sum, other);
		for (int i = 0; i < 3; i++)
			dlclose(handle[(i + round) % 3]);
	}
	pthread_join(t, 0);
	return 0;
}
//: out musl: never unloads
// 31 31
// 881 881
// 23844 23844
// 643858 643858
