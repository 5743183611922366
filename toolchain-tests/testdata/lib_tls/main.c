// Thread-local variables of a library, seen from the program and from threads.
// cc: -pthread -lt1 -lt2 -Wl,-rpath,$ORIGIN
// lib: libt1.so t1.c
// lib: libt2.so t2.c -lt1 -Wl,-rpath,$ORIGIN
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
extern __thread int shared_tls;
extern __thread char big_tls[5000];
__thread int own = 9;
int *t1_addr(void);
int t1_next(void);
int t2_sum(int);
static void *run(void *a)
{
	if (shared_tls != 11 || own != 9 || big_tls[4999])
		printf("bad start\n");
	shared_tls += (int)(intptr_t)a;
	big_tls[4999] = 1;
	for (int i = 0; i < 100; i++)
		t1_next();
	return (void *)(intptr_t)(t2_sum(1) + (&shared_tls == t1_addr()) * 100000 + t1_next() * 1000);
}
int main(void)
{
	shared_tls = 50;
	for (int i = 0; i < 4; i++) {
		pthread_t t;
		void *r;
		pthread_create(&t, 0, run, (void *)(intptr_t)i);
		pthread_join(t, &r);
		printf("%ld\n", (long)(intptr_t)r);
	}
	printf("%d %d %d\n", shared_tls, t1_next(), t2_sum(0));
	return 0;
}
