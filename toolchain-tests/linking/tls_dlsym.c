// dlsym of a thread-local variable gives the address of the calling thread's.
//: lib a.so
__thread int x = 5;
int *in_a(void) { return &x; }
//: lib b.so
__thread int y = 6;
int *in_b(void) { return &y; }
//: main a.so
#include <pthread.h>
int *in_a(void);
static void *b;
static void *thread(void *p)
{
	int *(*in_b)(void) = (int *(*)(void))must(dlsym(b, "in_b"));
	say("%d %d\n", dlsym(RTLD_DEFAULT, "x") == in_a(), dlsym(b, "y") == in_b());
	return p;
}
int main(void)
{
	pthread_t t;
	b = OPEN("b.so", RTLD_NOW);
	thread(0);
	pthread_create(&t, 0, thread, 0);
	pthread_join(t, 0);
	return 0;
}
