/* The entry point of libc.so. The host links, so nothing has to be bootstrapped
 * here. It is where a domain begins that was given a library and no program:
 * the C library is initialised and constructors run as for any program, and
 * then the first thread waits for the host's calls. */
#define _GNU_SOURCE
#define START "_dlstart"
#include "crt_arch.h"

#include <pthread.h>
#include "libc.h"
#include "syscall.h"

int __libc_start_main(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void));

/* return_and_wait without data: the host calls functions on top of it. */
#define HALITE_RETURN_AND_WAIT 0x11400
#define wait_for_calls() ((int (*)(const void *, void *))HALITE_RETURN_AND_WAIT)(0, 0)

static int library_main(int argc, char **argv, char **envp)
{
	static const char text[] = "libc.so is a library; run a program with it\n";

	while (wait_for_calls() >= 0);
	__syscall(SYS_write, 2, text, sizeof text - 1);
	return 127;
}

static void *caller(void *unused)
{
	while (wait_for_calls() >= 0);
	return 0;
}

/* The host calls this for a further thread to make calls on. */
int __halite_add_caller(size_t stack)
{
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	int r = pthread_attr_setstacksize(&a, stack);
	return r ? r : pthread_create(&t, &a, caller, 0);
}

hidden void __halite_library_start_c(size_t *p, const size_t *dyn) __asm__(START "_c");

hidden void __halite_library_start_c(size_t *p, const size_t *dyn)
{
	__libc_start_main(library_main, *p, (char **)(p + 1), 0, 0, 0);
}
