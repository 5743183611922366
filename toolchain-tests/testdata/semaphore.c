// Semaphores: wait, try, timed wait, value.
// cc: -pthread
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
static sem_t ping, pong;
static void *run(void *a)
{
	long n = 0;
	for (int i = 0; i < 2000; i++) {
		sem_wait(&ping);
		n += i;
		sem_post(&pong);
	}
	return (void *)n;
}
int main(void)
{
	sem_init(&ping, 0, 0);
	sem_init(&pong, 0, 0);
	pthread_t t;
	void *r;
	pthread_create(&t, 0, run, 0);
	for (int i = 0; i < 2000; i++) {
		sem_post(&ping);
		sem_wait(&pong);
	}
	pthread_join(t, &r);
	int v;
	sem_getvalue(&ping, &v);
	printf("%ld %d\n", (long)r, v);
	printf("%d %d\n", sem_trywait(&ping), errno == EAGAIN);
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += (ts.tv_nsec + 5000000) / 1000000000;
	ts.tv_nsec = (ts.tv_nsec + 5000000) % 1000000000;
	int e = sem_timedwait(&ping, &ts);
	printf("%d %d\n", e, errno == ETIMEDOUT);
	return 0;
}
