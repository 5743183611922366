#include "pthread_impl.h"

/* The dynamic linker of a dynamic program replaces this; a static program has
 * one module, which every thread has from its beginning. */
static void *no_module(tls_mod_off_t *v)
{
	a_crash();
	return 0;
}

hidden void *__halite_tls_slow(tls_mod_off_t *);
weak_alias(no_module, __halite_tls_slow);

void *__tls_get_addr(tls_mod_off_t *v)
{
	uintptr_t *dtv = __pthread_self()->dtv;

	if (v[0] <= dtv[0] && dtv[v[0]]) return (void *)(dtv[v[0]] + v[1]);
	return __halite_tls_slow(v);
}
