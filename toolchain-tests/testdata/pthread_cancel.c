// Cancellation: at a cancellation point, deferred, disabled, asynchronous; cleanup handlers run.
// cc: -pthread
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <unistd.h>
static sem_t ready;
static int fd[2];
static void cleanup(void *a) { printf("cleanup %s\n", (char *)a); }
static void *sleeper(void *a)
{
	pthread_cleanup_push(cleanup, "outer");
	pthread_cleanup_push(cleanup, "inner");
	sem_post(&ready);
	sleep(100);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return "not cancelled";
}
static void *reader(void *a)
{
	char c;
	pthread_cleanup_push(cleanup, "reader");
	sem_post(&ready);
	read(fd[0], &c, 1);
	pthread_cleanup_pop(0);
	return "not cancelled";
}
static void *disabled(void *a)
{
	int old;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	sem_post(&ready);
	usleep(20000);
	printf("went on while disabled\n");
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	pthread_testcancel();
	return "not cancelled";
}
static void *spinner(void *a)
{
	int old;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	sem_post(&ready);
	for (volatile long n = 0;; n++)
		;
	return 0;
}
static void *waiter(void *a)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	pthread_mutex_lock(&m);
	pthread_cleanup_push(cleanup, "waiter holds its mutex");
	sem_post(&ready);
	pthread_cond_wait(&c, &m);
	pthread_cleanup_pop(0);
	return "not cancelled";
}
static void test(const char *n, void *(*f)(void *))
{
	pthread_t t;
	void *r;
	pthread_create(&t, 0, f, 0);
	sem_wait(&ready);
	usleep(5000);
	int e = pthread_cancel(t);
	pthread_join(t, &r);
	printf("%s: %d %s\n", n, e, r == PTHREAD_CANCELED ? "cancelled" : (char *)r);
}
int main(void)
{
	sem_init(&ready, 0, 0);
	pipe(fd);
	test("sleeper", sleeper);
	test("reader", reader);
	test("disabled", disabled);
	test("spinner", spinner);
	test("waiter", waiter);
	return 0;
}
