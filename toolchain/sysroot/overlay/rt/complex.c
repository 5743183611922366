/* Multiplication and division of complex numbers with the treatment of
 * infinities that C's annex G asks for, and integer powers. */

#define PUBLIC __attribute__((visibility("hidden")))

#define ISNAN(x) ((x) != (x))
#define ISINF(x) __builtin_isinf(x)
#define FINITE(x) __builtin_isfinite(x)

#define COMPLEX(type, mul, div, copysign, fabs, INF) \
	/* 1 for an infinity, 0 otherwise, with the sign of the part. */ \
	static inline type box_##type##_##mul(type x) \
	{ \
		return copysign(ISINF(x) ? 1 : 0, x); \
	} \
	PUBLIC _Complex C_##type mul(type a, type b, type c, type d) \
	{ \
		type ac = a * c, bd = b * d, ad = a * d, bc = b * c; \
		type re = ac - bd, im = ad + bc; \
		if (ISNAN(re) && ISNAN(im)) { \
			int again = 0; \
			if (ISINF(a) || ISINF(b)) { \
				a = box_##type##_##mul(a); \
				b = box_##type##_##mul(b); \
				if (ISNAN(c)) c = copysign(0, c); \
				if (ISNAN(d)) d = copysign(0, d); \
				again = 1; \
			} \
			if (ISINF(c) || ISINF(d)) { \
				c = box_##type##_##mul(c); \
				d = box_##type##_##mul(d); \
				if (ISNAN(a)) a = copysign(0, a); \
				if (ISNAN(b)) b = copysign(0, b); \
				again = 1; \
			} \
			if (!again && (ISINF(ac) || ISINF(bd) || ISINF(ad) || ISINF(bc))) { \
				if (ISNAN(a)) a = copysign(0, a); \
				if (ISNAN(b)) b = copysign(0, b); \
				if (ISNAN(c)) c = copysign(0, c); \
				if (ISNAN(d)) d = copysign(0, d); \
				again = 1; \
			} \
			if (again) { \
				re = INF * (a * c - b * d); \
				im = INF * (a * d + b * c); \
			} \
		} \
		_Complex C_##type r; \
		__real__ r = re; \
		__imag__ r = im; \
		return r; \
	} \
	PUBLIC _Complex C_##type div(type a, type b, type c, type d) \
	{ \
		type re, im, ratio, denominator; \
		/* Dividing by the larger part first keeps the squares in range. */ \
		if (fabs(c) < fabs(d)) { \
			ratio = c / d; \
			denominator = c * ratio + d; \
			re = (a * ratio + b) / denominator; \
			im = (b * ratio - a) / denominator; \
		} else { \
			ratio = d / c; \
			denominator = d * ratio + c; \
			re = (b * ratio + a) / denominator; \
			im = (b - a * ratio) / denominator; \
		} \
		if (ISNAN(re) && ISNAN(im)) { \
			if (c == 0 && d == 0 && (!ISNAN(a) || !ISNAN(b))) { \
				re = copysign(INF, c) * a; \
				im = copysign(INF, c) * b; \
			} else if ((ISINF(a) || ISINF(b)) && FINITE(c) && FINITE(d)) { \
				a = box_##type##_##mul(a); \
				b = box_##type##_##mul(b); \
				re = INF * (a * c + b * d); \
				im = INF * (b * c - a * d); \
			} else if ((ISINF(c) || ISINF(d)) && FINITE(a) && FINITE(b)) { \
				c = box_##type##_##mul(c); \
				d = box_##type##_##mul(d); \
				re = 0 * (a * c + b * d); \
				im = 0 * (b * c - a * d); \
			} \
		} \
		_Complex C_##type r; \
		__real__ r = re; \
		__imag__ r = im; \
		return r; \
	}

typedef long double longdouble;

#define C_float float
#define C_double double
#define C_longdouble long double

COMPLEX(float, __mulsc3, __divsc3, __builtin_copysignf, __builtin_fabsf, __builtin_inff())
COMPLEX(double, __muldc3, __divdc3, __builtin_copysign, __builtin_fabs, __builtin_inf())
COMPLEX(longdouble, __mulxc3, __divxc3, __builtin_copysignl, __builtin_fabsl, __builtin_infl())

#define POWER(type, name) \
	PUBLIC type name(type x, int n) \
	{ \
		unsigned m = n < 0 ? -(unsigned)n : n; \
		type r = m & 1 ? x : 1; \
		while (m >>= 1) { \
			x *= x; \
			if (m & 1) r *= x; \
		} \
		return n < 0 ? 1 / r : r; \
	}

POWER(float, __powisf2)
POWER(double, __powidf2)
POWER(longdouble, __powixf2)
