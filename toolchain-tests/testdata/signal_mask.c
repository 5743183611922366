// Blocked signals stay pending and arrive when they are let through.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static volatile int n[65];
static void count(int s) { n[s]++; }
int main(void)
{
	sigset_t m, old, p;
	signal(SIGUSR1, count);
	signal(SIGUSR2, count);
	sigemptyset(&m);
	sigaddset(&m, SIGUSR1);
	sigaddset(&m, SIGUSR2);
	sigprocmask(SIG_BLOCK, &m, &old);
	raise(SIGUSR1);
	raise(SIGUSR1);
	sigpending(&p);
	printf("%d %d %d\n", n[SIGUSR1], sigismember(&p, SIGUSR1), sigismember(&p, SIGUSR2));
	sigdelset(&m, SIGUSR2);
	sigprocmask(SIG_UNBLOCK, &m, 0);
	printf("%d\n", n[SIGUSR1]);
	raise(SIGUSR2);
	printf("%d\n", n[SIGUSR2]);
	sigset_t none;
	sigemptyset(&none);
	printf("%d", sigsuspend(&none));
	printf(" %d\n", n[SIGUSR2]);
	sigprocmask(SIG_SETMASK, 0, &p);
	printf("%d\n", sigismember(&p, SIGUSR2));
	sigaddset(&m, SIGUSR2);
	kill(getpid(), SIGUSR2);
	int s = 0;
	printf("%d", sigwait(&p, &s));
	printf(" %d %d\n", s == SIGUSR2, n[SIGUSR2]);
	struct timespec ts = {0, 1000000};
	printf("%d\n", sigtimedwait(&p, 0, &ts));
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = count;
	sigfillset(&sa.sa_mask);
	sigaction(SIGUSR1, &sa, 0);
	sigprocmask(SIG_SETMASK, &old, 0);
	raise(SIGUSR1);
	printf("%d\n", n[SIGUSR1]);
	return 0;
}
