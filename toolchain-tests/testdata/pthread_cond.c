// Condition variables: a bounded queue, broadcast, timed wait.
// cc: -pthread
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t nonempty = PTHREAD_COND_INITIALIZER, nonfull = PTHREAD_COND_INITIALIZER, go = PTHREAD_COND_INITIALIZER;
static int queue[8], head, used, started, gone;
static void *producer(void *a)
{
	for (int i = 1; i <= 3000; i++) {
		pthread_mutex_lock(&m);
		while (used == 8)
			pthread_cond_wait(&nonfull, &m);
		queue[(head + used++) % 8] = i;
		pthread_cond_signal(&nonempty);
		pthread_mutex_unlock(&m);
	}
	return 0;
}
static void *consumer(void *a)
{
	long s = 0;
	for (int i = 0; i < 3000; i++) {
		pthread_mutex_lock(&m);
		while (used == 0)
			pthread_cond_wait(&nonempty, &m);
		s += queue[head];
		head = (head + 1) % 8;
		used--;
		pthread_cond_signal(&nonfull);
		pthread_mutex_unlock(&m);
	}
	return (void *)s;
}
static void *waiter(void *a)
{
	pthread_mutex_lock(&m);
	started++;
	while (!gone)
		pthread_cond_wait(&go, &m);
	pthread_mutex_unlock(&m);
	return (void *)1;
}
int main(void)
{
	pthread_t t[20];
	void *r;
	long s = 0;
	pthread_create(&t[0], 0, producer, 0);
	pthread_create(&t[1], 0, producer, 0);
	pthread_create(&t[2], 0, consumer, 0);
	pthread_create(&t[3], 0, consumer, 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &r);
		s += (long)r;
	}
	printf("%ld\n", s);
	for (int i = 0; i < 20; i++)
		pthread_create(&t[i], 0, waiter, 0);
	for (int ready = 0; !ready; ) {
		pthread_mutex_lock(&m);
		ready = started == 20;
		pthread_mutex_unlock(&m);
	}
	pthread_mutex_lock(&m);
	gone = 1;
	pthread_cond_broadcast(&go);
	pthread_mutex_unlock(&m);
	s = 0;
	for (int i = 0; i < 20; i++) {
		pthread_join(t[i], &r);
		s += (long)r;
	}
	printf("%ld\n", s);
	pthread_condattr_t ca;
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_t c;
	pthread_cond_init(&c, &ca);
	struct timespec ts, now;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += (ts.tv_nsec + 20000000) / 1000000000;
	ts.tv_nsec = (ts.tv_nsec + 20000000) % 1000000000;
	pthread_mutex_lock(&m);
	int e = pthread_cond_timedwait(&c, &m, &ts);
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%d %d\n", e == ETIMEDOUT, now.tv_sec > ts.tv_sec || (now.tv_sec == ts.tv_sec && now.tv_nsec >= ts.tv_nsec));
	return 0;
}
