#include <string.h>
#include "vector.h"

#define WIDE 256

WIDE_TARGET static void fill_wide(char *d, v16 v, size_t n)
{
	v32 w = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
	                                0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	char *end = d + n;

	STORE32(d, w);
	d += 32 - ((uintptr_t)d & 31);
	do {
		STORE32(d, w);
		STORE32(d + 32, w);
		STORE32(d + 64, w);
		STORE32(d + 96, w);
		d += 128;
	} while (d < end - 128);
	STORE32(end - 128, w);
	STORE32(end - 96, w);
	STORE32(end - 64, w);
	STORE32(end - 32, w);
}

static void fill(char *d, v16 v, size_t n)
{
	char *end = d + n;

	STORE16(d, v);
	d += 16 - ((uintptr_t)d & 15);
	do {
		STORE16(d, v);
		STORE16(d + 16, v);
		STORE16(d + 32, v);
		STORE16(d + 48, v);
		d += 64;
	} while (d < end - 64);
	STORE16(end - 64, v);
	STORE16(end - 48, v);
	STORE16(end - 32, v);
	STORE16(end - 16, v);
}

/* Apart, so that short fills need no frame. */
static __attribute__((noinline)) void *large(char *d, v16 v, size_t n)
{
	if (n >= WIDE && wide()) fill_wide(d, v, n);
	else fill(d, v, n);
	return d;
}

void *memset(void *dest, int c, size_t n)
{
	char *d = dest;

	if (n < 16) {
		uint64_t w = (unsigned char)c * 0x0101010101010101ULL;
		if (n >= 8) {
			STORE8(d, w);
			STORE8(d + n - 8, w);
		} else if (n >= 4) {
			STORE4(d, w);
			STORE4(d + n - 4, w);
		} else if (n) {
			d[0] = c;
			d[n / 2] = c;
			d[n - 1] = c;
		}
		return dest;
	}
	v16 v = SPLAT16((char)c);
	if (n <= 32) {
		STORE16(d, v);
		STORE16(d + n - 16, v);
		return dest;
	}
	if (n <= 128) {
		STORE16(d, v);
		STORE16(d + 16, v);
		STORE16(d + n - 32, v);
		STORE16(d + n - 16, v);
		if (n > 64) {
			STORE16(d + 32, v);
			STORE16(d + 48, v);
			STORE16(d + n - 64, v);
			STORE16(d + n - 48, v);
		}
		return dest;
	}
	return large(d, v, n);
}
