/* Included before each part of a program of this directory. Output is not
 * buffered: it shows the order of events, also across a crash. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define say(...) dprintf(1, __VA_ARGS__)

/* The library tells when it is constructed and destroyed. */
#define UP(name) __attribute__((constructor)) static void up_##name(void) { say("up " #name "\n"); }
#define DOWN(name) __attribute__((destructor)) static void down_##name(void) { say("down " #name "\n"); }

#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 8
#endif

__attribute__((unused)) static void *must(void *p)
{
	if (!p) {
		const char *e = dlerror();
		say("error: %s\n", e ? e : "null");
		_exit(3);
	}
	return p;
}

#define OPEN(name, flags) must(dlopen(name, flags))
/* call a function without arguments that returns int, or say that it is missing */
#define CALL(handle, name) call_(handle, name)
__attribute__((unused)) static int call_(void *h, const char *name)
{
	int (*f)(void) = (int (*)(void))dlsym(h, name);
	return f ? f() : -1;
}
