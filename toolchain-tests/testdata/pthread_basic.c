// Threads are created, return values, are joined and have identities; many at once.
// cc: -pthread
// link: dynamic static
// short
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static int counts[200];
static void *run(void *a)
{
	int i = (intptr_t)a;
	char local[2000];
	memset(local, i, sizeof local);
	for (int k = 0; k < 2000; k++)
		counts[i] += local[k] == (char)i;
	return (void *)((intptr_t)a * 2);
}
static void *by_exit(void *a) { pthread_exit("from pthread_exit"); }
static void *self(void *a) { return (void *)(intptr_t)(pthread_equal(*(pthread_t *)a, pthread_self()) != 0); }
static void *creator(void *a)
{
	pthread_t t;
	void *r;
	int n = (intptr_t)a;
	if (n == 0)
		return 0;
	pthread_create(&t, 0, creator, (void *)(intptr_t)(n - 1));
	pthread_join(t, &r);
	return (void *)((intptr_t)r + n);
}
int main(void)
{
	pthread_t t[200];
	long sum = 0;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++)
			if (pthread_create(&t[i], 0, run, (void *)(intptr_t)i))
				printf("create %d failed\n", i);
		for (int i = 0; i < 200; i++) {
			void *r;
			pthread_join(t[i], &r);
			sum += (intptr_t)r;
		}
	}
	int right = 0;
	for (int i = 0; i < 200; i++)
		right += counts[i] == 6000;
	printf("%ld %d\n", sum, right);
	void *r;
	pthread_create(t, 0, by_exit, 0);
	pthread_join(*t, &r);
	printf("%s\n", (char *)r);
	static pthread_t me;
	me = pthread_self();
	printf("%d\n", (int)(intptr_t)self(&me));
	pthread_create(t, 0, creator, (void *)20);
	pthread_join(*t, &r);
	printf("%ld\n", (long)(intptr_t)r);
	for (int i = 0; i < 2000; i++) {
		pthread_create(t, 0, self, &me);
		pthread_join(*t, &r);
		sum += (intptr_t)r;
	}
	printf("%ld\n", sum);
	return 0;
}
