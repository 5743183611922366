#include <dlfcn.h>
#include "dynlink.h"
#include "syscall.h"

/* RTLD_NEXT depends on the caller. */
void *dlsym(void *restrict handle, const char *restrict name)
{
	return __dlsym(handle, name, __halite_caller());
}
