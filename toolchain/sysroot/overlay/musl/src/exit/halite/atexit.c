#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include "fork_impl.h"
#include "libc.h"
#include "lock.h"

#define calloc __libc_calloc

/* Functions to call at exit, newest first, and those of one library when it
 * is unloaded: here a library's code does go away, so what it registered must
 * run before that (__cxa_finalize, called by each library's crtbeginS.o). */

struct entry {
	void (*fn)(void *);
	void *arg;
	void *dso; /* 0 for one registered with atexit: fn's own object is meant */
};

/* The first block needs no memory: 32 functions can always be registered. */
static struct block {
	struct block *older;
	int used;
	struct entry e[32];
} first, *newest = &first;

static volatile int lock[1];
volatile int *const __atexit_lockptr = lock;

static void call_plain(void *fn)
{
	((void (*)(void))(uintptr_t)fn)();
}

static int register_entry(struct entry e)
{
	LOCK(lock);
	if (newest->used == sizeof first.e / sizeof *first.e) {
		struct block *b = calloc(1, sizeof *b);
		if (!b) {
			UNLOCK(lock);
			return -1;
		}
		b->older = newest;
		newest = b;
	}
	newest->e[newest->used++] = e;
	UNLOCK(lock);
	return 0;
}

int __cxa_atexit(void (*fn)(void *), void *arg, void *dso)
{
	return register_entry((struct entry){ fn, arg, dso });
}

int atexit(void (*fn)(void))
{
	return register_entry((struct entry){ call_plain, (void *)(uintptr_t)fn, 0 });
}

/* Takes the newest entry; blocks stay, a function may register another. */
static int take(struct entry *e)
{
	LOCK(lock);
	while (!newest->used && newest->older) newest = newest->older;
	int found = newest->used > 0;
	if (found) *e = newest->e[--newest->used];
	UNLOCK(lock);
	return found;
}

void __funcs_on_exit(void)
{
	struct entry e;

	while (take(&e)) if (e.fn) e.fn(e.arg);
}

static void *object_of(void *p)
{
	Dl_info info;

	return dladdr(p, &info) ? info.dli_fbase : 0;
}

/* Finds the newest entry of a library and leaves an empty one in its place. */
static int take_of(void *dso, void *object, struct entry *e)
{
	int found = 0;

	LOCK(lock);
	for (struct block *b = newest; b && !found; b = b->older) {
		for (int i = b->used - 1; i >= 0 && !found; i--) {
			struct entry *c = b->e + i;
			if (!c->fn) continue;
			if (c->dso ? c->dso == dso : object && object_of(c->arg) == object) {
				*e = *c;
				c->fn = 0;
				found = 1;
			}
		}
	}
	UNLOCK(lock);
	return found;
}

/* At exit everything has run already when this is called. */
void __cxa_finalize(void *dso)
{
	struct entry e;

	if (!dso) return;
	void *object = object_of(dso);
	while (take_of(dso, object, &e)) e.fn(e.arg);
}
