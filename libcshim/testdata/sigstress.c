#include "t.h"
// Threads that compute, allocate, lock, wait and copy files while signals rain on
// them: nothing may be lost, nothing may change in registers or memory.
#include <math.h>
static volatile sig_atomic_t stop; static __thread volatile long mine; static long handled; static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t cv = PTHREAD_COND_INITIALIZER; static long shared, turns; static int bad;
static void h(int s, siginfo_t *i, void *u) { int e = errno; mine++; __sync_fetch_and_add(&handled, 1); volatile double d = s * 1.5; char b[300]; memset(b, s, sizeof b); if (b[299] != s || d != s * 1.5) bad++; if (s == SIGUSR2) { struct timespec t = {0, 1000}; nanosleep(&t, 0); } errno = e; }
static uint64_t mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) { for (int i = 0; i < 2000; i++) { a += b ^ (c << 3); b = (b << 7 | b >> 57) + d; c ^= e * 31; d += f; e = e * 6364136223846793005u + a; f ^= a >> 5; } return a ^ b ^ c ^ d ^ e ^ f; }
static double fmix(double a) { for (int i = 1; i < 500; i++) a = sqrt(a * a + i) * 0.999 + 1.0 / i; return a; }
static void *compute(void *a) { uint64_t w = mix(1, 2, 3, 4, 5, 6); double f = fmix(2); for (int i = 0; i < 400; i++) { if (mix(1, 2, 3, 4, 5, 6) != w) bad++; if (fmix(2) != f) bad++; } return 0; }
static void *alloc(void *a) { for (int i = 0; i < 3000; i++) { int n = 1 + i * 37 % 5000; char *p = malloc(n); memset(p, n, n); char *q = realloc(p, n * 2); for (int k = 0; k < n; k++) if (q[k] != (char)n) bad++; free(q); } return 0; }
static void *locker(void *a) { for (int i = 0; i < 3000; i++) { pthread_mutex_lock(&mu); shared++; pthread_mutex_unlock(&mu); } return 0; }
static void *ping(void *a) { for (int i = 0; i < 500; i++) { pthread_mutex_lock(&mu); while (turns % 2 != (long)a) pthread_cond_wait(&cv, &mu); turns++; pthread_cond_broadcast(&cv); pthread_mutex_unlock(&mu); } return 0; }
static int pp[2]; static void *producer(void *a) { char b[1000]; for (int i = 0; i < 300; i++) { memset(b, i, 1000); for (size_t o = 0; o < 1000;) { ssize_t n = write(pp[1], b + o, 1000 - o); if (n > 0) o += n; else if (errno != EINTR) bad++; } } close(pp[1]); return 0; }
static void *consumer(void *a) { long t = 0; unsigned char b[777]; ssize_t n; while ((n = read(pp[0], b, sizeof b)) != 0) { if (n < 0) { if (errno != EINTR) bad++; continue; } for (int k = 0; k < n; k++) if (b[k] != (unsigned char)((t + k) / 1000)) bad++; t += n; } return (void *)t; }
static void *sleeper(void *a) { double t = now(); struct timespec r = {0, 50000000}; while (nanosleep(&r, &r)) ; if (now() - t < 0.05) bad++; return 0; }
static pthread_t t[9]; static void *killer(void *a) { for (int i = 0; !stop; i++) { for (int k = 0; k < 9; k++) pthread_kill(t[k], i % 3 ? SIGUSR1 : SIGUSR2); usleep(200); } return 0; }
static void *run(void *(*f)(void *)) { return f; } static pthread_barrier_t done; static void *(*work[9])(void *) = {compute, alloc, locker, locker, ping, ping, producer, consumer, sleeper};
static void *wrap(void *a) { long i = (long)a; void *r = work[i]((void *)(i == 5 ? 1L : 0L)); pthread_barrier_wait(&done); return r; }
int main(void) {
	struct sigaction sa = {.sa_sigaction = h, .sa_flags = SA_SIGINFO | SA_RESTART}; sigaction(SIGUSR1, &sa, 0); sa.sa_flags = SA_SIGINFO; sigaction(SIGUSR2, &sa, 0);
	pipe(pp); pthread_barrier_init(&done, 0, 10); sigset_t s, o; sigfillset(&s); pthread_t k; for (long i = 0; i < 9; i++) pthread_create(&t[i], 0, wrap, (void *)i);
	pthread_sigmask(SIG_BLOCK, &s, &o); pthread_create(&k, 0, killer, 0);
	// The threads wait for the killer to stop, so that it never meets one that is gone.
	void *r[9]; usleep(200000); while (__sync_fetch_and_add(&handled, 0) < 200) usleep(10000); stop = 1; pthread_join(k, 0); pthread_barrier_wait(&done); for (int i = 0; i < 9; i++) pthread_join(t[i], &r[i]);
	show(bad); show(shared); show(turns); show((long)r[7]); show(handled > 50); return 0;
}
