#include <stddef.h>
#include <stdint.h>
#include "vector.h"

/* memcpy and memmove are one function: copies of up to 128 bytes load
 * everything before they store anything, so overlap costs nothing there, and
 * longer ones need one comparison. Sizes are told apart by few branches, each
 * class is covered by two overlapping halves, and there is no loop before 128
 * bytes: this is where nearly all calls are. There are no string instructions
 * in the sandbox (their destination segment can't be overridden). */

/* Past this the wider registers pay for the switch. */
#define WIDE 256

WIDE_TARGET static void forward_wide(char *d, const char *s, size_t n)
{
	v32 t0 = LOAD32(s + n - 32), t1 = LOAD32(s + n - 64), t2 = LOAD32(s + n - 96), t3 = LOAD32(s + n - 128);
	v32 head = LOAD32(s);
	char *end = d + n, *d0 = d;
	size_t skip = 32 - ((uintptr_t)d & 31);

	d += skip;
	s += skip;
	/* The loop ends within the tail, which was loaded before any store. */
	do {
		v32 a = LOAD32(s), b = LOAD32(s + 32), c = LOAD32(s + 64), e = LOAD32(s + 96);
		STORE32(d, a);
		STORE32(d + 32, b);
		STORE32(d + 64, c);
		STORE32(d + 96, e);
		d += 128;
		s += 128;
	} while (d < end - 128);
	STORE32(end - 128, t3);
	STORE32(end - 96, t2);
	STORE32(end - 64, t1);
	STORE32(end - 32, t0);
	STORE32(d0, head);
}

WIDE_TARGET static void backward_wide(char *d, const char *s, size_t n)
{
	v32 h0 = LOAD32(s), h1 = LOAD32(s + 32), h2 = LOAD32(s + 64), h3 = LOAD32(s + 96);
	v32 tail = LOAD32(s + n - 32);
	char *e = d + n, *e0 = e;
	const char *f = s + n;
	size_t skip = (uintptr_t)e & 31;

	e -= skip;
	f -= skip;
	do {
		v32 a = LOAD32(f - 32), b = LOAD32(f - 64), c = LOAD32(f - 96), g = LOAD32(f - 128);
		STORE32(e - 32, a);
		STORE32(e - 64, b);
		STORE32(e - 96, c);
		STORE32(e - 128, g);
		e -= 128;
		f -= 128;
	} while (e > d + 128);
	STORE32(d, h0);
	STORE32(d + 32, h1);
	STORE32(d + 64, h2);
	STORE32(d + 96, h3);
	STORE32(e0 - 32, tail);
}

static void forward(char *d, const char *s, size_t n)
{
	v16 t0 = LOAD16(s + n - 16), t1 = LOAD16(s + n - 32), t2 = LOAD16(s + n - 48), t3 = LOAD16(s + n - 64);
	v16 head = LOAD16(s);
	char *end = d + n, *d0 = d;
	size_t skip = 16 - ((uintptr_t)d & 15);

	d += skip;
	s += skip;
	do {
		v16 a = LOAD16(s), b = LOAD16(s + 16), c = LOAD16(s + 32), e = LOAD16(s + 48);
		STORE16(d, a);
		STORE16(d + 16, b);
		STORE16(d + 32, c);
		STORE16(d + 48, e);
		d += 64;
		s += 64;
	} while (d < end - 64);
	STORE16(end - 64, t3);
	STORE16(end - 48, t2);
	STORE16(end - 32, t1);
	STORE16(end - 16, t0);
	STORE16(d0, head);
}

static void backward(char *d, const char *s, size_t n)
{
	v16 h0 = LOAD16(s), h1 = LOAD16(s + 16), h2 = LOAD16(s + 32), h3 = LOAD16(s + 48);
	v16 tail = LOAD16(s + n - 16);
	char *e = d + n, *e0 = e;
	const char *f = s + n;
	size_t skip = (uintptr_t)e & 15;

	e -= skip;
	f -= skip;
	do {
		v16 a = LOAD16(f - 16), b = LOAD16(f - 32), c = LOAD16(f - 48), g = LOAD16(f - 64);
		STORE16(e - 16, a);
		STORE16(e - 32, b);
		STORE16(e - 48, c);
		STORE16(e - 64, g);
		e -= 64;
		f -= 64;
	} while (e > d + 64);
	STORE16(d, h0);
	STORE16(d + 16, h1);
	STORE16(d + 32, h2);
	STORE16(d + 48, h3);
	STORE16(e0 - 16, tail);
}

/* Apart, so that short copies need no frame. */
static __attribute__((noinline)) void *large(char *d, const char *s, size_t n)
{
	/* Forward is right when the destination is below the source or beyond
	 * its end. */
	int ahead = (uintptr_t)d - (uintptr_t)s < n;

	if (n >= WIDE && wide()) {
		if (ahead) backward_wide(d, s, n);
		else forward_wide(d, s, n);
	} else {
		if (ahead) backward(d, s, n);
		else forward(d, s, n);
	}
	return d;
}

void *memmove(void *dest, const void *src, size_t n)
{
	char *d = dest;
	const char *s = src;

	if (n <= 16) {
		if (n >= 8) {
			uint64_t a = LOAD8(s), b = LOAD8(s + n - 8);
			STORE8(d, a);
			STORE8(d + n - 8, b);
		} else if (n >= 4) {
			uint32_t a = LOAD4(s), b = LOAD4(s + n - 4);
			STORE4(d, a);
			STORE4(d + n - 4, b);
		} else if (n) {
			char a = s[0], b = s[n / 2], c = s[n - 1];
			d[0] = a;
			d[n / 2] = b;
			d[n - 1] = c;
		}
		return dest;
	}
	if (n <= 32) {
		v16 a = LOAD16(s), b = LOAD16(s + n - 16);
		STORE16(d, a);
		STORE16(d + n - 16, b);
		return dest;
	}
	if (n <= 64) {
		v16 a = LOAD16(s), b = LOAD16(s + 16), c = LOAD16(s + n - 32), e = LOAD16(s + n - 16);
		STORE16(d, a);
		STORE16(d + 16, b);
		STORE16(d + n - 32, c);
		STORE16(d + n - 16, e);
		return dest;
	}
	if (n <= 128) {
		v16 a = LOAD16(s), b = LOAD16(s + 16), c = LOAD16(s + 32), e = LOAD16(s + 48);
		v16 f = LOAD16(s + n - 64), g = LOAD16(s + n - 48), h = LOAD16(s + n - 32), i = LOAD16(s + n - 16);
		STORE16(d, a);
		STORE16(d + 16, b);
		STORE16(d + 32, c);
		STORE16(d + 48, e);
		STORE16(d + n - 64, f);
		STORE16(d + n - 48, g);
		STORE16(d + n - 32, h);
		STORE16(d + n - 16, i);
		return dest;
	}
	return large(d, s, n);
}

extern __typeof(memmove) memcpy __attribute__((alias("memmove")));
