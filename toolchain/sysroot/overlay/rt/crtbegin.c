/* What comes first in every program and library: the handle that names the
 * object to __cxa_atexit and __cxa_finalize. A library's exit functions run
 * when it is unloaded; this destructor is the library's last, because it is
 * linked first and destructors run backwards. */

#ifdef LIBRARY
void *__dso_handle __attribute__((visibility("hidden"))) = &__dso_handle;

extern void __cxa_finalize(void *) __attribute__((weak, visibility("default")));

__attribute__((destructor)) static void finalize(void)
{
	if (__cxa_finalize) __cxa_finalize(__dso_handle);
}
#else
void *__dso_handle __attribute__((visibility("hidden"))) = 0;
#endif
