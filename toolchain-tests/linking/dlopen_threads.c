// Many threads open the same libraries at the same time: each is constructed once, and complete when dlopen returns.
//: lib dep.so
static int n;
__attribute__((constructor)) static void up(void) { say("up dep\n"); usleep(20000); n++; }
int count(void) { return n; }
//: lib a.so dep.so
int count(void);
static int n;
__attribute__((constructor)) static void up(void) { say("up a\n"); usleep(20000); n++; }
int both(void) { return n * 10 + count(); }
//: main
#include <pthread.h>
static void *thread(void *p)
{
	int sum = 0;
	for (int i = 0; i < 20; i++) {
		void *h = OPEN("a.so", RTLD_NOW);
		sum += CALL(h, "both") == 11;
		dlclose(OPEN("dep.so", RTLD_NOW));
	}
	return (void *)(long)sum;
}
int main(void)
{
	pthread_t t[6];
	int sum = 0;
	for (int i = 0; i < 6; i++)
		pthread_create(&t[i], 0, thread, 0);
	for (int i = 0; i < 6; i++) {
		void *r;
		pthread_join(t[i], &r);
		sum += (int)(long)r;
	}
	say("%d\n", sum);
	return 0;
}
