// Deep and mutual recursion within the stack.
// opt: -O0 -O2
#include <stdio.h>
__attribute__((noinline)) static long down(long n) { return n == 0 ? 0 : down(n - 1) + n % 3; }
static int odd(unsigned n);
__attribute__((noinline)) static int even(unsigned n) { return n == 0 ? 1 : odd(n - 1); }
__attribute__((noinline)) static int odd(unsigned n) { return n == 0 ? 0 : even(n - 1); }
static int ack(int m, int n) { return m == 0 ? n + 1 : n == 0 ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1)); }
static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static int moves;
static void hanoi(int n, int a, int b, int c)
{
	if (n == 0)
		return;
	hanoi(n - 1, a, c, b);
	moves = moves * 3 + a * 2 + b;
	hanoi(n - 1, c, b, a);
}
int main(void)
{
	printf("%ld %ld\n", down(1000), down(50000));
	printf("%d %d\n", even(20001), odd(20001));
	printf("%d %d\n", ack(2, 300), fib(25));
	hanoi(14, 0, 1, 2);
	printf("%d\n", moves);
	return 0;
}
