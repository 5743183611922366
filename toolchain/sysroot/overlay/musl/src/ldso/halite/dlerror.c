#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "dynlink.h"
#include "pthread_impl.h"

#define malloc __libc_malloc
#define free __libc_free

/* The message of a thread's last failure. A thread that ends holds the thread
 * list lock when it gives its memory back, and free takes locks that somebody
 * may hold who waits for that list: so memory is queued, and freed by the next
 * thread that has something to do here. */

struct queued { struct queued *next; };

static void *volatile queue;

/* Without a lock: who forks would hold it and wait for the thread list. */
hidden void __halite_defer_free(void *p)
{
	struct queued *q = p;

	do q->next = queue;
	while (a_cas_p(&queue, q->next, q) != q->next);
}

hidden void __halite_free_deferred(void)
{
	struct queued *p;

	do p = queue;
	while (p && a_cas_p(&queue, p, 0) != p);
	while (p) {
		struct queued *next = p->next;
		free(p);
		p = next;
	}
}

static void no_tls(void)
{
}

hidden void __halite_tls_cleanup(void);
weak_alias(no_tls, __halite_tls_cleanup);

void __dl_thread_cleanup(void)
{
	pthread_t self = __pthread_self();

	if (self->dlerror_buf) __halite_defer_free(self->dlerror_buf);
	__halite_tls_cleanup();
}

hidden void __dl_vseterr(const char *format, va_list ap)
{
	pthread_t self = __pthread_self();
	va_list again;

	__halite_free_deferred();
	va_copy(again, ap);
	int n = vsnprintf(0, 0, format, again);
	va_end(again);
	size_t size = n < 0 ? 1 : n + 1;
	if (size < sizeof(struct queued)) size = sizeof(struct queued);
	char *text = malloc(size);
	if (text) vsnprintf(text, size, format, ap);
	free(self->dlerror_buf);
	self->dlerror_buf = text;
	self->dlerror_flag = 1;
}

hidden void __dl_seterr(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	__dl_vseterr(format, ap);
	va_end(ap);
}

char *dlerror(void)
{
	pthread_t self = __pthread_self();

	if (!self->dlerror_flag) return 0;
	self->dlerror_flag = 0;
	return self->dlerror_buf ? self->dlerror_buf : "no memory for the dynamic linker's message";
}

static int bad_handle(void *h)
{
	__dl_seterr("%p is not the handle of a library", h);
	return 1;
}

weak_alias(bad_handle, __dl_invalid_handle);
