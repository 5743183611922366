#define _GNU_SOURCE
#include <dlfcn.h>
#include "dynlink.h"

/* In a static program; the dynamic linker has the real one. */
static int no_dlinfo(void *handle, int request, void *result)
{
	__dl_invalid_handle(handle);
	return -1;
}

weak_alias(no_dlinfo, dlinfo);
