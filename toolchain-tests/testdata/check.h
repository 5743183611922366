/* Small helpers that the test programs share. */
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* CHECK reports a condition that does not hold and goes on, so that one run shows everything that is wrong. */
#define CHECK(c) ((c) ? (void)0 : (void)(printf("line %d: not so: %s\n", __LINE__, #c), failures++))
static int failures __attribute__((unused));

/* page_end maps n pages with an inaccessible page behind them (and one before), and returns the address of the fence. */
static inline char *page_end(int n)
{
	char *p = mmap(0, (n + 2) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p, 4096, PROT_NONE) || mprotect(p + (n + 1) * 4096, 4096, PROT_NONE)) {
		perror("page_end");
		exit(99);
	}
	return p + (n + 1) * 4096;
}

/* A small generator, the same everywhere. */
static unsigned rnd_state __attribute__((unused)) = 12345;
static inline unsigned rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 17;
	rnd_state ^= rnd_state << 5;
	return rnd_state;
}
#endif
