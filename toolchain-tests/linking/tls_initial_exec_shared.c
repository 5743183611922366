// One thread-local variable of a library that dlopen brings, reached in three ways: initial-exec, general-dynamic, dlsym; in a thread that runs already, too.
// skip musl: refuses it: there is no room in threads that run
//: lib a.so
__thread int x = 5;
int *dynamic(void) { return &x; }
//: lib b.so a.so
extern __thread int x __attribute__((tls_model("initial-exec")));
int *dynamic(void);
int *fixed(void) { return &x; }
int same(void) { return dynamic() == &x; }
//: main
#include <pthread.h>
static pthread_barrier_t bar;
static void *volatile h;
static void *thread(void *p)
{
	pthread_barrier_wait(&bar);
	pthread_barrier_wait(&bar);
	int *(*dynamic)(void) = (int *(*)(void))dlsym(h, "dynamic"), *(*fixed)(void) = (int *(*)(void))dlsym(h, "fixed");
	int *x = dlsym(h, "x");
	say("%d %d %d %d\n", *x, x == dynamic(), x == fixed(), CALL(h, "same"));
	++*x;
	return 0;
}
int main(void)
{
	pthread_t t;
	pthread_barrier_init(&bar, 0, 2);
	pthread_create(&t, 0, thread, 0);
	pthread_barrier_wait(&bar);
	h = OPEN("b.so", RTLD_NOW);
	pthread_barrier_wait(&bar);
	pthread_join(t, 0);
	say("%d\n", CALL(h, "same") + *(int *)dlsym(h, "x"));
	dlclose(h);
	h = OPEN("a.so", RTLD_NOW);
	void *dyn = dlsym(h, "x");
	say("%d %d\n", dyn != 0, dlopen("b.so", RTLD_NOW) != 0);
	return 0;
}
