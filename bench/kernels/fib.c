// Calls: Fibonacci numbers by double recursion.
// rounds: 12
#include "kernel.h"
static long __attribute__((noinline, optimize("no-optimize-sibling-calls"))) fib(long n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	while (n--)
		s = s * 3 + fib(30 + (n & 1));
	return s;
}
