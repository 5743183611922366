/* Conversions of half precision numbers, as bit patterns: the compiler
 * passes them in vector registers. */

typedef unsigned u32;
typedef unsigned long long u64;

#define PUBLIC __attribute__((visibility("hidden")))

static inline float to_float(u32 h)
{
	u32 sign = (h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
	union { u32 u; float f; } v;

	if (e == 31) {
		v.u = sign | 0x7f800000 | m << 13 | (m ? 0x400000 : 0);
	} else if (e) {
		v.u = sign | (e + 112) << 23 | m << 13;
	} else {
		/* Zero and subnormal: m units of 2^-24. */
		v.f = (float)m * 0x1p-24f;
		v.u |= sign;
	}
	return v.f;
}

/* Rounds to nearest, ties to even, from 64-bit significand and sticky bits. */
static inline u32 from_double(double d)
{
	union { double f; u64 u; } v = { d };
	u32 sign = v.u >> 48 & 0x8000;
	int e = (int)(v.u >> 52 & 0x7ff) - 1023;
	u64 m = v.u & 0xfffffffffffff;

	if (e == 1024) return sign | 0x7c00 | (m ? 0x200 | m >> 42 : 0);
	if (e > 15) return sign | 0x7c00;
	if (e < -25) return sign;
	m |= 1ULL << 52;
	int drop = 42;
	u32 biased = 0;
	if (e < -14) drop += -14 - e;
	else biased = e + 14; /* the leading digit adds the last one */
	u64 kept = m >> drop, rest = m & ((1ULL << drop) - 1), half = 1ULL << (drop - 1);
	if (rest > half || (rest == half && (kept & 1))) kept++;
	return sign | ((biased << 10) + kept);
}

static inline u32 bits(_Float16 x)
{
	union { _Float16 h; unsigned short u; } v = { x };
	return v.u;
}

static inline _Float16 half(u32 x)
{
	union { unsigned short u; _Float16 h; } v = { x };
	return v.h;
}

PUBLIC float __extendhfsf2(_Float16 x)
{
	return to_float(bits(x));
}

PUBLIC double __extendhfdf2(_Float16 x)
{
	return to_float(bits(x));
}

PUBLIC long double __extendhfxf2(_Float16 x)
{
	return to_float(bits(x));
}

PUBLIC _Float16 __truncsfhf2(float x)
{
	return half(from_double(x));
}

PUBLIC _Float16 __truncdfhf2(double x)
{
	return half(from_double(x));
}
