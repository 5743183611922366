/* Processes as descriptors. */
#include "t.h"
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void say(const char *what, long v)
{
	printf("%s: %ld%s%s\n", what, v, v < 0 ? " " : "", v < 0 ? strerror(errno) : "");
}

static int pidfd(int pid, int flags) { return syscall(SYS_pidfd_open, pid, flags); }
static int sig(int fd, int n) { return syscall(SYS_pidfd_send_signal, fd, n, 0, 0); }

static int events(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN };
	int n = poll(&p, 1, ms);
	return n < 0 ? n : p.revents & POLLIN; /* kernels differ in POLLHUP */
}

static int got;
static void handler(int s) { got = s; }

int main(void)
{
	siginfo_t si;
	int p[2], self = pidfd(getpid(), 0);
	say("self", self >= 0);
	say("close-on-exec", fcntl(self, F_GETFD));
	say("alive", events(self, 0));
	signal(SIGUSR1, handler);
	say("signal to oneself", sig(self, SIGUSR1));
	say("got", got);
	say("signal 0", sig(self, 0));
	say("no signal", sig(self, 99));
	say("no pidfd", sig(0, 0));
	say("nobody", pidfd(99999999, 0));
	say("number 0", pidfd(0, 0));
	say("flags", pidfd(getpid(), 1));
	char b, name[40];
	snprintf(name, sizeof name, "/proc/%d", getpid());
	got = 0;
	say("by its directory", sig(open(name, O_RDONLY | O_DIRECTORY), SIGUSR1));
	say("got", got);
	say("by /proc/self", sig(open("/proc/self", O_RDONLY | O_DIRECTORY), 0));
	say("by its descriptors", sig(open("/proc/self/fd", O_RDONLY | O_DIRECTORY), 0));
	say("by /proc", sig(open("/proc", O_RDONLY | O_DIRECTORY), 0));
	say("by /", sig(open("/", O_RDONLY | O_DIRECTORY), 0));
	say("read", read(self, &b, 1));
	say("wait for oneself", waitid(P_PIDFD, self, &si, WEXITED | WNOHANG));
	say("wait for no pidfd", waitid(P_PIDFD, 0, &si, WEXITED));

	pipe(p);
	fflush(stdout);
	int c = fork();
	if (c == 0) {
		close(p[1]);
		read(p[0], &b, 1);
		_exit(7);
	}
	close(p[0]);
	int fd = pidfd(c, O_NONBLOCK);
	say("runs", events(fd, 0));
	say("not yet", waitid(P_PIDFD, fd, &si, WEXITED));
	memset(&si, 0, sizeof si);
	say("no hang", waitid(P_PIDFD, fd, &si, WEXITED | WNOHANG));
	say("who", si.si_pid);
	close(p[1]);
	say("ended", events(fd, 10000));
	say("signal to a zombie", sig(fd, SIGTERM));
	say("look", waitid(P_PIDFD, fd, &si, WEXITED | WNOWAIT));
	printf("%d %d\n", si.si_pid == c, si.si_status);
	say("wait", waitid(P_PIDFD, fd, &si, WEXITED));
	printf("%d %d\n", si.si_code == CLD_EXITED, si.si_status);
	say("again", waitid(P_PIDFD, fd, &si, WEXITED));
	say("ended", events(fd, 0));
	say("signal to nobody", sig(fd, SIGTERM));
	close(fd);

	fflush(stdout);
	c = fork();
	if (c == 0)
		for (;;)
			pause();
	fd = pidfd(c, 0);
	say("kill", sig(fd, SIGKILL));
	say("wait", waitid(P_PIDFD, fd, &si, WEXITED));
	printf("%d %d\n", si.si_code == CLD_KILLED, si.si_status);
	return 0;
}
