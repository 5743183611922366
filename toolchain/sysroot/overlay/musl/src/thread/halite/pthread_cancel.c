#define _GNU_SOURCE
#include <string.h>
#include "ksigaction.h"
#include "pthread_impl.h"
#include "syscall.h"

/* Cancellation without looking at the program counter: a handler in a domain
 * returns to where it was called, and can't move that place.
 *
 * A thread inside a cancellation point says so with IN_CALL in cancelasync,
 * which its own thread alone writes. If the signal finds the flag, or
 * asynchronous cancellation, the handler itself begins the exit; everything
 * that pthread_exit does may be done from it. If the signal only interrupts
 * the system call (cancellation masked, as in a condition wait), the call
 * ends with EINTR, since the handler is installed without SA_RESTART, and
 * __syscall_cp_c looks at the flag.
 *
 * What differs from the specification: a cancellation that arrives after the
 * call has had its effect and before the flag is taken back still acts, so
 * that the result of that one call is lost; and a signal that arrives between
 * the test of the flag and a masked call is noticed at the next wake-up. */
#define IN_CALL 2

hidden long __cancel(void), __syscall_cp_c();

long __cancel(void)
{
	pthread_t self = __pthread_self();

	self->cancelasync &= ~IN_CALL;
	if (self->canceldisable == PTHREAD_CANCEL_ENABLE || self->cancelasync)
		pthread_exit(PTHREAD_CANCELED);
	self->canceldisable = PTHREAD_CANCEL_DISABLE;
	return -ECANCELED;
}

long __syscall_cp_c(syscall_arg_t n, syscall_arg_t a, syscall_arg_t b, syscall_arg_t c,
                    syscall_arg_t d, syscall_arg_t e, syscall_arg_t f)
{
	pthread_t self = __pthread_self();
	long r;

	if (self->canceldisable && (self->canceldisable == PTHREAD_CANCEL_DISABLE || n == SYS_close)) {
		/* The only signal without SA_RESTART may be our own. */
		do r = __syscall(n, a, b, c, d, e, f);
		while (r == -EINTR && self->cancel && !__eintr_valid_flag && n != SYS_close);
		return r;
	}
	self->cancelasync |= IN_CALL;
	a_barrier();
	if (self->cancel) return __cancel();
	r = __syscall(n, a, b, c, d, e, f);
	a_barrier();
	self->cancelasync &= ~IN_CALL;
	if (r == -EINTR && n != SYS_close && self->cancel && self->canceldisable != PTHREAD_CANCEL_DISABLE)
		return __cancel();
	return r;
}

static void handler(int sig, siginfo_t *si, void *context)
{
	pthread_t self = __pthread_self();
	ucontext_t *uc = context;

	if (!self->cancel || self->canceldisable != PTHREAD_CANCEL_ENABLE || !self->cancelasync) return;
	/* The handler does not return, so the mask that was in force before
	 * comes back by hand. SIGCANCEL stays blocked: one is enough. */
	sigset_t mask = uc->uc_sigmask;
	mask.__bits[0] |= 1UL << (SIGCANCEL - 1);
	__syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, _NSIG / 8);
	__cancel();
}

void __testcancel(void)
{
	pthread_t self = __pthread_self();

	if (self->cancel && !self->canceldisable) __cancel();
}

static void install(void)
{
	struct k_sigaction sa = { .flags = SA_SIGINFO };

	/* Not through sigaction, which would note for the rest of the library
	 * that a handler without SA_RESTART exists. */
	sa.handler = (void (*)(int))handler;
	memset(&sa.mask, -1, sizeof sa.mask);
	__syscall(SYS_rt_sigaction, SIGCANCEL, &sa, 0, _NSIG / 8);
}

int pthread_cancel(pthread_t t)
{
	static volatile int installed;

	if (!installed) {
		install();
		installed = 1;
	}
	a_store(&t->cancel, 1);
	if (t == pthread_self()) {
		if (t->canceldisable == PTHREAD_CANCEL_ENABLE && t->cancelasync)
			pthread_exit(PTHREAD_CANCELED);
		return 0;
	}
	return pthread_kill(t, SIGCANCEL);
}
