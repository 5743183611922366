// Thread-local storage of a library that dlopen brings while threads run: each thread has its own, with the initial values.
//: lib a.so
__thread int x = 5, zero;
__thread char text[20] = "text";
int next(void) { zero++; return x++ * 10 + zero + (strcmp(text, "text") ? 1000 : 0); }
//: main
#include <pthread.h>
static int (*next)(void);
static pthread_barrier_t before, after;
static void *thread(void *p)
{
	pthread_barrier_wait(&before);
	pthread_barrier_wait(&after);
	int a = next(), b = next();
	return (void *)(long)(a * 100 + b);
}
int main(void)
{
	pthread_t t[3];
	pthread_barrier_init(&before, 0, 4);
	pthread_barrier_init(&after, 0, 4);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], 0, thread, 0);
	pthread_barrier_wait(&before);
	next = (int (*)(void))must(dlsym(OPEN("a.so", RTLD_NOW), "next"));
	say("%d\n", next());
	pthread_barrier_wait(&after);
	for (int i = 0; i < 3; i++) {
		void *r;
		pthread_join(t[i], &r);
		say("%d\n", (int)(long)r);
	}
	say("%d\n", next());
	return 0;
}
