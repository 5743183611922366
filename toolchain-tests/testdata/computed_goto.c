// An interpreter with computed goto, static label tables and label differences.
// opt: -O0 -O1 -O2 -O3 -Os
#include <stdio.h>
enum { PUSH, ADD, MUL, SUB, DUP, SWAP, JNZ, PRINT, HALT, DEC, OVER };
static long run(const int *pc)
{
	static void *const op[] = {&&push, &&add, &&mul, &&sub, &&dup, &&swap, &&jnz, &&print, &&halt, &&dec, &&over};
	long st[64], *sp = st;
	const int *code = pc;
#define NEXT goto *op[*pc++]
	NEXT;
push: *sp++ = *pc++; NEXT;
add: sp--; sp[-1] += sp[0]; NEXT;
mul: sp--; sp[-1] *= sp[0]; NEXT;
sub: sp--; sp[-1] -= sp[0]; NEXT;
dup: *sp = sp[-1]; sp++; NEXT;
over: *sp = sp[-2]; sp++; NEXT;
swap: { long t = sp[-1]; sp[-1] = sp[-2]; sp[-2] = t; NEXT; }
jnz: { int t = *pc++; if (sp[-1]) pc = code + t; NEXT; }
dec: sp[-1]--; NEXT;
print: printf("%ld\n", *--sp); NEXT;
halt: return sp[-1];
}
static int relative(int n)
{
	static const int off[] = {&&zero - &&zero, &&one - &&zero, &&two - &&zero};
	int r = 0;
	for (int i = 0; i < n; i++) {
		goto *(&&zero + off[i % 3]);
zero:		r += 1; continue;
one:		r *= 2; continue;
two:		r -= 3;
	}
	return r;
}
__attribute__((noinline)) static int chosen(int x)
{
	void *p = x & 1 ? &&odd : &&even;
	if (x > 10)
		p = &&large;
	goto *p;
odd: return 1;
even: return 2;
large: return 3;
}
int main(void)
{
	/* accumulator, counter: acc = acc * 3 + counter, 20 times */
	static const int prog[] = {PUSH, 1, PUSH, 20, SWAP, PUSH, 3, MUL, OVER, ADD, SWAP, DEC, JNZ, 4, SWAP, DUP, PRINT, HALT};
	printf("%ld\n", run(prog));
	printf("%d\n", relative(31));
	printf("%d %d %d\n", chosen(3), chosen(4), chosen(11));
	return 0;
}
