// The way in and out for guests of the classic ABI (NaCl x86-64), included twice
// as engine_amd64.h is. Their stack pointer is one of the sandbox, and so is the
// return address of a call; registers are cleared where NaCl's are. Everything
// else (ENTER up to the commit, BAIL, ASYNC, SIGNAL) is the same code.

// The second half of ENTER, with core in ax and its mode in dx. A signal here
// goes to BAIL, as everywhere in ENTER: nothing in core has changed.
//
// rsp, rbp and the target are made of their low halves here: whatever else is in
// core, a guest starts inside its sandbox, on a bundle.
TEXT CLASSIC_ENTER, NOSPLIT|NOFRAME, $0-8
	// Vector, x87 and MMX registers are empty when a call returns. F_OWNER
	// names nobody, since the x87 registers are nobody's any more.
	MOVQ	$0, F_OWNER(FS)
	PXOR	M0, M0
	PXOR	M1, M1
	PXOR	M2, M2
	PXOR	M3, M3
	PXOR	M4, M4
	PXOR	M5, M5
	PXOR	M6, M6
	PXOR	M7, M7
	EMMS
	VZEROALL
	MOVQ	AX, CX
	FNSTSW_AX
	ANDL	$0x7f, AX
	MOVQ	CX, AX
	JEQ	clear
	FLDENV_CORE	// exceptions that somebody left in the status word
clear:
	CMPW	core_fcw(AX), $const_hostFCW
	JEQ	masked
	FLDCW	core_fcw(AX)
masked:
	LDMXCSR	core_mxcsr(AX)
	MOVQ	core_base(AX), R15
	MOVL	REG_RIP(AX), R11
	ADDL	$31, R11
	ANDL	$~31, R11
	ADDQ	R15, R11
	MOVL	REG_RBP(AX), BP
	ADDQ	R15, BP
	MOVQ	REG_RBX(AX), BX
	MOVQ	REG_R12(AX), R12
	MOVQ	REG_R13(AX), R13
	MOVQ	REG_R14(AX), R14
	CMPL	DX, $const_modeClassicStart
	JEQ	start
	MOVL	REG_RSP(AX), DI	// and this is what NaCl leaves in rdi
	LEAQ	(R15)(DI*1), SP
	MOVQ	REG_RAX(AX), AX
	XORL	DX, DX
	XORL	CX, CX
	XORL	SI, SI
	XORL	R8, R8
	XORL	R9, R9
	XORL	R10, R10	// last: the flags that NaCl's calls return with
	JMP	R11
start:
	MOVL	REG_RSP(AX), R10
	LEAQ	(R15)(R10*1), SP
	MOVQ	REG_RCX(AX), CX
	MOVQ	REG_RDX(AX), DX
	MOVQ	REG_RSI(AX), SI
	MOVQ	REG_RDI(AX), DI
	MOVQ	REG_R8(AX), R8
	MOVQ	REG_R9(AX), R9
	MOVQ	REG_RAX(AX), AX
	XORL	R10, R10
	JMP	R11

// A trampoline was called. r11d = its number, r10 = what its caller left as the
// return address, already popped: the trampoline read it, so that a bad stack
// pointer is a fault in the sandbox. FXAM is done. Nothing here touches memory of
// the guest. A signal meets SIGNAL's shadow and goes on here.
TEXT CLASSIC, NOSPLIT|NOFRAME, $0-8
	MOVQ	R10, F_OWNER(FS)
	MOVQ	F_CTX(FS), R10
	MOVL	R11, core_slot(R10)
	MOVQ	AX, REG_RAX(R10)
	FNSTSW_AX
	MOVQ	BX, REG_RBX(R10)
	MOVQ	CX, REG_RCX(R10)
	MOVQ	DX, REG_RDX(R10)
	MOVQ	SI, REG_RSI(R10)
	MOVQ	DI, REG_RDI(R10)
	MOVQ	BP, REG_RBP(R10)
	MOVQ	SP, REG_RSP(R10)
	MOVQ	R8, REG_R8(R10)
	MOVQ	R9, REG_R9(R10)
	MOVQ	R12, REG_R12(R10)
	MOVQ	R13, REG_R13(R10)
	MOVQ	R14, REG_R14(R10)
	MOVQ	F_OWNER(FS), R11
	MOVQ	R11, REG_RIP(R10)
	VMOVDQU	X0, core_ymm(R10)	// the result of a function that returns
	VMOVDQU	X1, (core_ymm+0x20)(R10)
	MOVQ	R10, CX
	FNSTCW_CORE
	STMXCSR	core_mxcsr(CX)
	ANDL	$0x4500, AX
	CMPL	AX, $0x4100	// what FXAM says of an empty register
	JNE	x87
	CMPW	core_fcw(CX), $const_hostFCW
	JNE	control
masked:
	MOVL	core_mxcsr(CX), AX
	XORL	$const_hostMXCSR, AX
	TESTL	$0xffc0, AX
	JNE	mxcsr
rounded:
	CLD
	VZEROUPPER
	MOVQ	core_hostSP(CX), SP
	MOVQ	core_hostBP(CX), BP
	MOVL	$const_modeClassicResume, core_mode(CX)
	MOVL	$const_reasonCall, core_reason(CX)
	MOVQ	$0, F_OWNER(FS)
	CMPL	core_slot(CX), $const_SlotClassicReturn
	JEQ	returned
	MOVQ	$0, F_CTX(FS)
	LEAVE_UNBALANCED
returned:
	// No call of the guest is open: the return predictor is in step.
	MOVQ	$0, F_CTX(FS)
	RET
x87:
	FNINIT_
	JMP	masked
control:
	FLDCW	·goFCW(SB)
	JMP	masked
mxcsr:
	LDMXCSR	·goMXCSR(SB)
	JMP	rounded
