#include <string.h>
#include "vector.h"

static int first_difference(const unsigned char *a, const unsigned char *b, unsigned equal)
{
	int i = __builtin_ctz(~equal);

	return a[i] - b[i];
}

int memcmp(const void *left, const void *right, size_t n)
{
	const unsigned char *a = left, *b = right;

	if (n >= 16) {
		size_t i = 0;
		for (; i + 16 <= n; i += 16) {
			unsigned equal = MASK16(LOAD16(a + i), LOAD16(b + i));
			if (equal != 0xffff) return first_difference(a + i, b + i, equal);
		}
		if (i == n) return 0;
		/* The rest, with some bytes that are known to be equal. */
		a += n - 16;
		b += n - 16;
		unsigned equal = MASK16(LOAD16(a), LOAD16(b));
		return equal == 0xffff ? 0 : first_difference(a, b, equal);
	}
	if (n >= 8) {
		uint64_t x = __builtin_bswap64(LOAD8(a)), y = __builtin_bswap64(LOAD8(b));
		if (x == y) {
			x = __builtin_bswap64(LOAD8(a + n - 8));
			y = __builtin_bswap64(LOAD8(b + n - 8));
		}
		return (x > y) - (x < y);
	}
	if (n >= 4) {
		uint32_t x = __builtin_bswap32(LOAD4(a)), y = __builtin_bswap32(LOAD4(b));
		if (x == y) {
			x = __builtin_bswap32(LOAD4(a + n - 4));
			y = __builtin_bswap32(LOAD4(b + n - 4));
		}
		return (x > y) - (x < y);
	}
	for (; n; n--, a++, b++)
		if (*a != *b) return *a - *b;
	return 0;
}
