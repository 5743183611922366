// Alignment of thread-local storage: of the program, of its libraries, of one that dlopen brings, in every thread.
//: lib a.so
__thread char small = 1;
__thread long wide __attribute__((aligned(256))) = 2;
int a(void) { return small + wide + ((unsigned long)&wide % 256 ? 100 : 0); }
//: lib b.so
__thread char odd[3] = "b";
int b(void) { return odd[0] == 'b'; }
//: lib c.so
__thread int x = 4;
__thread long page __attribute__((aligned(1024))) = 5;
int c(void) { return x + page + ((unsigned long)&page % 1024 ? 100 : 0); }
//: main a.so b.so
#include <pthread.h>
int a(void), b(void);
static int (*c)(void);
static __thread long mine __attribute__((aligned(128))) = 3;
static void *thread(void *p)
{
	say("%d %d %d %ld %d\n", a(), b(), c(), mine, (int)((unsigned long)&mine % 128));
	return p;
}
int main(void)
{
	pthread_t t;
	c = (int (*)(void))must(dlsym(OPEN("c.so", RTLD_NOW), "c"));
	thread(0);
	for (int i = 0; i < 3; i++) {
		pthread_create(&t, 0, thread, 0);
		pthread_join(t, 0);
	}
	return 0;
}
