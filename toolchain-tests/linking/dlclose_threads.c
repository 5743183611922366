// Threads open, use and close two libraries, one of which needs the other, all at the same time; each finds what it calls, and constructed.
//: lib dep.so
static int ready;
__attribute__((constructor)) static void up(void) { ready = 1; }
__attribute__((destructor)) static void down(void) { ready = 0; }
int dep(void) { return ready; }
//: lib a.so dep.so
int dep(void);
__thread int count = 1;
int a(void) { return dep() + count; }
//: main
#include <pthread.h>
static void *thread(void *p)
{
	long good = 0;
	for (int i = 0; i < 60; i++) {
		void *d = OPEN("dep.so", RTLD_NOW), *h = OPEN("a.so", RTLD_NOW);
		good += CALL(h, "a") == 2;
		dlclose(d);
		good += CALL(h, "a") == 2;
		dlclose(h);
	}
	return (void *)good;
}
int main(void)
{
	pthread_t t[4];
	long sum = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], 0, thread, 0);
	for (int i = 0; i < 4; i++) {
		void *r;
		pthread_join(t[i], &r);
		sum += (long)r;
	}
	say("%ld\n", sum);
	return 0;
}
