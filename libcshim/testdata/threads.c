#include "t.h"
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t cv = PTHREAD_COND_INITIALIZER; static long counter; static __thread int tls = 5; static int ready; static sem_t sem; static pthread_barrier_t bar; static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER; static pthread_key_t key; static int destroyed; static pthread_once_t once = PTHREAD_ONCE_INIT; static int onces;
static void *inc(void *a) { for (int i = 0; i < 10000; i++) { pthread_mutex_lock(&mu); counter++; pthread_mutex_unlock(&mu); } tls += (long)a; return (void *)(long)tls; }
static void *waiter(void *a) { pthread_mutex_lock(&mu); while (!ready) pthread_cond_wait(&cv, &mu); counter++; pthread_mutex_unlock(&mu); return 0; }
static void *semwait(void *a) { sem_wait(&sem); __sync_fetch_and_add(&counter, 1); return 0; }
static void *barwait(void *a) { return (void *)(long)(pthread_barrier_wait(&bar) == PTHREAD_BARRIER_SERIAL_THREAD); }
static void *reader(void *a) { pthread_rwlock_rdlock(&rw); long v = counter; usleep(1000); pthread_rwlock_unlock(&rw); return (void *)v; }
static void dtor(void *p) { __sync_fetch_and_add(&destroyed, (long)p); } static void *tsd(void *a) { pthread_setspecific(key, a); return pthread_getspecific(key); }
static void init(void) { onces++; } static void *doonce(void *a) { pthread_once(&once, init); return 0; }
static void *sleeper(void *a) { for (;;) pause(); } static void *spinner(void *a) { pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0); for (;;) ; } static void cleanup(void *a) { counter = 99; } static void *cancelled(void *a) { pthread_cleanup_push(cleanup, 0); sleep(100); pthread_cleanup_pop(0); return 0; }
static pthread_mutex_t rob; static void *dieholding(void *a) { pthread_mutex_lock(&rob); return 0; }
static void *exiter(void *a) { pthread_exit((void *)7); } static volatile int hit; static void onsig(int s) { hit++; } static void *sigloop(void *a) { while (!hit) ; return 0; }
static void *det(void *a) { __sync_fetch_and_add(&counter, 1); return 0; }
int main(void) {
	pthread_t t[50]; void *r; long sum = 0;
	for (long i = 0; i < 8; i++) show(pthread_create(&t[i], 0, inc, (void *)i)); for (int i = 0; i < 8; i++) { pthread_join(t[i], &r); sum += (long)r; } show(counter); show(sum); show(tls);
	counter = 0; for (int i = 0; i < 10; i++) pthread_create(&t[i], 0, waiter, 0); usleep(10000); pthread_mutex_lock(&mu); ready = 1; pthread_cond_broadcast(&cv); pthread_mutex_unlock(&mu); for (int i = 0; i < 10; i++) pthread_join(t[i], 0); show(counter);
	struct timespec ts; clock_gettime(CLOCK_REALTIME, &ts); ts.tv_nsec += 20000000; if (ts.tv_nsec >= 1000000000) { ts.tv_sec++; ts.tv_nsec -= 1000000000; } pthread_mutex_lock(&mu); show(pthread_cond_timedwait(&cv, &mu, &ts)); pthread_mutex_unlock(&mu); show(pthread_mutex_trylock(&mu)); show(pthread_mutex_trylock(&mu)); show(pthread_mutex_timedlock(&mu, &ts)); pthread_mutex_unlock(&mu);
	sem_init(&sem, 0, 0); counter = 0; for (int i = 0; i < 5; i++) pthread_create(&t[i], 0, semwait, 0); for (int i = 0; i < 5; i++) sem_post(&sem); for (int i = 0; i < 5; i++) pthread_join(t[i], 0); show(counter); show(sem_trywait(&sem)); show(sem_timedwait(&sem, &ts));
	pthread_barrier_init(&bar, 0, 10); sum = 0; for (int i = 0; i < 10; i++) pthread_create(&t[i], 0, barwait, 0); for (int i = 0; i < 10; i++) { pthread_join(t[i], &r); sum += (long)r; } show(sum);
	pthread_rwlock_wrlock(&rw); for (int i = 0; i < 5; i++) pthread_create(&t[i], 0, reader, 0); counter = 123; pthread_rwlock_unlock(&rw); sum = 0; for (int i = 0; i < 5; i++) { pthread_join(t[i], &r); sum += (long)r; } show(sum);
	pthread_key_create(&key, dtor); for (long i = 1; i <= 4; i++) { pthread_create(&t[0], 0, tsd, (void *)i); pthread_join(t[0], &r); show((long)r); } show(destroyed); for (int i = 0; i < 5; i++) pthread_create(&t[i], 0, doonce, 0); for (int i = 0; i < 5; i++) pthread_join(t[i], 0); show(onces);
	pthread_create(&t[0], 0, sleeper, 0); show(pthread_cancel(t[0])); pthread_join(t[0], &r); show(r == PTHREAD_CANCELED); pthread_create(&t[0], 0, spinner, 0); usleep(2000); show(pthread_cancel(t[0])); pthread_join(t[0], &r); show(r == PTHREAD_CANCELED); pthread_create(&t[0], 0, cancelled, 0); usleep(2000); pthread_cancel(t[0]); pthread_join(t[0], &r); show(r == PTHREAD_CANCELED); show(counter);
	pthread_mutexattr_t a; pthread_mutexattr_init(&a); pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST); show(pthread_mutex_init(&rob, &a)); pthread_create(&t[0], 0, dieholding, 0); pthread_join(t[0], 0); show(pthread_mutex_lock(&rob)); show(pthread_mutex_consistent(&rob)); show(pthread_mutex_unlock(&rob)); show(pthread_mutex_lock(&rob));
	pthread_mutexattr_init(&a); pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK); pthread_mutex_t e; pthread_mutex_init(&e, &a); show(pthread_mutex_lock(&e)); show(pthread_mutex_lock(&e)); show(pthread_mutex_unlock(&e)); show(pthread_mutex_unlock(&e));
	pthread_create(&t[0], 0, exiter, 0); pthread_join(t[0], &r); show((long)r); signal(SIGUSR1, onsig); pthread_create(&t[0], 0, sigloop, 0); usleep(1000); show(pthread_kill(t[0], SIGUSR1)); pthread_join(t[0], 0); show(hit); 
	pthread_attr_t at; pthread_attr_init(&at); pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED); pthread_attr_setstacksize(&at, 65536); counter = 0; for (int i = 0; i < 20; i++) show(pthread_create(&t[0], &at, det, 0)); while (__sync_fetch_and_add(&counter, 0) < 20) sched_yield(); show(counter);
	for (int k = 0; k < 20; k++) { for (int i = 0; i < 50; i++) if (pthread_create(&t[i], 0, doonce, 0)) puts("create"); for (int i = 0; i < 50; i++) pthread_join(t[i], 0); } show(onces);
	pthread_create(&t[0], 0, sleeper, 0); pthread_create(&t[1], 0, spinner, 0); exit(5);
}
