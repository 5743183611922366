#include "pthread_impl.h"

#define ARCH_SET_FS 0x1002

int __set_thread_area(void *tp)
{
	return __syscall(SYS_arch_prctl, ARCH_SET_FS, tp);
}
