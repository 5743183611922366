// Thread-local variables of every kind: initialised, zero, aligned, local, global; each thread has its own.
// cc: -pthread
// link: dynamic static static-pie
// opt: -O0 -O2
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
__thread int global = 5;
__thread int zero;
static __thread long local = 77;
__thread char text[10] = "thread";
__thread double aligned __attribute__((aligned(64))) = 1.5;
static __thread struct { int a; char *p; } rec = {3, "pointed"};
int *address(void) { return &global; }
static int fn(void) { static __thread int count; return ++count; }
static void *run(void *arg)
{
	int k = (intptr_t)arg;
	if (global != 5 || zero || local != 77 || aligned != 1.5 || rec.a != 3 || text[0] != 't')
		printf("bad initial values\n");
	for (int i = 0; i < 10000; i++) {
		global += k;
		zero++;
		local ^= i * k;
		*address() += 1;
		fn();
	}
	text[0] = 'A' + k;
	return (void *)(intptr_t)((long)global + zero + local + fn() + text[0] + (((uintptr_t)&aligned & 63) != 0) * 1000000);
}
int main(void)
{
	pthread_t t[4];
	global = 99;
	for (int i = 0; i < 4; i++) {
		global = 99 + i;
		pthread_create(&t[i], 0, run, (void *)(intptr_t)(i + 1));
	}
	for (int i = 0; i < 4; i++) {
		void *r;
		pthread_join(t[i], &r);
		printf("%ld\n", (long)(intptr_t)r);
	}
	printf("%d %d %ld %s %s\n", global, zero, local, text, rec.p);
	return 0;
}
