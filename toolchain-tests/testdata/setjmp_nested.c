// Several jump buffers are alive at once, as in an exception system.
#include <setjmp.h>
#include <stdio.h>
struct frame { jmp_buf b; struct frame *up; };
static struct frame *top;
static void throw_(int v)
{
	struct frame *f = top;
	top = f->up;
	longjmp(f->b, v);
}
__attribute__((noinline)) static int try_(int (*f)(int), int arg)
{
	struct frame fr;
	fr.up = top;
	top = &fr;
	int v = setjmp(fr.b);
	if (v == 0) {
		int r = f(arg);
		top = fr.up;
		return r;
	}
	return -v;
}
static int work(int n)
{
	if (n % 3 == 0)
		throw_(n + 1);
	if (n > 10)
		return n;
	int r = try_(work, n + 1);
	if (r < -5)
		throw_(-r + 100);
	return r + n;
}
int main(void)
{
	for (int i = 0; i < 15; i++)
		printf("%d ", try_(work, i));
	printf("%d\n", top == 0);
	long s = 0;
	for (int i = 0; i < 20000; i++)
		s += try_(work, i % 15);
	printf("%ld\n", s);
	return 0;
}
