// Clocks advance, sleeps last at least as long as asked.
#include <errno.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static double now(clockid_t c)
{
	struct timespec t;
	if (clock_gettime(c, &t))
		return -1;
	return t.tv_sec + t.tv_nsec * 1e-9;
}
int main(void)
{
	double m = now(CLOCK_MONOTONIC), r = now(CLOCK_REALTIME);
	struct timespec ts = {0, 20000000};
	printf("%d\n", nanosleep(&ts, 0));
	double m2 = now(CLOCK_MONOTONIC), r2 = now(CLOCK_REALTIME);
	printf("%d %d %d\n", m2 - m >= 0.02, m2 - m < 2, r2 > r);
	printf("%d\n", clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, 0));
	struct timespec abs;
	clock_gettime(CLOCK_MONOTONIC, &abs);
	abs.tv_sec -= 1;
	printf("%d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &abs, 0));
	printf("%d\n", usleep(1000));
	struct timeval tv;
	gettimeofday(&tv, 0);
	time_t t = time(0);
	printf("%d %d\n", t - tv.tv_sec <= 1, r > 1600000000);
	double c = now(CLOCK_PROCESS_CPUTIME_ID);
	for (volatile int i = 0; i < 20000000; i++)
		;
	printf("%d %d\n", now(CLOCK_PROCESS_CPUTIME_ID) > c, clock() > 0);
	printf("%d\n", clock_getres(CLOCK_MONOTONIC, &ts) == 0 && ts.tv_sec == 0);
	printf("%d %d\n", clock_gettime(77, &ts), errno == EINVAL);
	ts.tv_nsec = 2000000000;
	printf("%d %d\n", nanosleep(&ts, 0), errno == EINVAL);
	return 0;
}
