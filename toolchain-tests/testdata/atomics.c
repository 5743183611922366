// C11 atomics of all sizes and orders, with threads; double-word compare and exchange.
// cc: -pthread
// opt: -O0 -O2
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
static _Atomic char c;
static _Atomic short s;
static atomic_int i;
static _Atomic long l;
static atomic_flag flag = ATOMIC_FLAG_INIT;
static long guarded;
static _Atomic(struct node *) list;
static _Atomic double d;
struct node { struct node *next; int v; };
static struct node nodes[4][500];
static void *run(void *a)
{
	int id = (int)(long)a;
	for (int k = 0; k < 500; k++) {
		atomic_fetch_add(&c, 1);
		atomic_fetch_sub_explicit(&s, 3, memory_order_relaxed);
		atomic_fetch_xor(&i, 1 << (k % 31));
		atomic_fetch_or(&l, 1L << (id * 10 + k % 10));
		while (atomic_flag_test_and_set_explicit(&flag, memory_order_acquire))
			;
		guarded++;
		atomic_flag_clear_explicit(&flag, memory_order_release);
		struct node *n = &nodes[id][k];
		n->v = id * 1000 + k;
		n->next = atomic_load(&list);
		while (!atomic_compare_exchange_weak(&list, &n->next, n))
			;
		double o = atomic_load(&d);
		while (!atomic_compare_exchange_strong(&d, &o, o + 0.5))
			;
	}
	return 0;
}
int main(void)
{
	pthread_t t[4];
	for (long k = 0; k < 4; k++)
		pthread_create(&t[k], 0, run, (void *)k);
	for (int k = 0; k < 4; k++)
		pthread_join(t[k], 0);
	long n = 0, sum = 0;
	for (struct node *p = list; p; p = p->next) {
		n++;
		sum += p->v;
	}
	printf("%d %d %d %lx %ld %ld %ld %g\n", c, s, i, (long)l, guarded, n, sum, (double)d);
	int x = 5, e = 6;
	printf("%d %d\n", __atomic_compare_exchange_n(&x, &e, 7, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST), e);
	printf("%d %d %d\n", __atomic_exchange_n(&x, 9, __ATOMIC_SEQ_CST), __sync_fetch_and_nand(&x, 3), x);
	printf("%d %d %d\n", __sync_add_and_fetch(&x, 100), __sync_bool_compare_and_swap(&x, 98, 1), x);
	printf("%d %d\n", atomic_is_lock_free(&l), ATOMIC_INT_LOCK_FREE);
	atomic_thread_fence(memory_order_seq_cst);
	return 0;
}
