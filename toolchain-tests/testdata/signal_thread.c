// pthread_kill hits the thread that is meant, running or waiting; masks are per thread.
// cc: -pthread
#include <pthread.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static pthread_t target;
static volatile int right, wrong;
static sem_t ready, done;
static volatile int stop;
static void handler(int s)
{
	if (pthread_equal(pthread_self(), target))
		right++;
	else
		wrong++;
}
static void *spinner(void *a)
{
	sem_post(&ready);
	unsigned long n = 0;
	while (!stop)
		n++;
	return 0;
}
static void *reader(void *a)
{
	int *fd = a;
	char c;
	sem_post(&ready);
	int r = read(fd[0], &c, 1);
	printf("read: %d %d\n", r, r < 0 && errno == EINTR);
	return 0;
}
static void *masked(void *a)
{
	sigset_t m;
	pthread_sigmask(SIG_SETMASK, 0, &m);
	printf("inherited: %d\n", sigismember(&m, SIGUSR2));
	return 0;
}
int main(void)
{
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = handler;
	sigaction(SIGUSR1, &sa, 0);
	sem_init(&ready, 0, 0);
	pthread_create(&target, 0, spinner, 0);
	sem_wait(&ready);
	for (int i = 1; i <= 10; i++) {
		pthread_kill(target, SIGUSR1);
		while (right + wrong < i)
			usleep(100);
	}
	stop = 1;
	pthread_join(target, 0);
	printf("%d right, %d wrong\n", right, wrong);
	int fd[2];
	pipe(fd);
	pthread_create(&target, 0, reader, fd);
	sem_wait(&ready);
	usleep(20000);
	pthread_kill(target, SIGUSR1);
	pthread_join(target, 0);
	sigset_t m;
	sigemptyset(&m);
	sigaddset(&m, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &m, 0);
	pthread_t t;
	pthread_create(&t, 0, masked, 0);
	pthread_join(t, 0);
	return 0;
}
