// A bytecode interpreter with a switch.
// rounds: 1000
#include "kernel.h"
#include "bytecode.h"
static int array[64];
static int __attribute__((noinline)) run(const int *code)
{
	int st[32], *sp = st, var[3];
	const int *pc = code;
	for (;;)
		switch (*pc++) {
		case LIT: *sp++ = *pc++; break;
		case LOAD: *sp++ = var[*pc++]; break;
		case STORE: var[*pc++] = *--sp; break;
		case ADD: sp--; sp[-1] = (unsigned)sp[-1] + sp[0]; break;
		case SUB: sp--; sp[-1] = (unsigned)sp[-1] - sp[0]; break;
		case MUL: sp--; sp[-1] = (unsigned)sp[-1] * sp[0]; break;
		case LT: sp--; sp[-1] = sp[-1] < sp[0]; break;
		case MOD: sp--; sp[-1] %= sp[0]; break;
		case JMP: pc = code + *pc; break;
		case JZ: pc = *--sp ? pc + 1 : code + *pc; break;
		case ALOAD: sp[-1] = array[sp[-1] & 63]; break;
		case ASTORE: sp -= 2; array[sp[0] & 63] = sp[1]; break;
		case DUP: *sp = sp[-1]; sp++; break;
		case POP: sp--; break;
		case HALT: return sp[-1];
		default: __builtin_unreachable();
		}
}
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	memset(array, 0, sizeof array);
	while (n--)
		s = s * 31 + run(program);
	return s;
}
