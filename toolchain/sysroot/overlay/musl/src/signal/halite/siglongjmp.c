#include <setjmp.h>
#include <signal.h>
#include "syscall.h"

/* The mask comes back before the jump: the continuation point belongs to the
 * compiler, and no code of ours can stand between it and the jump. */
_Noreturn void siglongjmp(sigjmp_buf buf, int value)
{
	if (buf->__fl) __syscall(SYS_rt_sigprocmask, SIG_SETMASK, buf->__ss, 0, _NSIG / 8);
	longjmp(buf, value);
}
