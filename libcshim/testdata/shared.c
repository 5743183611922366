/* Locks in memory that processes share, and waiting there. */
#include "t.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct room {
	pthread_mutex_t lock, robust;
	pthread_cond_t cond;
	pthread_barrier_t barrier;
	sem_t empty, full;
	int turn, count, slot[4], in, out;
};

static void prepare(struct room *r, int processes)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_barrierattr_t ba;
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&r->lock, &ma);
	pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&r->robust, &ma);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&r->cond, &ca);
	pthread_barrierattr_init(&ba);
	pthread_barrierattr_setpshared(&ba, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&r->barrier, &ba, processes);
	sem_init(&r->empty, 1, 4);
	sem_init(&r->full, 1, 0);
}

static void reap(int n)
{
	int status, bad = 0;
	while (n-- > 0)
		if (wait(&status) < 0 || status)
			bad++;
	printf("children that failed: %d\n", bad);
}

/* Each process in its turn, then all at once, then a queue from one to the others. */
static void play(struct room *r, const char *what)
{
	enum { N = 4, ROUNDS = 50 };
	prepare(r, N);
	for (int i = 0; i < N; i++) {
		fflush(stdout);
		if (fork() == 0) {
			for (int k = 0; k < ROUNDS; k++) {
				pthread_mutex_lock(&r->lock);
				while (r->turn % N != i)
					pthread_cond_wait(&r->cond, &r->lock);
				r->turn++;
				pthread_cond_broadcast(&r->cond);
				pthread_mutex_unlock(&r->lock);
			}
			for (int k = 0; k < ROUNDS; k++) {
				pthread_barrier_wait(&r->barrier);
				pthread_mutex_lock(&r->lock);
				r->count++;
				pthread_mutex_unlock(&r->lock);
			}
			int sum = 0;
			for (int k = 0; k < ROUNDS; k++) {
				if (i == 0) {
					for (int to = 1; to < N; to++) {
						sem_wait(&r->empty);
						pthread_mutex_lock(&r->lock);
						r->slot[r->in++ % 4] = k;
						pthread_mutex_unlock(&r->lock);
						sem_post(&r->full);
					}
				} else {
					sem_wait(&r->full);
					pthread_mutex_lock(&r->lock);
					sum += r->slot[r->out++ % 4];
					pthread_mutex_unlock(&r->lock);
					sem_post(&r->empty);
				}
			}
			pthread_mutex_lock(&r->lock);
			r->slot[0] = r->slot[0];
			r->count += sum;
			pthread_mutex_unlock(&r->lock);
			_exit(0);
		}
	}
	reap(N);
	printf("%s: turn %d count %d\n", what, r->turn, r->count);
}

static void late(int s) { (void)s; }

static pthread_mutex_t *owned;
static void *try(void *x)
{
	return (void *)(long)pthread_mutex_trylock(owned);
}

int main(void)
{
	struct room *r = mmap(0, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	play(r, "anonymous");

	/* A file, at another address in each process. */
	int fd = open("room", O_RDWR | O_CREAT, 0600);
	ftruncate(fd, 4 * 4096);
	char *a = mmap(0, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct room *f = (void *)(a + 4096);
	play(f, "file");
	prepare(f, 2);
	fflush(stdout);
	if (fork() == 0) {
		struct room *g = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
		munmap(a, 4 * 4096);
		sem_wait(&g->full);
		sem_post(&g->empty);
		_exit(0);
	}
	for (int i = 0; i < 4; i++)
		sem_wait(&f->empty);
	sem_post(&f->full);
	sem_wait(&f->empty);
	reap(1);

	/* By name. */
	char name[32];
	snprintf(name, sizeof name, "/halite-%d", (int)getpid());
	sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
	fflush(stdout);
	if (fork() == 0) {
		sem_t *mine = sem_open(name, 0);
		sem_post(mine);
		_exit(0);
	}
	printf("by name: %d\n", sem_wait(s));
	reap(1);
	sem_unlink(name);

	/* Who owns a lock is one thread of all processes. */
	pthread_mutexattr_t ma;
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_RECURSIVE);
	owned = &r->lock;
	pthread_mutex_init(owned, &ma);
	fflush(stdout);
	int owner = fork();
	if (owner == 0) {
		pthread_mutex_lock(owned);
		sem_post(&r->full);
		for (;;)
			pause();
	}
	sem_wait(&r->full);
	int busy = 0;
	pthread_t threads[16];
	for (int i = 0; i < 16; i++)
		pthread_create(&threads[i], 0, try, 0);
	for (int i = 0; i < 16; i++) {
		void *v;
		pthread_join(threads[i], &v);
		busy += (long)v == EBUSY;
	}
	kill(owner, SIGKILL);
	wait(0);
	printf("owned by another: %d\n", busy);

	/* Nobody comes: the deadline, and a signal. */
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 20000000;
	ts.tv_sec += ts.tv_nsec / 1000000000, ts.tv_nsec %= 1000000000;
	int rc = sem_timedwait(&r->full, &ts);
	printf("in vain: %d %s\n", rc, rc ? strerror(errno) : "");
	struct sigaction sa = { .sa_handler = late };
	sigaction(SIGALRM, &sa, 0);
	setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 200000 }, { 0, 200000 } }, 0); /* again and again: one may come too early */
	rc = sem_wait(&r->full);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, 0);
	printf("a signal: %d %s\n", rc, rc ? strerror(errno) : "");

	/* Who has the lock is killed; who waits for it hears of that. */
	prepare(r, 2);
	fflush(stdout);
	int holder = fork();
	if (holder == 0) {
		pthread_mutex_lock(&r->robust);
		sem_post(&r->full);
		for (;;)
			pause();
	}
	sem_wait(&r->full);
	if (fork() == 0) {
		sem_post(&r->full);
		rc = pthread_mutex_lock(&r->robust);
		pthread_mutex_consistent(&r->robust);
		pthread_mutex_unlock(&r->robust);
		_exit(rc == EOWNERDEAD ? 0 : 1);
	}
	sem_wait(&r->full);
	usleep(50000);
	kill(holder, SIGKILL);
	int status, killed = 0, heard = 0;
	for (int i = 0; i < 2; i++) {
		wait(&status);
		killed += WIFSIGNALED(status);
		heard += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	printf("killed %d, heard %d, then %d\n", killed, heard, pthread_mutex_lock(&r->robust));
	return 0;
}
