// A library with thread-local variables opened while threads run; each thread gets its own copy, at first use.
// lib: libdt.so dt.c
// cc: -pthread -Wl,-rpath,$ORIGIN
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
static sem_t start[4], ready;
static int (*bump)(int);
static int *(*where)(void);
static void *run(void *a)
{
	int i = (int)(intptr_t)a;
	sem_post(&ready);
	sem_wait(&start[i]);
	int r = 0;
	for (int k = 0; k < 100; k++)
		r = bump(i);
	return (void *)(intptr_t)(r + (where() == where()) * 1000000);
}
int main(void)
{
	pthread_t t[4];
	sem_init(&ready, 0, 0);
	for (int i = 0; i < 4; i++) {
		sem_init(&start[i], 0, 0);
		pthread_create(&t[i], 0, run, (void *)(intptr_t)i);
	}
	for (int i = 0; i < 4; i++)
		sem_wait(&ready);
	void *h = dlopen("libdt.so", RTLD_NOW);
	if (!h) {
		printf("%s\n", dlerror());
		return 1;
	}
	bump = (int (*)(int))dlsym(h, "bump");
	where = (int *(*)(void))dlsym(h, "where");
	int *var = dlsym(h, "counter");
	printf("%d %d %d\n", bump(1), *var, var == where());
	for (int i = 0; i < 4; i++)
		sem_post(&start[i]);
	for (int i = 0; i < 4; i++) {
		void *r;
		pthread_join(t[i], &r);
		printf("%ld\n", (long)(intptr_t)r);
	}
	pthread_t late;
	void *r;
	sem_post(&start[3]);
	pthread_create(&late, 0, run, (void *)3);
	pthread_join(late, &r);
	printf("%ld\n%d\n", (long)(intptr_t)r, bump(0));
	return 0;
}
