#include <string.h>
#include "vector.h"

size_t strlen(const char *s)
{
	const char *p = (const char *)((uintptr_t)s & -16);
	v16 zero = { 0 };
	unsigned m = MASK16(ALIGNED16(p), zero) >> ((uintptr_t)s & 15);

	if (m) return __builtin_ctz(m);
	do p += 16;
	while (!(m = MASK16(ALIGNED16(p), zero)));
	return p + __builtin_ctz(m) - s;
}
