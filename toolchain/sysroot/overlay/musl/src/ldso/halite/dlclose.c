#include <dlfcn.h>
#include "dynlink.h"

/* In a static program; the dynamic linker has the real one. */
static int no_dlclose(void *handle)
{
	return __dl_invalid_handle(handle);
}

weak_alias(no_dlclose, dlclose);
