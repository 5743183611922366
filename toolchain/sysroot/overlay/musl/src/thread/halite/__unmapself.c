#include "pthread_impl.h"

/* The stack that this runs on goes away, so both steps are one call. */
void __unmapself(void *base, size_t size)
{
	for (;;) __syscall(SYS_halite_unmap_exit, base, size);
}
