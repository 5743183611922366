// setjmp and longjmp: values, loops, volatile locals, depth, callee-saved registers.
// opt: -O0 -O1 -O2 -O3
// short
#include <setjmp.h>
#include <stdio.h>
static jmp_buf env;
static int calls;
__attribute__((noinline)) static int deep(int n, double x)
{
	calls++;
	if (n == 0)
		longjmp(env, 42);
	char pad[n % 50 + 1];
	pad[n % 50] = n;
	return deep(n - 1, x * 0.5) + pad[n % 50];
}
__attribute__((noinline)) static int keeps(int a, int b, int c, int d, int e)
{
	jmp_buf inner;
	int r = setjmp(inner);
	/* a..e live in callee-saved registers or on the stack; they are not changed between the calls */
	if (r == 0)
		longjmp(inner, a);
	return a + b * 2 + c * 3 + d * 4 + e * 5 + r * 100;
}
int main(void)
{
	int r = setjmp(env);
	if (r == 0)
		deep(500, 1.0);
	printf("%d after %d calls\n", r, calls);
	volatile int n = 0;
	if (setjmp(env) < 5 && n < 5) {
		n++;
		longjmp(env, n);
	}
	printf("%d rounds\n", n);
	r = setjmp(env);
	if (r == 0)
		longjmp(env, 0);
	printf("longjmp with 0 gives %d\n", r);
	printf("%d\n", keeps(1, 2, 3, 4, 5));
	volatile long sum = 0;
	for (volatile int i = 0; i < 100000; i++) {
		int k = setjmp(env);
		if (k == 0)
			longjmp(env, (int)i % 7 + 1);
		sum += k;
	}
	printf("%ld\n", sum);
	switch (setjmp(env)) {
	case 0: longjmp(env, 2);
	case 1: printf("one\n"); break;
	case 2: printf("two\n"); break;
	}
	return 0;
}
