#include <string.h>
#include "vector.h"

void *memchr(const void *src, int c, size_t n)
{
	const char *s = src, *p = (const char *)((uintptr_t)s & -16);
	v16 want = SPLAT16((char)c);

	if (!n) return 0;
	unsigned m = MASK16(ALIGNED16(p), want) >> ((uintptr_t)s & 15);
	if (m) {
		size_t i = __builtin_ctz(m);
		return i < n ? (void *)(s + i) : 0;
	}
	size_t done = p + 16 - s;
	while (done < n) {
		p += 16;
		if ((m = MASK16(ALIGNED16(p), want))) {
			size_t i = done + __builtin_ctz(m);
			return i < n ? (void *)(s + i) : 0;
		}
		done += 16;
	}
	return 0;
}
