/* Division of 128-bit integers, and the arithmetic of -ftrapv. */

typedef unsigned long long u64;
typedef __int128 i128;
typedef unsigned __int128 u128;

#define PUBLIC __attribute__((visibility("hidden")))

/* The instruction divides 128 bits by 64 when the quotient fits 64. */
static inline u64 divide(u64 high, u64 low, u64 by, u64 *rest)
{
	u64 q, r;

	__asm__ ("divq %4" : "=a"(q), "=d"(r) : "0"(low), "1"(high), "r"(by) : "cc");
	*rest = r;
	return q;
}

PUBLIC u128 __udivmodti4(u128 n, u128 d, u128 *rest)
{
	u64 nh = n >> 64, nl = n, dh = d >> 64, dl = d, r;

	if (!dh) {
		/* Long division by one digit; a zero divisor faults here, as the
		 * instruction does for smaller types. */
		u64 qh = 0;
		if (nh >= dl) {
			qh = nh / dl;
			nh = nh % dl;
		}
		u64 ql = divide(nh, nl, dl, &r);
		if (rest) *rest = r;
		return (u128)qh << 64 | ql;
	}
	if (n < d) {
		if (rest) *rest = n;
		return 0;
	}
	/* Two digits by two: the quotient is one digit. Divide by the divisor's
	 * leading digit after moving its top bit to the top; the estimate is
	 * then at most one too big once it has been shifted back. */
	int shift = __builtin_clzll(dh);
	u64 top = (u64)(d << shift >> 64);
	u128 half = n >> 1;
	u64 q = divide(half >> 64, half, top, &r);
	q = shift ? q >> (63 - shift) : q >> 63;
	if (q) q--;
	u128 left = n - q * d;
	if (left >= d) {
		q++;
		left -= d;
	}
	if (rest) *rest = left;
	return q;
}

PUBLIC u128 __udivti3(u128 n, u128 d)
{
	return __udivmodti4(n, d, 0);
}

PUBLIC u128 __umodti3(u128 n, u128 d)
{
	u128 r;

	__udivmodti4(n, d, &r);
	return r;
}

PUBLIC i128 __divmodti4(i128 n, i128 d, i128 *rest)
{
	u128 r, q = __udivmodti4(n < 0 ? -(u128)n : (u128)n, d < 0 ? -(u128)d : (u128)d, &r);

	if (rest) *rest = n < 0 ? -r : r;
	return (n < 0) != (d < 0) ? -q : q;
}

PUBLIC i128 __divti3(i128 n, i128 d)
{
	return __divmodti4(n, d, 0);
}

PUBLIC i128 __modti3(i128 n, i128 d)
{
	i128 r;

	__divmodti4(n, d, &r);
	return r;
}

PUBLIC i128 __multi3(i128 a, i128 b)
{
	return (u128)a * (u128)b;
}

PUBLIC i128 __muloti4(i128 a, i128 b, int *overflow)
{
	i128 r;

	*overflow = __builtin_mul_overflow(a, b, &r);
	return r;
}

#define CHECKED(name, type, op) \
	PUBLIC type name(type a, type b) \
	{ \
		type r; \
		if (op(a, b, &r)) __builtin_trap(); \
		return r; \
	}

#define CHECKED_UNARY(negate, absolute, type) \
	PUBLIC type negate(type a) \
	{ \
		type r; \
		if (__builtin_sub_overflow((type)0, a, &r)) __builtin_trap(); \
		return r; \
	} \
	PUBLIC type absolute(type a) \
	{ \
		return a < 0 ? negate(a) : a; \
	}

CHECKED(__addvsi3, int, __builtin_add_overflow)
CHECKED(__addvdi3, long, __builtin_add_overflow)
CHECKED(__addvti3, i128, __builtin_add_overflow)
CHECKED(__subvsi3, int, __builtin_sub_overflow)
CHECKED(__subvdi3, long, __builtin_sub_overflow)
CHECKED(__subvti3, i128, __builtin_sub_overflow)
CHECKED(__mulvsi3, int, __builtin_mul_overflow)
CHECKED(__mulvdi3, long, __builtin_mul_overflow)
CHECKED_UNARY(__negvsi2, __absvsi2, int)
CHECKED_UNARY(__negvdi2, __absvdi2, long)
CHECKED_UNARY(__negvti2, __absvti2, i128)

/* gcc expands this one only where it need not check. */
PUBLIC i128 __mulvti3(i128 a, i128 b)
{
	i128 r;

	if (__builtin_mul_overflow(a, b, &r)) __builtin_trap();
	return r;
}
