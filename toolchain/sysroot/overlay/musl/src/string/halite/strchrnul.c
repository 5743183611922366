#include <string.h>
#include "vector.h"

char *__strchrnul(const char *s, int c)
{
	const char *p = (const char *)((uintptr_t)s & -16);
	v16 want = SPLAT16((char)c), zero = { 0 };
	v16 v = ALIGNED16(p);
	unsigned m = (MASK16(v, want) | MASK16(v, zero)) >> ((uintptr_t)s & 15);

	if (m) return (char *)s + __builtin_ctz(m);
	do {
		p += 16;
		v = ALIGNED16(p);
		m = MASK16(v, want) | MASK16(v, zero);
	} while (!m);
	return (char *)p + __builtin_ctz(m);
}

weak_alias(__strchrnul, strchrnul);
