// raise, SA_SIGINFO, SA_RESETHAND, SA_NODEFER, ignore, default of harmless signals.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static volatile sig_atomic_t n, depth, deepest, calls;
static void plain(int s) { n += s; }
static void info(int s, siginfo_t *i, void *c)
{
	n = s * 100 + i->si_signo;
	if (c == 0)
		n = -1;
}
static void nested(int s)
{
	if (++depth > deepest)
		deepest = depth;
	if (depth < 4 && ++calls < 10)
		raise(s);
	depth--;
}
int main(void)
{
	printf("%d\n", signal(SIGUSR1, plain) == SIG_DFL);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	printf("%d\n", (int)n);
	struct sigaction sa, old;
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = info;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGUSR2, &sa, 0);
	raise(SIGUSR2);
	printf("%d\n", (int)n);
	sa.sa_handler = plain;
	sa.sa_flags = SA_RESETHAND;
	sigaction(SIGUSR1, &sa, &old);
	printf("old %d\n", old.sa_handler == plain);
	raise(SIGUSR1);
	sigaction(SIGUSR1, 0, &old);
	printf("reset %d\n", old.sa_handler == SIG_DFL);
	sa.sa_handler = nested;
	sa.sa_flags = 0;
	sigaction(SIGTERM, &sa, 0);
	raise(SIGTERM);
	printf("deepest %d\n", (int)deepest);
	depth = deepest = calls = 0;
	sa.sa_flags = SA_NODEFER;
	sigaction(SIGTERM, &sa, 0);
	raise(SIGTERM);
	printf("deepest with SA_NODEFER %d\n", (int)deepest);
	signal(SIGTERM, SIG_IGN);
	raise(SIGTERM);
	raise(SIGCHLD);
	raise(SIGWINCH);
	printf("still here\n");
	printf("%d %d\n", sigaction(SIGKILL, &sa, 0), sigaction(99, &sa, 0));
	printf("%d\n", kill(getpid(), 0));
	return 0;
}
