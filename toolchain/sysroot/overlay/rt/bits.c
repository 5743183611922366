/* Bit counting that gcc calls when the instruction set has no instruction. */

typedef unsigned long long u64;
typedef unsigned __int128 u128;

#define PUBLIC __attribute__((visibility("hidden")))

PUBLIC int __popcountdi2(u64 x)
{
	x -= x >> 1 & 0x5555555555555555;
	x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return x * 0x0101010101010101 >> 56;
}

PUBLIC int __popcountsi2(unsigned x)
{
	return __popcountdi2(x);
}

PUBLIC int __popcountti2(u128 x)
{
	return __popcountdi2(x) + __popcountdi2(x >> 64);
}

PUBLIC int __paritysi2(unsigned x)
{
	return __popcountdi2(x) & 1;
}

PUBLIC int __paritydi2(u64 x)
{
	return __popcountdi2(x) & 1;
}

PUBLIC int __parityti2(u128 x)
{
	return __popcountdi2(x ^ x >> 64) & 1;
}

PUBLIC int __clzdi2(u64 x)
{
	return __builtin_clzll(x);
}

PUBLIC int __clzti2(u128 x)
{
	u64 high = x >> 64;

	return high ? __builtin_clzll(high) : 64 + __builtin_clzll(x);
}

PUBLIC int __ctzdi2(u64 x)
{
	return __builtin_ctzll(x);
}

PUBLIC int __ctzti2(u128 x)
{
	u64 low = x;

	return low ? __builtin_ctzll(low) : 64 + __builtin_ctzll(x >> 64);
}

PUBLIC int __ffsdi2(u64 x)
{
	return x ? 1 + __builtin_ctzll(x) : 0;
}

PUBLIC int __ffsti2(u128 x)
{
	return x ? 1 + __ctzti2(x) : 0;
}

PUBLIC int __clrsbdi2(long long x)
{
	u64 v = x < 0 ? ~(u64)x : (u64)x;

	return v ? __builtin_clzll(v) - 1 : 63;
}

PUBLIC int __clrsbti2(__int128 x)
{
	u128 v = x < 0 ? ~(u128)x : (u128)x;

	return v ? __clzti2(v) - 1 : 127;
}

PUBLIC unsigned __bswapsi2(unsigned x)
{
	return __builtin_bswap32(x);
}

PUBLIC u64 __bswapdi2(u64 x)
{
	return __builtin_bswap64(x);
}
