// Many libraries with thread-local storage, one of them large: all are apart.
//: lib a.so
__thread char a[5000] = "a";
char *pa(void) { return a; }
//: lib b.so
__thread char b[3] = "b";
char *pb(void) { return b; }
//: lib c.so
__thread char c[70000];
char *pc(void) { return c; }
//: lib d.so
__thread char d[1] = { 'd' };
char *pd(void) { return d; }
//: main a.so b.so c.so d.so
#include <pthread.h>
char *pa(void), *pb(void), *pc(void), *pd(void);
static void *thread(void *p)
{
	say("%c %c %d %c", *pa(), *pb(), pc()[69999], *pd());
	memset(pa(), 1, 5000); memset(pb(), 2, 3); memset(pc(), 3, 70000); memset(pd(), 4, 1);
	say(" %d %d %d %d %d %d\n", pa()[0], pa()[4999], pb()[2], pc()[0], pc()[69999], *pd());
	return p;
}
int main(void)
{
	pthread_t t;
	thread(0);
	pthread_create(&t, 0, thread, 0);
	pthread_join(t, 0);
	return 0;
}
