// The same interpreter with computed goto.
// rounds: 1000
#include "kernel.h"
#include "bytecode.h"
static int array[64];
static int __attribute__((noinline)) run(const int *code)
{
	static const void *const op[] = {&&lit, &&load, &&store, &&add, &&sub, &&mul, &&lt, &&jmp, &&jz, &&aload, &&astore, &&mod, &&dup, &&pop, &&halt};
	int st[32], *sp = st, var[3];
	const int *pc = code;
#define NEXT goto *op[*pc++]
	NEXT;
lit: *sp++ = *pc++; NEXT;
load: *sp++ = var[*pc++]; NEXT;
store: var[*pc++] = *--sp; NEXT;
add: sp--; sp[-1] = (unsigned)sp[-1] + sp[0]; NEXT;
sub: sp--; sp[-1] = (unsigned)sp[-1] - sp[0]; NEXT;
mul: sp--; sp[-1] = (unsigned)sp[-1] * sp[0]; NEXT;
lt: sp--; sp[-1] = sp[-1] < sp[0]; NEXT;
mod: sp--; sp[-1] %= sp[0]; NEXT;
jmp: pc = code + *pc; NEXT;
jz: pc = *--sp ? pc + 1 : code + *pc; NEXT;
aload: sp[-1] = array[sp[-1] & 63]; NEXT;
astore: sp -= 2; array[sp[0] & 63] = sp[1]; NEXT;
dup: *sp = sp[-1]; sp++; NEXT;
pop: sp--; NEXT;
halt: return sp[-1];
}
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	memset(array, 0, sizeof array);
	while (n--)
		s = s * 31 + run(program);
	return s;
}
