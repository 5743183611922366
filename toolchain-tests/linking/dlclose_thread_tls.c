// A thread has used a thread-local variable of a library that is then closed; the thread goes on, uses another one's, and ends.
//: lib a.so
__thread int x = 5;
int next(void) { return x++; }
//: lib b.so
__thread int y = 7;
int next(void) { return y++; }
//: main
#include <pthread.h>
static pthread_barrier_t bar;
static void *volatile h;
static void *thread(void *p)
{
	int a = CALL(h, "next") * 10 + CALL(h, "next");
	pthread_barrier_wait(&bar);
	pthread_barrier_wait(&bar);
	int b = CALL(h, "next") * 10 + CALL(h, "next");
	say("%d %d\n", a, b);
	return p;
}
int main(void)
{
	pthread_t t;
	pthread_barrier_init(&bar, 0, 2);
	h = OPEN("a.so", RTLD_NOW);
	pthread_create(&t, 0, thread, 0);
	pthread_barrier_wait(&bar);
	dlclose(h);
	h = OPEN("b.so", RTLD_NOW);
	pthread_barrier_wait(&bar);
	pthread_join(t, 0);
	return 0;
}
