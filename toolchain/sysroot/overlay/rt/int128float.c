/* Conversions between 128-bit integers and floating point. */

typedef unsigned long long u64;
typedef __int128 i128;
typedef unsigned __int128 u128;

#define PUBLIC __attribute__((visibility("hidden")))

static inline int width(u128 x)
{
	u64 high = x >> 64, low = x;

	return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

/* An integer with at most 64 significant bits and the bits below them folded
 * into the lowest one (the sticky bit), so that one conversion rounds once
 * and right. Returns the exponent of what was shifted out. */
static inline int squeeze(u128 x, u64 *digits)
{
	int shift = width(x) - 64;

	if (shift <= 0) {
		*digits = x;
		return 0;
	}
	u128 lost = x & (((u128)1 << shift) - 1);
	*digits = (u64)(x >> shift) | (lost != 0);
	return shift;
}

/* 2 to a small power, exactly. */
static inline float power_f(int n)
{
	union { unsigned u; float f; } v = { (unsigned)(n + 127) << 23 };
	return v.f;
}

static inline double power_d(int n)
{
	union { u64 u; double f; } v = { (u64)(n + 1023) << 52 };
	return v.f;
}

PUBLIC float __floatuntisf(u128 x)
{
	u64 d;
	int e = squeeze(x, &d);

	/* 2^128 is beyond the type: its half twice makes the infinity. */
	return e ? (float)d * power_f(e) : (float)d;
}

PUBLIC double __floatuntidf(u128 x)
{
	u64 d;
	int e = squeeze(x, &d);

	return (double)d * power_d(e);
}

PUBLIC long double __floatuntixf(u128 x)
{
	/* 64 digits are the type's own precision, so the sticky bit would be
	 * taken for a digit: add the halves, which rounds once. */
	return (long double)(u64)(x >> 64) * 0x1p64L + (long double)(u64)x;
}

PUBLIC float __floattisf(i128 x)
{
	return x < 0 ? -__floatuntisf(-(u128)x) : __floatuntisf(x);
}

PUBLIC double __floattidf(i128 x)
{
	return x < 0 ? -__floatuntidf(-(u128)x) : __floatuntidf(x);
}

PUBLIC long double __floattixf(i128 x)
{
	return x < 0 ? -__floatuntixf(-(u128)x) : __floatuntixf(x);
}

static inline u128 from_positive(long double x)
{
	u64 high = (u64)(x * 0x1p-64L);

	return (u128)high << 64 | (u64)(x - (long double)high * 0x1p64L);
}

#define CONVERT(type, to_unsigned, to_signed) \
	PUBLIC u128 to_unsigned(type x) \
	{ \
		if (!(x > 0)) return 0; \
		if (x >= (type)0x1p127 * 2) return ~(u128)0; \
		return from_positive(x); \
	} \
	PUBLIC i128 to_signed(type x) \
	{ \
		u128 most = (u128)1 << 127; \
		if (x != x) return 0; \
		if (x >= (type)0x1p127) return most - 1; \
		if (x <= -(type)0x1p127) return most; \
		return x < 0 ? -from_positive(-x) : from_positive(x); \
	}

CONVERT(float, __fixunssfti, __fixsfti)
CONVERT(double, __fixunsdfti, __fixdfti)
CONVERT(long double, __fixunsxfti, __fixxfti)
