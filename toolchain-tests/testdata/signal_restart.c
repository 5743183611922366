// SA_RESTART lets an interrupted read go on; without it the read ends with EINTR.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
static int fd[2];
static volatile int n;
static void handler(int s)
{
	if (++n == 3)
		write(fd[1], "x", 1);
}
int main(void)
{
	pipe(fd);
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = handler;
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, 0);
	struct itimerval it = {{0, 10000}, {0, 10000}};
	setitimer(ITIMER_REAL, &it, 0);
	char c = 0;
	int r = read(fd[0], &c, 1);
	printf("%d %c %d\n", r, c, n >= 3);
	sa.sa_flags = 0;
	sigaction(SIGALRM, &sa, 0);
	r = read(fd[0], &c, 1);
	int e = errno;
	memset(&it, 0, sizeof it);
	setitimer(ITIMER_REAL, &it, 0);
	printf("%d %d\n", r, e == EINTR);
	return 0;
}
