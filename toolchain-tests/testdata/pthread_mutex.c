// Mutexes of all types protect, try, time out and report misuse.
// cc: -pthread
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static long counter;
static void *count(void *a)
{
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&m);
		counter++;
		pthread_mutex_unlock(&m);
	}
	return 0;
}
static void *try(void *a) { return (void *)(long)pthread_mutex_trylock(a); }
static void *unlock(void *a) { return (void *)(long)pthread_mutex_unlock(a); }
static long other(void *(*f)(void *), pthread_mutex_t *p)
{
	pthread_t t;
	void *r;
	pthread_create(&t, 0, f, p);
	pthread_join(t, &r);
	return (long)r;
}
int main(void)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], 0, count, 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	printf("%ld\n", counter);
	pthread_mutexattr_t at;
	pthread_mutexattr_init(&at);
	pthread_mutexattr_settype(&at, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_t r, e;
	pthread_mutex_init(&r, &at);
	for (int i = 0; i < 5; i++)
		pthread_mutex_lock(&r);
	printf("busy %d\n", other(try, &r) == EBUSY);
	for (int i = 0; i < 5; i++)
		pthread_mutex_unlock(&r);
	printf("free %ld\n", other(try, &r));
	pthread_mutexattr_settype(&at, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&e, &at);
	pthread_mutex_lock(&e);
	printf("deadlock %d\n", pthread_mutex_lock(&e) == EDEADLK);
	printf("not owner %d\n", other(unlock, &e) == EPERM);
	pthread_mutex_unlock(&e);
	printf("not locked %d\n", pthread_mutex_unlock(&e) == EPERM);
	pthread_mutex_lock(&m);
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 20000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	printf("timed out %d\n", pthread_mutex_timedlock(&m, &ts) == ETIMEDOUT);
	pthread_mutex_unlock(&m);
	pthread_spinlock_t s;
	pthread_spin_init(&s, 0);
	pthread_spin_lock(&s);
	printf("spin %d\n", pthread_spin_trylock(&s) == EBUSY);
	pthread_spin_unlock(&s);
	return 0;
}
