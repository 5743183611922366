// A handler on an alternate stack survives the overflow of the stack, and is where it says it is.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static sigjmp_buf env;
static char *alt;
static volatile int on_alt;
static void handler(int s)
{
	char here;
	on_alt = &here >= alt && &here < alt + 65536;
	stack_t ss;
	sigaltstack(0, &ss);
	on_alt += (ss.ss_flags == SS_ONSTACK) * 10;
	if (s == SIGSEGV)
		siglongjmp(env, 1);
}
static volatile int depth;
__attribute__((noinline)) static int overflow(int n)
{
	volatile char big[100000];
	big[0] = n;
	big[99999] = n;
	depth++;
	return overflow(n + 1) + big[n % 100000];
}
int main(void)
{
	alt = malloc(65536);
	stack_t ss, old;
	memset(&ss, 0, sizeof ss);
	ss.ss_sp = alt;
	ss.ss_size = 65536;
	printf("%d\n", sigaltstack(&ss, &old));
	printf("%d\n", old.ss_flags == SS_DISABLE);
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = handler;
	sa.sa_flags = SA_ONSTACK;
	sigaction(SIGSEGV, &sa, 0);
	sigaction(SIGUSR1, &sa, 0);
	raise(SIGUSR1);
	printf("%d\n", on_alt);
	for (int i = 0; i < 3; i++) {
		depth = 0;
		if (sigsetjmp(env, 1) == 0)
			overflow(0);
		printf("overflow caught on the alternate stack: %d, deep: %d\n", on_alt, depth > 10);
	}
	sa.sa_flags = 0;
	sigaction(SIGUSR1, &sa, 0);
	raise(SIGUSR1);
	printf("%d\n", on_alt);
	return 0;
}
