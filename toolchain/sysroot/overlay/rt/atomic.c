/* Atomic operations of sizes without an instruction of their own: 16 bytes,
 * and objects of any size. A table of locks, chosen by address. */

#include <stddef.h>

typedef unsigned __int128 u128;

static volatile char locks[64][64];

static volatile char *lock_of(const volatile void *p)
{
	unsigned long a = (unsigned long)p >> 4;

	return locks[(a ^ a >> 6 ^ a >> 12) % 64];
}

static void take(volatile char *l)
{
	while (__atomic_test_and_set(l, __ATOMIC_ACQUIRE)) __builtin_ia32_pause();
}

static void release(volatile char *l)
{
	__atomic_clear(l, __ATOMIC_RELEASE);
}

#define PUBLIC __attribute__((visibility("default")))

static void copy(void *to, const volatile void *from, size_t n)
{
	char *t = to;
	const volatile char *f = from;

	while (n--) *t++ = *f++;
}

static int same(const volatile void *a, const void *b, size_t n)
{
	const volatile char *x = a;
	const char *y = b;

	while (n--) if (*x++ != *y++) return 0;
	return 1;
}

PUBLIC void generic_load(size_t n, const volatile void *p, void *result, int order) __asm__("__atomic_load");
void generic_load(size_t n, const volatile void *p, void *result, int order)
{
	volatile char *l = lock_of(p);

	take(l);
	copy(result, p, n);
	release(l);
}

PUBLIC void generic_store(size_t n, volatile void *p, const void *value, int order) __asm__("__atomic_store");
void generic_store(size_t n, volatile void *p, const void *value, int order)
{
	volatile char *l = lock_of(p);

	take(l);
	copy((void *)p, value, n);
	release(l);
}

PUBLIC void generic_exchange(size_t n, volatile void *p, const void *value, void *result, int order) __asm__("__atomic_exchange");
void generic_exchange(size_t n, volatile void *p, const void *value, void *result, int order)
{
	volatile char *l = lock_of(p);

	take(l);
	copy(result, p, n);
	copy((void *)p, value, n);
	release(l);
}

PUBLIC _Bool generic_cas(size_t n, volatile void *p, void *expected, const void *wanted, int good, int bad) __asm__("__atomic_compare_exchange");
_Bool generic_cas(size_t n, volatile void *p, void *expected, const void *wanted, int good, int bad)
{
	volatile char *l = lock_of(p);

	take(l);
	int equal = same(p, expected, n);
	if (equal) copy((void *)p, wanted, n);
	else copy(expected, p, n);
	release(l);
	return equal;
}

PUBLIC u128 load_16(const volatile u128 *p, int order) __asm__("__atomic_load_16");
u128 load_16(const volatile u128 *p, int order)
{
	u128 v;

	generic_load(16, p, &v, order);
	return v;
}

PUBLIC void store_16(volatile u128 *p, u128 v, int order) __asm__("__atomic_store_16");
void store_16(volatile u128 *p, u128 v, int order)
{
	generic_store(16, p, &v, order);
}

PUBLIC u128 exchange_16(volatile u128 *p, u128 v, int order) __asm__("__atomic_exchange_16");
u128 exchange_16(volatile u128 *p, u128 v, int order)
{
	u128 old;

	generic_exchange(16, p, &v, &old, order);
	return old;
}

PUBLIC _Bool cas_16(volatile u128 *p, u128 *expected, u128 wanted, int good, int bad) __asm__("__atomic_compare_exchange_16");
_Bool cas_16(volatile u128 *p, u128 *expected, u128 wanted, int good, int bad)
{
	return generic_cas(16, p, expected, &wanted, good, bad);
}

PUBLIC _Bool is_lock_free(size_t n, const volatile void *p) __asm__("__atomic_is_lock_free");
_Bool is_lock_free(size_t n, const volatile void *p)
{
	return n && n <= 8 && !(n & (n - 1)) && !((unsigned long)p & (n - 1));
}
