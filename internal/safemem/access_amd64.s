#include "textflag.h"

// Every instruction here that touches guest memory may fault; the signal
// handler then goes on at the landing function, with all registers as they
// were. So a landing must have the same frame: none, and results at the same
// offsets. A landing reads no register but the stack pointer.

// The nine small accesses: addr+0, a value at 8, ok+16.

TEXT ·load8(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), AX
	MOVBQZX	(AX), AX
	MOVQ	AX, v+8(FP)
	MOVQ	$1, ok+16(FP)
	RET

TEXT ·load16(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), AX
	MOVWQZX	(AX), AX
	MOVQ	AX, v+8(FP)
	MOVQ	$1, ok+16(FP)
	RET

TEXT ·load32(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), AX
	MOVL	(AX), AX
	MOVQ	AX, v+8(FP)
	MOVQ	$1, ok+16(FP)
	RET

TEXT ·load64(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), AX
	MOVQ	(AX), AX
	MOVQ	AX, v+8(FP)
	MOVQ	$1, ok+16(FP)
	RET

TEXT ·store8(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), AX
	MOVQ	v+8(FP), CX
	MOVB	CX, (AX)
	MOVQ	$1, ok+16(FP)
	RET

TEXT ·store16(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), AX
	MOVQ	v+8(FP), CX
	MOVW	CX, (AX)
	MOVQ	$1, ok+16(FP)
	RET

TEXT ·store32(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), AX
	MOVQ	v+8(FP), CX
	MOVL	CX, (AX)
	MOVQ	$1, ok+16(FP)
	RET

TEXT ·store64(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), AX
	MOVQ	v+8(FP), CX
	MOVQ	CX, (AX)
	MOVQ	$1, ok+16(FP)
	RET

TEXT ·cas32(SB), NOSPLIT, $0-24
	MOVQ	addr+0(FP), DX
	MOVL	old+8(FP), AX
	MOVL	new+12(FP), CX
	LOCK
	CMPXCHGL	CX, (DX)
	SETEQ	AX
	MOVBQZX	AX, AX
	INCQ	AX
	MOVQ	AX, ok+16(FP)
	RET

TEXT ·accessFault(SB), NOSPLIT, $0-24
	MOVQ	$0, ok+16(FP)
	RET

// Copies up to 32 bytes are two overlapping moves, up to 256 a loop of 32 bytes
// and an overlapping tail, up to 2048 the same with 64 (the engine works with
// AVX only); beyond, rep movsb is the fastest, and its start-up no longer
// counts.
TEXT ·copyBytes(SB), NOSPLIT, $0-32
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), CX
	CMPQ	CX, $16
	JAE	wide
	CMPQ	CX, $8
	JAE	eight
	CMPQ	CX, $4
	JAE	four
	MOVBLZX	(SI), AX
	CMPQ	CX, $2
	JB	one
	MOVWLZX	-2(SI)(CX*1), DX
	MOVW	DX, -2(DI)(CX*1)
one:
	MOVB	AX, (DI)
	MOVQ	$0, left+24(FP)
	RET
four:
	MOVL	(SI), AX
	MOVL	-4(SI)(CX*1), DX
	MOVL	AX, (DI)
	MOVL	DX, -4(DI)(CX*1)
	MOVQ	$0, left+24(FP)
	RET
eight:
	MOVQ	(SI), AX
	MOVQ	-8(SI)(CX*1), DX
	MOVQ	AX, (DI)
	MOVQ	DX, -8(DI)(CX*1)
	MOVQ	$0, left+24(FP)
	RET
wide:
	CMPQ	CX, $256
	JA	long
	MOVOU	-16(SI)(CX*1), X2
	SUBQ	$32, CX
	JBE	tail
	MOVOU	16(SI)(CX*1), X3
	MOVOU	(SI)(CX*1), X4
	LEAQ	(DI)(CX*1), DX
loop:
	MOVOU	(SI), X0
	MOVOU	16(SI), X1
	MOVOU	X0, (DI)
	MOVOU	X1, 16(DI)
	ADDQ	$32, SI
	ADDQ	$32, DI
	SUBQ	$32, CX
	JA	loop
	MOVOU	X4, (DX)
	MOVOU	X3, 16(DX)
	MOVQ	$0, left+24(FP)
	RET
tail:
	MOVOU	(SI), X0
	MOVOU	X0, (DI)
	MOVOU	X2, 16(DI)(CX*1)
	MOVQ	$0, left+24(FP)
	RET
long:
	CMPQ	CX, $2048
	JA	string
	VMOVDQU	-64(SI)(CX*1), Y2
	VMOVDQU	-32(SI)(CX*1), Y3
	SUBQ	$64, CX
	LEAQ	(DI)(CX*1), DX
avx:
	VMOVDQU	(SI), Y0
	VMOVDQU	32(SI), Y1
	VMOVDQU	Y0, (DI)
	VMOVDQU	Y1, 32(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, CX
	JA	avx
	VMOVDQU	Y2, (DX)
	VMOVDQU	Y3, 32(DX)
	VZEROUPPER
	MOVQ	$0, left+24(FP)
	RET
string:
	REP;	MOVSB
	MOVQ	$0, left+24(FP)
	RET

TEXT ·zero(SB), NOSPLIT, $0-32
	MOVQ	addr+0(FP), DI
	MOVQ	n+16(FP), CX
	XORL	AX, AX
	REP;	STOSB
	MOVQ	$0, left+24(FP)
	RET

TEXT ·copyFault(SB), NOSPLIT, $0-32
	VZEROUPPER
	MOVQ	$1, left+24(FP)
	RET

// Sixteen aligned bytes at a time, so that no load crosses into a page which
// the string does not reach.
TEXT ·strlen(SB), NOSPLIT, $0-32
	MOVQ	addr+0(FP), DI
	MOVQ	n+8(FP), SI
	MOVQ	DI, CX
	ANDL	$15, CX
	MOVQ	DI, R8
	SUBQ	CX, R8
	PXOR	X0, X0
	MOVOU	(R8), X1
	PCMPEQB	X0, X1
	PMOVMSKB	X1, AX
	SHRL	CX, AX
	SHLL	CX, AX		// forget what is before the string
	MOVQ	CX, DX
	NEGQ	DX		// offset of R8 from the string
next:
	TESTL	AX, AX
	JNZ	found
	ADDQ	$16, DX
	CMPQ	DX, SI
	JGE	none
	MOVOU	(DI)(DX*1), X1
	PCMPEQB	X0, X1
	PMOVMSKB	X1, AX
	JMP	next
found:
	BSFL	AX, AX
	ADDQ	DX, AX
	CMPQ	AX, SI
	JGE	none
	MOVQ	AX, length+16(FP)
	MOVQ	$1, found+24(FP)
	RET
none:
	MOVQ	SI, length+16(FP)
	MOVQ	$2, found+24(FP)
	RET

TEXT ·strlenFault(SB), NOSPLIT, $0-32
	MOVQ	$0, length+16(FP)
	MOVQ	$0, found+24(FP)
	RET

#define ADDRESS(fn, i) LEAQ fn(SB), AX; MOVQ AX, (i*8)(DI)

TEXT ·addresses(SB), NOSPLIT, $0-8
	MOVQ	p+0(FP), DI
	ADDRESS(·load8, 0)
	ADDRESS(·load16, 1)
	ADDRESS(·load32, 2)
	ADDRESS(·load64, 3)
	ADDRESS(·store8, 4)
	ADDRESS(·store16, 5)
	ADDRESS(·store32, 6)
	ADDRESS(·store64, 7)
	ADDRESS(·cas32, 8)
	ADDRESS(·accessFault, 9)
	ADDRESS(·copyBytes, 10)
	ADDRESS(·zero, 11)
	ADDRESS(·copyFault, 12)
	ADDRESS(·strlen, 13)
	ADDRESS(·strlenFault, 14)
	RET
