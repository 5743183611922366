// The program's own malloc serves the C library too.
// link: dynamic
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
static char pool[1 << 20] __attribute__((aligned(16)));
static size_t used;
static int mallocs, frees;
void *malloc(size_t n)
{
	mallocs++;
	n = (n + 31) & ~15ul;
	if (used + n > sizeof pool)
		return 0;
	char *p = pool + used;
	used += n;
	*(size_t *)p = n - 16;
	return p + 16;
}
void free(void *p) { frees += p != 0; }
void *calloc(size_t a, size_t b) { void *p = malloc(a * b); return p ? memset(p, 0, a * b) : p; }
void *realloc(void *p, size_t n)
{
	void *q = malloc(n);
	if (p && q) {
		size_t o = ((size_t *)p)[-2];
		memcpy(q, p, o < n ? o : n);
	}
	return q;
}
int main(void)
{
	int before = mallocs;
	char *s = strdup("duplicated");
	printf("%s %d %d\n", s, mallocs - before, (uintptr_t)s >= (uintptr_t)pool && (uintptr_t)s < (uintptr_t)(pool + sizeof pool));
	free(s);
	printf("%d\n", frees > 0);
	return 0;
}
