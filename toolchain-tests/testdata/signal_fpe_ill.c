// Division by zero and an undefined instruction arrive as signals with their codes.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
static sigjmp_buf env;
static volatile int code;
static void handler(int s, siginfo_t *i, void *c)
{
	code = i->si_code;
	siglongjmp(env, s);
}
static volatile int zero, minus = -1, min = -2147483647 - 1;
int main(void)
{
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGFPE, &sa, 0);
	sigaction(SIGILL, &sa, 0);
	sigaction(SIGTRAP, &sa, 0);
	sigaction(SIGSEGV, &sa, 0);
	int r;
	if ((r = sigsetjmp(env, 1)) == 0)
		printf("%d\n", 5 / zero);
	printf("SIGFPE %d, FPE_INTDIV %d\n", r == SIGFPE, code == FPE_INTDIV);
	if ((r = sigsetjmp(env, 1)) == 0)
		printf("%d\n", min / minus);
	printf("SIGFPE %d\n", r == SIGFPE);
	if ((r = sigsetjmp(env, 1)) == 0)
		__builtin_trap();
	printf("SIGILL %d\n", r == SIGILL);
	if ((r = sigsetjmp(env, 1)) == 0)
		*(volatile int *)8 = 1;
	printf("SIGSEGV %d, SEGV_MAPERR %d\n", r == SIGSEGV, code == SEGV_MAPERR);
	return 0;
}
