#include "t.h"
#include <ucontext.h>
static sigjmp_buf jb; static volatile int sig, code; static volatile uintptr_t addr; static volatile int same, rspok;
static void h(int s, siginfo_t *i, void *u) { ucontext_t *c = u; char here; sig = s; code = i->si_code; addr = (uintptr_t)i->si_addr; uintptr_t sp = c->uc_mcontext.gregs[REG_RSP]; rspok = sp > (uintptr_t)&here && sp - (uintptr_t)&here < 100000; same = (uintptr_t)i->si_addr == (uintptr_t)c->uc_mcontext.gregs[REG_CR2]; siglongjmp(jb, 1); }
#define fault(e) do { if (!sigsetjmp(jb, 1)) { e; puts(#e ": no fault"); } else printf("%s: signal %d code %d rsp %d\n", #e, sig, code, rspok); } while (0)
static volatile int zero; static int deep(volatile char *p) { volatile char b[1000]; b[0] = 1; return deep(b) + b[5]; }
static char alt[1 << 16];
int main(void) {
	stack_t st = {.ss_sp = alt, .ss_size = sizeof alt}; sigaltstack(&st, 0);
	struct sigaction sa = {.sa_sigaction = h, .sa_flags = SA_SIGINFO}; int l[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}; for (int i = 0; i < 5; i++) sigaction(l[i], &sa, 0);
	fault(*(volatile int *)0); fault(*(volatile int *)0x1234 = 1); show(addr == 0x1234); show(same); fault(zero = 1 / zero); fault(__builtin_trap()); for (int i = 0; i < 1000; i++) { if (!sigsetjmp(jb, 1)) *(volatile int *)4 = 1; } show(sig);
	int fd = open("f", O_RDWR | O_CREAT, 0600); ftruncate(fd, 4096); char *m = mmap(0, 8192, PROT_READ, MAP_SHARED, fd, 0); fault((void)((volatile char *)m)[4096]);
	sa.sa_flags |= SA_ONSTACK; sigaction(SIGSEGV, &sa, 0); sigset_t s; sigprocmask(0, 0, &s); show(sigismember(&s, SIGSEGV)); if (!sigsetjmp(jb, 1)) { deep(0); } else printf("stack overflow: signal %d\n", sig);
	sigemptyset(&s); sigaddset(&s, SIGSEGV); fflush(stdout); sigprocmask(SIG_BLOCK, &s, 0); *(volatile int *)0 = 1; puts("not reached");
}
