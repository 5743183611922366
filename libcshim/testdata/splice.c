/* splice, and the timers of CPU time. */
#include "t.h"
#include <sys/time.h>
#include <sys/wait.h>

static void say(const char *what, long v)
{
	printf("%s: %ld%s%s\n", what, v, v < 0 ? " " : "", v < 0 ? strerror(errno) : "");
}

static volatile int rang[65];
static void handler(int s) { rang[s]++; }

static void timers(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 20000 } }, old;
	static const struct { int which, sig; } t[] = { { ITIMER_VIRTUAL, SIGVTALRM }, { ITIMER_PROF, SIGPROF } };
	for (int i = 0; i < 2; i++) {
		signal(t[i].sig, handler);
		it.it_interval.tv_usec = 0;
		say("set", setitimer(t[i].which, &it, &old));
		printf("%d %d\n", (int)old.it_value.tv_sec, (int)old.it_value.tv_usec);
		say("get", getitimer(t[i].which, &old));
		printf("%d\n", old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 40000);
		for (volatile long n = 0; !rang[t[i].sig]; n++)
			;
		getitimer(t[i].which, &old);
		printf("once: %d, left %d\n", rang[t[i].sig], (int)old.it_value.tv_usec);
		it.it_interval.tv_usec = 15000;
		setitimer(t[i].which, &it, 0);
		for (volatile long n = 0; rang[t[i].sig] < 4; n++)
			;
		memset(&it.it_value, 0, sizeof it.it_value);
		say("stop", setitimer(t[i].which, &it, &old));
		printf("%d\n", (int)old.it_interval.tv_usec);
		it.it_value.tv_usec = 20000;
	}
	say("no timer", setitimer(3, &it, 0));
	it.it_value.tv_usec = 1000000;
	say("no time", setitimer(ITIMER_PROF, &it, 0));
	/* A child has none, and one that is not waited for rings in nobody's time. */
	it.it_value.tv_usec = 0, it.it_value.tv_sec = 1000;
	setitimer(ITIMER_PROF, &it, 0);
	fflush(stdout);
	if (fork() == 0) {
		getitimer(ITIMER_PROF, &old);
		_exit(old.it_value.tv_sec);
	}
	int status;
	wait(&status);
	say("child", WEXITSTATUS(status));
}

int main(void)
{
	int p[2], q[2], f = open("spliced", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char b[100] = { 0 };
	loff_t at = 3;
	pipe(p), pipe(q);
	write(f, "0123456789", 10);
	say("from a file", splice(f, &at, p[1], 0, 4, 0));
	say("offset", at);
	say("position", lseek(f, 0, SEEK_CUR));
	say("read", read(p[0], b, sizeof b));
	printf("%.4s\n", b);
	lseek(f, 8, SEEK_SET);
	say("rest", splice(f, 0, p[1], 0, 100, 0));
	say("end", splice(f, 0, p[1], 0, 100, 0));
	at = 1;
	say("into a file", splice(p[0], 0, f, &at, 100, 0));
	say("offset", at);
	pread(f, b, 10, 0);
	printf("%.10s\n", b);
	write(p[1], "between", 7);
	say("between pipes", splice(p[0], 0, q[1], 0, 100, 0));
	say("read", read(q[0], b, sizeof b));
	printf("%.7s\n", b);
	say("nothing there", splice(p[0], 0, q[1], 0, 100, SPLICE_F_NONBLOCK));
	say("no pipe", splice(f, 0, f, &at, 1, 0));
	say("offset of a pipe", splice(p[0], &at, f, 0, 1, 0));
	say("flags", splice(p[0], 0, f, 0, 1, 999));
	say("not open", splice(99, 0, f, 0, 1, 0));
	at = -1;
	say("negative", splice(f, &at, p[1], 0, 1, 0));
	close(p[1]);
	say("closed", splice(p[0], 0, f, 0, 1, 0));
	timers();
	return 0;
}
