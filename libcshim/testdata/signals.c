#include "t.h"
static volatile int n, last, depth, maxd; static volatile void *addr; static volatile int code, val; static sigjmp_buf jb;
static void h(int s) { n++; last = s; }
static void nest(int s) { n++; depth++; if (depth > maxd) maxd = depth; if (n < 4) raise(SIGUSR1); depth--; }
static void info(int s, siginfo_t *i, void *u) { last = s; code = i->si_code; val = i->si_value.sival_int; n++; }
static void order(int s) { printf("(%d)", s); }
static void jump(int s) { n++; siglongjmp(jb, s); }
static char alt[65536]; static volatile int onalt;
static void althandler(int s) { char x; onalt = &x >= alt && &x < alt + sizeof alt; stack_t st; sigaltstack(0, &st); n = st.ss_flags; }
static void maskcheck(int s) { sigset_t m; sigprocmask(0, 0, &m); printf("in handler: USR1 %d USR2 %d TERM %d\n", sigismember(&m, SIGUSR1), sigismember(&m, SIGUSR2), sigismember(&m, SIGTERM)); }
int main(void) {
	setvbuf(stdout, 0, _IONBF, 0);
	struct sigaction sa = {0}, old; sigset_t m, o, pend; struct timespec ts;
	show(signal(SIGUSR1, h) == SIG_DFL); show(raise(SIGUSR1)); show(n); show(last); show(kill(getpid(), SIGUSR1)); show(n); show(kill(getpid(), 0)); show(kill(getpid(), 99)); show(kill(999999, 0)); show(kill(999999, SIGTERM));
	show(sigaction(SIGUSR1, 0, &old)); show(old.sa_handler == h); show(sigaction(SIGKILL, &sa, 0)); show(sigaction(99, &sa, 0)); sa.sa_handler = SIG_IGN; show(sigaction(SIGUSR2, &sa, 0)); show(raise(SIGUSR2));
	// nesting
	n = 0; sa.sa_handler = nest; sa.sa_flags = SA_NODEFER; sigaction(SIGUSR1, &sa, 0); raise(SIGUSR1); show(n); show(maxd); n = depth = maxd = 0; sa.sa_flags = 0; sigaction(SIGUSR1, &sa, 0); raise(SIGUSR1); show(n); show(maxd);
	// mask, pending
	sigemptyset(&m); sigaddset(&m, SIGUSR1); sigaddset(&m, SIGUSR2); signal(SIGUSR1, h); signal(SIGUSR2, h); n = 0; show(sigprocmask(SIG_BLOCK, &m, &o)); raise(SIGUSR1); raise(SIGUSR1); show(n); sigpending(&pend); show(sigismember(&pend, SIGUSR1)); show(sigismember(&pend, SIGUSR2)); show(sigprocmask(SIG_SETMASK, &o, 0)); show(n); show(sigprocmask(77, &m, 0));
	// order of delivery
	signal(SIGUSR1, order); signal(SIGUSR2, order); signal(SIGTERM, order); sigaddset(&m, SIGTERM); sigprocmask(SIG_BLOCK, &m, &o); raise(SIGTERM); raise(SIGUSR2); raise(SIGUSR1); sigprocmask(SIG_SETMASK, &o, 0); puts("");
	// sa_mask
	sa.sa_handler = maskcheck; sa.sa_flags = 0; sigemptyset(&sa.sa_mask); sigaddset(&sa.sa_mask, SIGTERM); sigaction(SIGUSR1, &sa, 0); raise(SIGUSR1); sigprocmask(0, 0, &m); show(sigismember(&m, SIGTERM));
	// SA_RESETHAND
	sa.sa_handler = h; sa.sa_flags = SA_RESETHAND; sigaction(SIGUSR1, &sa, 0); raise(SIGUSR1); sigaction(SIGUSR1, 0, &old); show(old.sa_handler == SIG_DFL);
	// siginfo, real-time queueing
	sa.sa_sigaction = info; sa.sa_flags = SA_SIGINFO; sigemptyset(&sa.sa_mask); sigaction(SIGRTMIN + 2, &sa, 0); n = 0; union sigval v = {.sival_int = 42}; show(sigqueue(getpid(), SIGRTMIN + 2, v)); show(val); show(code == SI_QUEUE); sigemptyset(&m); sigaddset(&m, SIGRTMIN + 2); sigprocmask(SIG_BLOCK, &m, 0); n = 0; for (v.sival_int = 1; v.sival_int <= 3; v.sival_int++) sigqueue(getpid(), SIGRTMIN + 2, v); sigprocmask(SIG_UNBLOCK, &m, 0); show(n); show(val); kill(getpid(), SIGRTMIN + 2); show(code == SI_USER); raise(SIGRTMIN + 2); show(code == SI_TKILL);
	// sigtimedwait, sigwaitinfo
	sigprocmask(SIG_BLOCK, &m, 0); siginfo_t si; ts = (struct timespec){0, 10000000}; show(sigtimedwait(&m, &si, &ts)); v.sival_int = 77; sigqueue(getpid(), SIGRTMIN + 2, v); show(sigtimedwait(&m, &si, &ts) == SIGRTMIN + 2); show(si.si_value.sival_int); show(si.si_pid == getpid()); raise(SIGRTMIN + 2); int s; show(sigwait(&m, &s)); show(s == SIGRTMIN + 2); sigprocmask(SIG_UNBLOCK, &m, 0);
	// sigsuspend
	signal(SIGUSR1, h); n = 0; sigemptyset(&m); sigaddset(&m, SIGUSR1); sigprocmask(SIG_BLOCK, &m, &o); raise(SIGUSR1); sigemptyset(&pend); show(sigsuspend(&pend)); show(n); sigprocmask(0, 0, &pend); show(sigismember(&pend, SIGUSR1)); sigprocmask(SIG_SETMASK, &o, 0);
	// siglongjmp out of a handler restores the mask
	signal(SIGUSR1, jump); n = 0; for (volatile int i = 0; i < 1000; i++) { if (sigsetjmp(jb, 1) == 0) { raise(SIGUSR1); puts("not reached"); } } show(n); sigprocmask(0, 0, &m); show(sigismember(&m, SIGUSR1));
	// alternate stack
	stack_t st = {.ss_sp = alt, .ss_size = sizeof alt}, os; show(sigaltstack(&st, &os)); show(os.ss_flags == SS_DISABLE); sa.sa_handler = althandler; sa.sa_flags = SA_ONSTACK; sigaction(SIGUSR1, &sa, 0); raise(SIGUSR1); show(onalt); show(n == SS_ONSTACK); sa.sa_flags = 0; sigaction(SIGUSR1, &sa, 0); raise(SIGUSR1); show(onalt); st.ss_size = 10; show(sigaltstack(&st, 0)); st.ss_flags = SS_DISABLE; show(sigaltstack(&st, 0));
	// default ignore
	signal(SIGCHLD, SIG_DFL); show(raise(SIGCHLD)); show(raise(SIGWINCH)); show(raise(SIGURG)); show(raise(SIGCONT));
	// sleep interrupted, alarm
	signal(SIGALRM, h); alarm(1); double t = now(); ts = (struct timespec){5, 0}; struct timespec rem; show(nanosleep(&ts, &rem)); show(rem.tv_sec >= 3 && rem.tv_sec < 5); show(now() - t < 3); show(alarm(10)); show(alarm(0)); struct itimerval it = {{0, 5000}, {0, 5000}}; n = 0; show(setitimer(ITIMER_REAL, &it, 0)); while (n < 5) pause(); it = (struct itimerval){0}; show(setitimer(ITIMER_REAL, &it, &it)); show(it.it_interval.tv_usec); show(n >= 5);
	// restart of read
	int p[2]; pipe(p); it = (struct itimerval){{0, 0}, {0, 20000}}; char b; sa.sa_handler = h; sa.sa_flags = 0; sigaction(SIGALRM, &sa, 0); setitimer(ITIMER_REAL, &it, 0); show(read(p[0], &b, 1)); 
	show(poll(0, 0, 0)); setitimer(ITIMER_REAL, &it, 0); show(poll(0, 0, 2000)); sa.sa_flags = SA_RESTART; sigaction(SIGALRM, &sa, 0); setitimer(ITIMER_REAL, &it, 0); show(poll(0, 0, 2000));
	show(sigismember(&m, 99)); abort();
}
