// A thread-local variable of one library, used by another and by the program.
//: lib a.so
__thread int x = 5;
int *in_a(void) { return &x; }
//: lib b.so a.so
extern __thread int x;
int *in_b(void) { return &x; }
//: main b.so a.so
#include <pthread.h>
extern __thread int x;
int *in_a(void), *in_b(void);
static void *thread(void *p)
{
	say("%d %d %d %d\n", x, in_a() == &x, in_b() == &x, p != (void *)&x);
	x = 9;
	return 0;
}
int main(void)
{
	pthread_t t;
	x = 6;
	say("%d %d\n", in_a() == &x, in_b() == &x);
	pthread_create(&t, 0, thread, &x);
	pthread_join(t, 0);
	say("%d\n", *in_a());
	return 0;
}
