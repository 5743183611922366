// setitimer and alarm interrupt a loop that makes no system call, and one that sleeps.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile sig_atomic_t ticks;
static void tick(int s) { ticks++; }
int main(void)
{
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = tick;
	sigaction(SIGALRM, &sa, 0);
	struct itimerval it = {{0, 5000}, {0, 5000}}, old;
	printf("%d\n", setitimer(ITIMER_REAL, &it, 0));
	unsigned long spins = 0;
	while (ticks < 5)
		spins++;
	memset(&it, 0, sizeof it);
	printf("%d\n", setitimer(ITIMER_REAL, &it, &old));
	printf("at least 5: %d, spun: %d, interval %ld\n", ticks >= 5, spins > 1000, (long)old.it_interval.tv_usec);
	ticks = 0;
	it.it_value.tv_usec = 20000;
	setitimer(ITIMER_REAL, &it, 0);
	struct timespec ts = {5, 0}, rem;
	int r = nanosleep(&ts, &rem);
	printf("%d %d, most remains: %d\n", r, errno == EINTR, rem.tv_sec >= 4);
	printf("%u\n", alarm(100));
	unsigned left = alarm(0);
	printf("%d\n", left == 100 || left == 99);
	ticks = 0;
	alarm(1);
	pause();
	printf("%d\n", (int)ticks);
	return 0;
}
