// Thread-specific data and its destructors.
// cc: -pthread
#include <pthread.h>
#include <stdio.h>
static pthread_key_t k[3];
static int destroyed[3], again;
static void d0(void *p) { destroyed[0] += (int)(long)p; }
static void d1(void *p)
{
	destroyed[1]++;
	if (again++ < 1)
		pthread_setspecific(k[1], p);
}
static void *run(void *a)
{
	if (pthread_getspecific(k[0]) || pthread_getspecific(k[2]))
		printf("not null at first\n");
	pthread_setspecific(k[0], a);
	pthread_setspecific(k[1], a);
	pthread_setspecific(k[2], a);
	return pthread_getspecific(k[0]);
}
int main(void)
{
	pthread_key_create(&k[0], d0);
	pthread_key_create(&k[1], d1);
	pthread_key_create(&k[2], 0);
	pthread_setspecific(k[0], (void *)1000);
	for (long i = 1; i <= 5; i++) {
		pthread_t t;
		void *r;
		pthread_create(&t, 0, run, (void *)i);
		pthread_join(t, &r);
		printf("%ld ", (long)r);
	}
	printf("\n%d %d %ld\n", destroyed[0], destroyed[1], (long)pthread_getspecific(k[0]));
	int n = 0;
	pthread_key_t x;
	while (n < 2000 && pthread_key_create(&x, 0) == 0)
		n++;
	printf("%d more keys\n", n);
	return 0;
}
