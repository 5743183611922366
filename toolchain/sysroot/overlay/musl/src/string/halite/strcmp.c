#include <string.h>
#include "vector.h"

/* Near the end of a page an unaligned load could touch the next one. */
static inline int near_page_end(const char *p)
{
	return ((uintptr_t)p & 4095) > 4096 - 16;
}

int strcmp(const char *l, const char *r)
{
	v16 zero = { 0 };

	for (;;) {
		if (near_page_end(l) || near_page_end(r)) {
			for (int i = 0; i < 16; i++)
				if (l[i] != r[i] || !l[i]) return (unsigned char)l[i] - (unsigned char)r[i];
		} else {
			v16 a = LOAD16(l);
			unsigned stop = ~MASK16(a, LOAD16(r)) & 0xffff;
			stop |= MASK16(a, zero);
			if (stop) {
				int i = __builtin_ctz(stop);
				return (unsigned char)l[i] - (unsigned char)r[i];
			}
		}
		l += 16;
		r += 16;
	}
}
