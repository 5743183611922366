// C11 threads, mutexes, conditions, thread storage and call_once.
// cc: -pthread
#include <stdatomic.h>
#include <stdio.h>
#include <threads.h>
#include <time.h>
static mtx_t m;
static cnd_t c;
static tss_t key;
static once_flag f = ONCE_FLAG_INIT;
static atomic_int n, freed;
static int turn;
static void once(void) { n += 100; }
static void drop(void *p) { freed++; }
static int run(void *a)
{
	int id = *(int *)a;
	call_once(&f, once);
	tss_set(key, a);
	mtx_lock(&m);
	while (turn != id)
		cnd_wait(&c, &m);
	printf("thread %d\n", *(int *)tss_get(key));
	turn++;
	cnd_broadcast(&c);
	mtx_unlock(&m);
	n++;
	return id * 10;
}
int main(void)
{
	mtx_init(&m, mtx_plain);
	cnd_init(&c);
	tss_create(&key, drop);
	thrd_t t[4];
	int id[4] = {0, 1, 2, 3}, sum = 0;
	for (int i = 3; i >= 0; i--)
		thrd_create(&t[i], run, &id[i]);
	for (int i = 0; i < 4; i++) {
		int r;
		thrd_join(t[i], &r);
		sum += r;
	}
	printf("%d %d %d\n", sum, n, freed);
	thrd_yield();
	printf("%d\n", thrd_sleep(&(struct timespec){0, 1000}, 0));
	return 0;
}
