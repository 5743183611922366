// The local-dynamic model: several static thread-local variables of one library.
//: lib a.so -ftls-model=local-dynamic
static __thread int a = 1, b, c = 3;
static __thread char d[50] = "four";
int sum(void) { b += 10; return a + b + c + (d[0] == 'f'); }
//: main
#include <pthread.h>
static int (*sum)(void);
static void *thread(void *p) { sum(); say("%d\n", sum()); return p; }
int main(void)
{
	pthread_t t;
	sum = (int (*)(void))must(dlsym(OPEN("a.so", RTLD_NOW), "sum"));
	say("%d\n", sum());
	pthread_create(&t, 0, thread, 0);
	pthread_join(t, 0);
	say("%d\n", sum());
	return 0;
}
