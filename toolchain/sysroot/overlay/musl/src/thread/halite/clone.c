#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include "pthread_impl.h"

/* A new thread of the domain; anything else that clone can do (processes,
 * shared or separate parts of a process) does not exist in one. */
#define THREAD (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)

int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list ap;
	int *ptid, *ctid;
	void *tls;

	if ((flags & THREAD) != THREAD || !stack) return -ENOSYS;
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
