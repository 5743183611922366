// Detached threads clean up after themselves; stack size and guard attributes are kept; the process ends with its last thread.
// cc: -pthread
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static sem_t done;
static void *run(void *a)
{
	sem_post(&done);
	return 0;
}
static void *large(void *a)
{
	char big[900000];
	memset(big, 1, sizeof big);
	return (void *)(long)big[899999];
}
static void *last(void *a)
{
	usleep(20000);
	printf("last thread\n");
	return 0;
}
int main(void)
{
	sem_init(&done, 0, 0);
	pthread_attr_t at;
	pthread_attr_init(&at);
	pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 500; i++) {
		pthread_t t;
		if (pthread_create(&t, &at, run, 0))
			printf("create failed at %d\n", i);
		sem_wait(&done);
	}
	pthread_t t;
	pthread_create(&t, 0, run, 0);
	pthread_detach(t);
	sem_wait(&done);
	pthread_attr_init(&at);
	pthread_attr_setstacksize(&at, 1 << 20);
	size_t n;
	pthread_attr_getstacksize(&at, &n);
	void *r;
	pthread_create(&t, &at, large, 0);
	pthread_join(t, &r);
	printf("%zu %ld\n", n, (long)r);
	static char own[100000] __attribute__((aligned(4096)));
	pthread_attr_init(&at);
	pthread_attr_setstack(&at, own, sizeof own);
	pthread_create(&t, &at, run, 0);
	pthread_join(t, 0);
	pthread_create(&t, 0, last, 0);
	pthread_exit(0);
}
