#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include "pthread_impl.h"

/* A new thread of the domain, or a new process. A process is always a copy:
 * what it is told to share (posix_spawn's child shares its parent's memory) is
 * for speed alone, and the copy has a stack already. */
#define THREAD (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)

int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list ap;
	int *ptid, *ctid;
	void *tls;
	long pid;

	if (!(flags & CLONE_THREAD)) {
		if (flags & ~(CSIGNAL | CLONE_VM | CLONE_VFORK)) return -EINVAL;
		pid = __syscall(SYS_fork);
		if (!pid) for (;;) __syscall(SYS_exit_group, fn(arg));
		return pid;
	}
	if ((flags & THREAD) != THREAD || !stack) return -EINVAL;
	va_start(ap, arg);
	ptid = va_arg(ap, int *);
	tls = va_arg(ap, void *);
	ctid = va_arg(ap, int *);
	va_end(ap);
	if (!(flags & CLONE_PARENT_SETTID)) ptid = 0;
	if (!(flags & CLONE_SETTLS)) tls = (void *)__get_tp();
	if (!(flags & CLONE_CHILD_CLEARTID)) ctid = 0;
	stack = (void *)((uintptr_t)stack & -16);
	return __syscall(SYS_halite_thread_spawn, fn, stack, arg, tls, ptid, ctid);
}
