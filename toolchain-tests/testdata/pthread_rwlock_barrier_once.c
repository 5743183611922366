// Read-write locks, barriers and once.
// cc: -pthread
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t bar;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int pair[2], torn, inits, serial, phase[4];
static void init(void) { inits++; }
static void *run(void *a)
{
	long id = (long)a;
	pthread_once(&once, init);
	for (int i = 0; i < 3000; i++)
		if (i % 4 == id % 4) {
			pthread_rwlock_wrlock(&rw);
			pair[0]++;
			pair[1]++;
			pthread_rwlock_unlock(&rw);
		} else {
			pthread_rwlock_rdlock(&rw);
			torn += pair[0] != pair[1];
			pthread_rwlock_unlock(&rw);
		}
	for (int i = 0; i < 50; i++) {
		phase[id] = i;
		int r = pthread_barrier_wait(&bar);
		if (r == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_fetch_add(&serial, 1, __ATOMIC_SEQ_CST);
		for (int k = 0; k < 4; k++)
			if (phase[k] != i)
				__atomic_fetch_add(&torn, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&bar);
	}
	return 0;
}
int main(void)
{
	pthread_t t[4];
	pthread_barrier_init(&bar, 0, 4);
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], 0, run, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	printf("%d torn, %d written, %d initialised, %d serial\n", torn, pair[0], inits, serial);
	pthread_rwlock_rdlock(&rw);
	printf("%d %d\n", pthread_rwlock_tryrdlock(&rw), pthread_rwlock_trywrlock(&rw) == EBUSY);
	return 0;
}
