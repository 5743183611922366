/* A program for TestSoak: threads, locks, signals, faults, files, memory and processes
 * at once. It prints one line if everything is as it should be. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(e) do { if (!(e)) { printf("%s:%d: %s, errno %d\n", __FILE__, __LINE__, #e, errno); exit(1); } } while (0)

enum { THREADS = 6, ROUNDS = 100, FAULTS = 10 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int counter, waiting;
static atomic_int alarms, faults;
static __thread sigjmp_buf landing;
static __thread long own;

static void on_alarm(int sig) { alarms++; }
static void on_fault(int sig) { faults++; siglongjmp(landing, 1); }

static void *work(void *arg)
{
	char seen[64], want[64];
	double x = 1;
	for (int i = 0; i < ROUNDS; i++) {
		size_t n = 100 + 37 * i;
		char *p = malloc(n);
		CHECK(p);
		memset(p, i, n);
		pthread_mutex_lock(&lock);
		int before = counter;
		if (i % 10 == 0) sched_yield();
		counter = before + 1;
		pthread_mutex_unlock(&lock);
		for (size_t j = 0; j < n; j++) CHECK(p[j] == (char)i);
		free(p);
		own += i;
		x = x / 3 * 3;
		snprintf(seen, sizeof seen, "%d %.3f", i, i / 7.0);
		snprintf(want, sizeof want, "%d %d.%03d", i, i / 7, (i % 7 * 1000 * 2 / 7 + 1) / 2);
		CHECK(!strcmp(seen, want));
	}
	for (int i = 0; i < FAULTS; i++)
		if (!sigsetjmp(landing, 1)) {
			*(volatile int *)(16L + 8 * i) = 1;
			CHECK(0);
		}
	CHECK(own == ROUNDS * (ROUNDS - 1) / 2);
	pthread_mutex_lock(&lock);
	waiting++;
	pthread_cond_broadcast(&cond);
	while (waiting < THREADS) pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	return (void *)(long)x;
}

int main(void)
{
	struct sigaction a = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	CHECK(!sigaction(SIGALRM, &a, 0));
	a = (struct sigaction){ .sa_handler = on_fault };
	CHECK(!sigaction(SIGSEGV, &a, 0));
	struct itimerval timer = { { 0, 2000 }, { 0, 2000 } };
	CHECK(!setitimer(ITIMER_REAL, &timer, 0));

	pid_t child = fork();
	if (child == 0) _exit(counter + 7);
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], 0, work, 0));
	int status = 0;
	if (child > 0) CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
	else CHECK(errno == EAGAIN);

	char name[] = "/tmp/soakXXXXXX", text[] = "what a file holds";
	int fd = mkstemp(name);
	CHECK(fd >= 0 && write(fd, text, sizeof text) == sizeof text);
	char *view = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(view != MAP_FAILED && !memcmp(view, text, sizeof text));
	CHECK(!munmap(view, 4096) && !close(fd) && !unlink(name));
	int ends[2];
	CHECK(!pipe(ends));
	CHECK(write(ends[1], text, sizeof text) == sizeof text && read(ends[0], name, 4) == 4 && !memcmp(name, text, 4));

	for (int i = 0; i < THREADS; i++) {
		void *result;
		CHECK(!pthread_join(threads[i], &result) && result == (void *)1);
	}
	CHECK(counter == THREADS * ROUNDS && faults == THREADS * FAULTS);
	for (int n = alarms; alarms == n;) pause();
	puts("all is well");
	return 3;
}
