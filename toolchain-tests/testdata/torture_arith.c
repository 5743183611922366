// Integer arithmetic of all widths: conversions, shifts, division by constants, overflow builtins, bit counting.
// opt: -O0 -O1 -O2 -O3 -Os
#include "check.h"
#include <limits.h>
#include <stdint.h>
static uint64_t h = 14695981039346656037u;
static void add(uint64_t v) { h = (h ^ v) * 1099511628211u; }
static uint64_t next64(void) { return (uint64_t)rnd() << 32 | rnd(); }
#define OPS(T, U) \
	__attribute__((noinline)) static void ops_##U(T a, T b) { \
		add((U)((U)a + (U)b)); add((U)((U)a - (U)b)); add((U)((U)a * (U)b)); add(a & b); add(a | b); add(a ^ b); add(~a); \
		if (b != 0 && !((T)-1 < 0 && b == (T)-1)) { add(a / b); add(a % b); } \
		add(a < b); add(a <= b); add(a == b); add(a > b); \
		add((U)a << (b & (sizeof(T) * 8 - 1))); add(a >> (b & (sizeof(T) * 8 - 1))); \
		add(a / 3); add(a % 3); add(a / 7); add(a / 10); add(a % 10); add(a / 16); add(a % 16); add(a / 100); add(a % 127); add(a / -5); \
		add((int8_t)a); add((uint8_t)a); add((int16_t)a); add((uint16_t)a); add((int32_t)a); add((uint32_t)a); add((int64_t)a); \
		T r; add(__builtin_add_overflow(a, b, &r)); add(r); add(__builtin_sub_overflow(a, b, &r)); add(r); add(__builtin_mul_overflow(a, b, &r)); add(r); \
	}
OPS(int8_t, uint8_t)
OPS(int16_t, uint16_t)
OPS(int32_t, uint32_t)
OPS(int64_t, uint64_t)
typedef unsigned long ulong_;
typedef unsigned int uint_;
typedef unsigned short ushort_;
OPS(unsigned long, ulong_)
OPS(unsigned int, uint_)
OPS(unsigned short, ushort_)
static uint32_t rotl(uint32_t x, int n) { return x << (n & 31) | x >> (-n & 31); }
static uint64_t rotr(uint64_t x, int n) { return x >> (n & 63) | x << (-n & 63); }
__attribute__((noinline)) static uint64_t gcd(uint64_t a, uint64_t b) { return b ? gcd(b, a % b) : a; }
__attribute__((noinline)) static uint64_t powmod(uint64_t b, uint64_t e, uint64_t m)
{
	uint64_t r = 1;
	for (; e; e >>= 1, b = (unsigned __int128)b * b % m)
		if (e & 1)
			r = (unsigned __int128)r * b % m;
	return r;
}
int main(void)
{
	uint64_t edge[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff};
	for (int i = 0; i < 4000; i++) {
		uint64_t a = i < 225 ? edge[i / 15] : next64() >> (rnd() & 63), b = i < 225 ? edge[i % 15] : next64() >> (rnd() & 63);
		ops_uint8_t(a, b);
		ops_uint16_t(a, b);
		ops_uint32_t(a, b);
		ops_uint64_t(a, b);
		ops_ulong_(a, b);
		ops_uint_(a, b);
		ops_ushort_(a, b);
		add(rotl(a, b));
		add(rotr(b, a));
		add(__builtin_popcountll(a) + __builtin_parity(b) * 100 + __builtin_popcount(b) * 1000);
		if (a)
			add(__builtin_clzll(a) * 64 + __builtin_ctzll(a));
		add(__builtin_bswap64(a) ^ __builtin_bswap32(b) ^ __builtin_bswap16(a));
		add(gcd(a, b));
		if (b > 1)
			add(powmod(a, b, b));
	}
	printf("%llx\n", (unsigned long long)h);
	return 0;
}
