// siglongjmp leaves a signal handler and restores the mask; a fault can be survived that way again and again.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
static sigjmp_buf env;
static volatile int caught;
static void handler(int s)
{
	caught++;
	siglongjmp(env, s);
}
int main(void)
{
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = handler;
	sigaction(SIGSEGV, &sa, 0);
	sigaction(SIGUSR1, &sa, 0);
	for (volatile int i = 0; i < 1000; i++) {
		if (sigsetjmp(env, 1) == 0) {
			*(volatile int *)(16L + i) = 1;
			printf("not reached\n");
		}
	}
	printf("%d faults\n", caught);
	sigset_t m;
	sigprocmask(SIG_SETMASK, 0, &m);
	printf("SIGSEGV blocked: %d\n", sigismember(&m, SIGSEGV));
	if (sigsetjmp(env, 0) == 0)
		raise(SIGUSR1);
	sigprocmask(SIG_SETMASK, 0, &m);
	printf("without saving the mask SIGUSR1 stays blocked: %d\n", sigismember(&m, SIGUSR1));
	sigemptyset(&m);
	sigprocmask(SIG_SETMASK, &m, 0);
	if (sigsetjmp(env, 1) == 0)
		raise(SIGUSR1);
	sigprocmask(SIG_SETMASK, 0, &m);
	printf("with it, it does not: %d\n", sigismember(&m, SIGUSR1));
	return 0;
}
