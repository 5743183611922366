/* The program that both interpreters run: sieve-like loops over an array. */
enum { LIT, LOAD, STORE, ADD, SUB, MUL, LT, JMP, JZ, ALOAD, ASTORE, MOD, DUP, POP, HALT };
/* variables: 0 i, 1 sum, 2 j */
static const int program[] = {
	LIT, 0, STORE, 0,
	LIT, 0, STORE, 1,
	/* 8: while i < 1000 */
	LOAD, 0, LIT, 1000, LT, JZ, 60,
	/* 15: a[i % 64] = a[i % 64] * 3 + i */
	LOAD, 0, LIT, 64, MOD, DUP, ALOAD, LIT, 3, MUL, LOAD, 0, ADD, ASTORE,
	/* 29: j = i % 7; while 0 < j: sum += a[j]; j -= 1 */
	LOAD, 0, LIT, 7, MOD, STORE, 2,
	/* 36 */
	LIT, 0, LOAD, 2, LT, JZ, 62,
	LOAD, 1, LOAD, 2, ALOAD, ADD, STORE, 1,
	LOAD, 2, LIT, 1, SUB, STORE, 2,
	JMP, 36,
	/* 60 */
	JMP, 71,
	/* 62 */
	LOAD, 0, LIT, 1, ADD, STORE, 0,
	JMP, 8,
	/* 71 */
	LOAD, 1, HALT,
};
