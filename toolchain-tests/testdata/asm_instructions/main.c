// A wide choice of hand-written instructions gives what the processor gives: flags, shifts, bit tests, strings, stack, memory forms.
// with: ins.S
// cc: -no-pie -fno-pic
// link: static
#include <stdio.h>
#include <string.h>
struct r { long v[32]; };
void instructions(struct r *, long, long);
void strings(char *, const char *, long);
long stack_ops(long, long);
long jumps(long);
long indirect(long);
int main(void)
{
	struct r r;
	long in[] = {0, 1, -1, 0x123456789abcdef, 0x7fffffffffffffff, 77};
	for (int i = 0; i < 6; i++)
		for (int k = 0; k < 6; k++) {
			memset(&r, 0, sizeof r);
			instructions(&r, in[i], in[k]);
			unsigned long h = 0;
			for (int j = 0; j < 32; j++)
				h = h * 1099511628211ul + r.v[j];
			printf("%lx\n", h);
		}
	char a[100], b[100];
	for (int i = 0; i < 100; i++) {
		a[i] = i;
		b[i] = 100 - i;
	}
	for (int n = 0; n < 60; n += 7) {
		strings(a + 5, b + 3, n);
		unsigned h = 0;
		for (int i = 0; i < 100; i++)
			h = h * 31 + (unsigned char)a[i];
		printf("%u\n", h);
	}
	printf("%ld %ld\n", stack_ops(5, 6), stack_ops(-1, 100));
	for (long i = 0; i < 5; i++)
		printf("%ld %ld\n", jumps(i), indirect(i));
	return 0;
}
