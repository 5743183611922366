// The engine's assembly, included twice by engine_amd64.s: the including file
// says at which displacement of %fs the engine's words stand, and how the
// functions are called.

#define F_CTX (FS_WORDS+0)	// core of the guest that this thread is in, or 0
#define F_ENTRY (FS_WORDS+8)	// where trampolines jump: DISPATCH
#define F_TP (FS_WORDS+16)	// the guest's thread pointer; guest code reads it
#define F_TID (FS_WORDS+24)	// 32 bits: OS thread id, 0 = not asked yet
#define F_GS (FS_WORDS+28)	// 32 bits: upper half of the gs base, where it can't be read
#define F_OWNER (FS_WORDS+32)	// core.id whose x87 state the CPU holds, or a jump target

// func enter(c *core, x *Context)
//
// From the store to F_CTX on, a signal handler knows that this thread is on
// its way into a guest. Until the guest's first instruction, everything can be
// begun anew from core: an interruption goes to BAIL.
TEXT ENTER, NOSPLIT|NOFRAME, $0-16
	MOVQ	c+0(FP), AX
	MOVQ	SP, core_hostSP(AX)
	MOVQ	BP, core_hostBP(AX)
	MOVL	$const_reasonNone, core_reason(AX)	// see Running
	MOVQ	core_entry(AX), CX
	MOVQ	CX, F_ENTRY(FS)
	MOVQ	core_tp(AX), CX
	MOVQ	CX, F_TP(FS)
	MOVL	F_TID(FS), CX
	CMPQ	CX, core_tid(AX)
	JNE	thread
known:
	CMPL	core_gs(AX), $const_gsInstruction
	JNE	other
	RDGSBASEQ	CX
	CMPQ	CX, core_base(AX)
	JNE	segment
based:
	MOVQ	AX, F_CTX(FS)
	CMPL	core_intr(AX), $0
	JNE	bail
	MOVL	core_mode(AX), DX
	CMPL	DX, $const_modeFull
	JEQ	full
	JHI	classic
	MOVQ	F_OWNER(FS), CX
	CMPQ	CX, core_id(AX)
	JNE	scrub
owned:
	CMPL	core_x87(AX), $0
	JNE	x87
	CMPW	core_fcw(AX), $const_hostFCW
	JEQ	masked
	FLDCW	core_fcw(AX)
masked:
	LDMXCSR	core_mxcsr(AX)
	CMPL	DX, $const_modeResume
	JNE	start

	// Behind the call of a trampoline. A jump, not a return: the return
	// predictor's top is the call of enter, and a return would go wrong
	// every time (10 ns). The guest may know what r11 then holds.
	LOAD_VECTORS
	LOAD_REGISTERS
	XORL	CX, CX
	MOVQ	REG_RSP(AX), SP
	CMPL	core_served(AX), $0
	JNE	served
	MOVQ	REG_RAX(AX), AX
	MOVQ	(SP), R11
	LEAQ	8(SP), SP
	JMP	R11
served:
	// From SERVE: the predictor's top is the guest's call.
	MOVL	$0, core_served(AX)
	MOVQ	REG_RAX(AX), AX
	MOVQ	(SP), R11
	RET

start:
	// A function or a signal handler begins.
	CMPL	core_vec(AX), $0
	JNE	arguments
	VZEROALL
entry:
	MOVQ	REG_RIP(AX), R11
	CMPL	DX, $const_modeSignal
	JEQ	signal
	LOAD_ARGUMENTS
	MOVQ	REG_RCX(AX), CX
	MOVQ	REG_RSP(AX), SP
	MOVQ	REG_RAX(AX), AX
	JMP	CALL_GUEST
signal:
	LOAD_ARGUMENTS
	MOVQ	REG_RCX(AX), CX
	MOVQ	REG_RSP(AX), SP
	MOVQ	REG_RAX(AX), AX
	JMP	CALL_SIGNAL
arguments:
	LOAD_VECTORS
	JMP	entry

full:
	// Anywhere. The jump target is in F_OWNER, which then names no owner.
	MOVQ	REG_RIP(AX), CX
	MOVQ	CX, F_OWNER(FS)
	MOVQ	AX, R11
	MOVL	core_xmask(R11), AX
	XORL	DX, DX
	XRSTOR64	core_xsave(R11)
	MOVQ	R11, AX
	MOVQ	REG_RFLAGS(AX), CX
	PUSHQ	CX
	POPFQ
	LOAD_REGISTERS
	MOVQ	REG_RCX(AX), CX
	MOVQ	REG_R11(AX), R11
	MOVQ	REG_RSP(AX), SP
	MOVQ	REG_RAX(AX), AX
	JMP	F_OWNER(FS)

thread:
	// Publish the thread for Interrupt. XCHG is a full fence: either
	// Interrupt sees the new thread, or we see its flag.
	TESTQ	CX, CX
	JNE	asked
	MOVQ	AX, DX
	MOVL	$186, AX	// gettid
	SYSCALL
	MOVQ	AX, CX
	MOVQ	DX, AX
	MOVL	CX, F_TID(FS)
asked:
	XCHGQ	CX, core_tid(AX)
	JMP	known

segment:
	MOVQ	core_base(AX), CX
	WRGSBASEQ	CX
	JMP	based

other:
	CMPL	core_gs(AX), $const_gsUnused
	JEQ	based
	CMPL	core_gs(AX), $const_gsKernel
	JEQ	kernel
	MOVL	F_GS(FS), CX
	CMPL	CX, (core_base+4)(AX)
	JEQ	based
kernel:
	// The kernel sets the gs base, and keeps no other for us. Bases are
	// multiples of 4 GiB.
	MOVQ	AX, DX
	MOVQ	core_base(AX), SI
	MOVL	$0x1001, DI	// ARCH_SET_GS
	MOVL	$158, AX	// arch_prctl
	SYSCALL
	TESTQ	AX, AX
	JNE	refused
	MOVQ	DX, AX
	MOVL	(core_base+4)(AX), CX
	MOVL	CX, F_GS(FS)
	JMP	based
refused:
	INT	$3	// a filter of system calls; no guest may run now
	JMP	refused

scrub:
	// Somebody else's x87 and MMX registers may be in the CPU. Its status
	// word is ours if the flags are; otherwise all is loaded anew.
	MOVQ	core_id(AX), CX
	MOVQ	CX, F_OWNER(FS)
	PXOR	M0, M0
	PXOR	M1, M1
	PXOR	M2, M2
	PXOR	M3, M3
	PXOR	M4, M4
	PXOR	M5, M5
	PXOR	M6, M6
	PXOR	M7, M7
	EMMS
	MOVQ	AX, CX
	FNSTSW_AX
	XORW	core_fsw(CX), AX
	ANDL	$0x7f, AX
	MOVQ	CX, AX
	JEQ	owned
	MOVWLZX	core_fsw(AX), CX
	ANDL	$0x7f7f, CX	// nothing is pending
	MOVL	CX, (core_env+4)(AX)
	FLDENV_CORE
	JMP	owned

x87:
	MOVQ	AX, R11
	MOVQ	DX, CX
	MOVL	$1, AX
	XORL	DX, DX
	XRSTOR64	core_xsave(R11)
	MOVQ	R11, AX
	MOVQ	CX, DX
	JMP	masked

bail:
	JMP	BAIL

classic:
	JMP	CLASSIC_ENTER

// The calls that put the exit stubs on the control stack: the stub is the
// instruction behind. A real call keeps the return predictor in step.
TEXT CALL_GUEST, NOSPLIT|NOFRAME, $0-8
	CALL_R11
	JMP	RETURNED

TEXT CALL_SIGNAL, NOSPLIT|NOFRAME, $0-8
	CALL_R11
	JMP	HANDLED

// Reached with core in F_CTX that still holds the whole guest: go back to Go
// as if enter had not been called.
TEXT BAIL, NOSPLIT|NOFRAME, $0-8
	MOVQ	F_CTX(FS), R11
	FNINIT_
	LDMXCSR	·goMXCSR(SB)
	VZEROUPPER
	CLD
	MOVQ	core_hostSP(R11), SP
	MOVQ	core_hostBP(R11), BP
	MOVL	$const_reasonTurnBack, core_reason(R11)
	MOVQ	$0, F_OWNER(FS)
	MOVQ	$0, F_CTX(FS)
	RET

// The function that enter started has returned. The results are in rax, rdx,
// xmm0 and xmm1; nothing else of the guest is of interest any more. EMMS comes
// first: it traps if an x87 exception is pending, and the signal handler goes
// on at RETURNED_CLEAR, which drops it.
TEXT RETURNED, NOSPLIT|NOFRAME, $0-8
	EMMS
	LEAVE_FUNCTION
	MOVL	$const_reasonReturn, core_reason(CX)
	MOVQ	$0, F_CTX(FS)
	RET

TEXT RETURNED_CLEAR, NOSPLIT|NOFRAME, $0-8
	FNCLEX_
	JMP	RETURNED

// The same for a signal handler of the guest.
TEXT HANDLED, NOSPLIT|NOFRAME, $0-8
	EMMS
	LEAVE_FUNCTION
	MOVL	$const_reasonSignal, core_reason(CX)
	MOVQ	$0, F_CTX(FS)
	RET

TEXT HANDLED_CLEAR, NOSPLIT|NOFRAME, $0-8
	FNCLEX_
	JMP	HANDLED

// Every trampoline jumps here, with its number in r11d, its caller's return
// address at the top of the control stack, and FXAM done. An interruption
// here begins the trampoline anew, so this changes nothing but rcx.
TEXT DISPATCH, NOSPLIT|NOFRAME, $0-8
	MOVQ	F_CTX(FS), CX
	CMPL	R11, $const_slotLinux
	JHI	high
	JMP	CALLED
high:
	CMPL	R11, $const_slotDepth
	JEQ	depth
	CMPL	R11, $const_slotUnwind
	JEQ	unwind
	CMPL	R11, $const_slotRead
	JEQ	read
	JMP	CALLED
depth:
	JMP	CTL_DEPTH
unwind:
	JMP	CTL_UNWIND
read:
	JMP	CTL_READ

// The three that are served here, on the control stack, in rcx and r11 alone.
// An interruption begins the trampoline anew with r10 in rcx and r11 cleared: each of
// them can be stopped between any two instructions and started again.

// rax = words above our own return address.
TEXT CTL_DEPTH, NOSPLIT|NOFRAME, $0-8
	MOVQ	core_ctlTop(CX), CX
	SUBQ	SP, CX
	SHRQ	$3, CX
	DECQ	CX
	MOVQ	CX, AX
	XORL	R11, R11
	RET

// rdi = depth, rsi = target. The new stack gets the target where a call would
// have put its return address, and a return goes there.
TEXT CTL_UNWIND, NOSPLIT|NOFRAME, $0-8
	MOVQ	core_ctlTop(CX), R11
	SUBQ	SP, R11
	SHRQ	$3, R11
	DECQ	R11
	CMPQ	DI, R11
	JHI	bad		// deeper than we are
	MOVQ	DI, R11
	SHLQ	$3, R11
	NEGQ	R11
	ADDQ	core_ctlTop(CX), R11
	CMPQ	R11, core_ctlFloor(CX)
	JHI	bad		// past the exit stub of the innermost invocation
	MOVQ	core_base(CX), CX
	MOVQ	CX, -8(R11)
	MOVL	SI, CX
	ANDL	$~31, CX
	ADDQ	CX, -8(R11)
	LEAQ	-8(R11), SP
	XORL	CX, CX
	XORL	R11, R11
	RET
bad:
	MOVL	$const_slotBadUnwind, R11
	JMP	CALLED

// rdi = n, rax = low half of the n-th return address, if it is the guest's.
TEXT CTL_READ, NOSPLIT|NOFRAME, $0-8
	MOVQ	core_ctlTop(CX), R11
	SUBQ	SP, R11
	SHRQ	$3, R11
	DECQ	R11
	CMPQ	DI, R11
	JCC	none
	MOVQ	8(SP)(DI*8), R11
	MOVQ	core_base(CX), CX
	XORQ	R11, CX
	SHRQ	$32, CX
	JNE	none
	MOVL	R11, AX
	XORL	R11, R11
	RET
none:
	XORL	AX, AX
	XORL	CX, CX
	XORL	R11, R11
	RET

// A trampoline that the host serves. rcx = core, r11d = its number.
TEXT CALLED, NOSPLIT|NOFRAME, $0-8
	MOVL	R11, core_slot(CX)
	MOVQ	AX, REG_RAX(CX)
	FNSTSW_AX
	MOVQ	BX, REG_RBX(CX)
	MOVQ	BP, REG_RBP(CX)
	MOVQ	SI, REG_RSI(CX)
	MOVQ	DI, REG_RDI(CX)
	MOVQ	DX, REG_RDX(CX)
	MOVQ	R8, REG_R8(CX)
	MOVQ	R9, REG_R9(CX)
	MOVQ	R10, REG_R10(CX)
	MOVQ	R12, REG_R12(CX)
	MOVQ	R13, REG_R13(CX)
	MOVQ	R14, REG_R14(CX)
	MOVQ	SP, REG_RSP(CX)
	MOVQ	(SP), R11
	MOVQ	R11, REG_RIP(CX)
	SAVE_VECTORS
	FNSTCW_CORE
	STMXCSR	core_mxcsr(CX)
	MOVW	AX, core_fsw(CX)
	ANDL	$0x4500, AX
	CMPL	AX, $0x4100	// what FXAM says of an empty register
	JNE	x87
	MOVL	$0, core_x87(CX)
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
	MOVL	$const_modeResume, core_mode(CX)
	MOVL	$const_reasonCall, core_reason(CX)
	MOVQ	$0, F_CTX(FS)
	CMPL	core_serve(CX), $0
	JNE	serve
	LEAVE_UNBALANCED
serve:
	JMP	SERVE
control:
	FLDCW	·goFCW(SB)
	JMP	masked
mxcsr:
	LDMXCSR	·goMXCSR(SB)
	JMP	rounded
x87:
	MOVL	$1, AX
	XORL	DX, DX
	XSAVE64	core_xsave(CX)
	FNINIT_
	MOVL	$1, core_x87(CX)
	JMP	masked

// A call that is answered without a return to Go, by a call of Go. It is reached
// as if the caller of ENTER had called it, and leaves to ENTER as if it had called
// that, so that the stack may have moved meanwhile. What matters is the return
// predictor: a guest's call without its return puts it out of step for each return of
// Go that follows, which costs more than all the rest.
TEXT SERVE, 0, $16-16
	NO_LOCAL_POINTERS
	MOVQ	x+8(FP), AX
	MOVQ	AX, 0(SP)
	CALL	·serve(SB)
	MOVBLZX	8(SP), AX
	TESTL	AX, AX
	JEQ	out
	MOVQ	c+0(FP), AX
	MOVL	$1, core_served(AX)
	RET	ENTER
out:
	RET

// Where the signal handler sends a guest that stops anywhere: its general
// registers are in core, its vector and x87 registers still in the CPU, the
// stack is the host's.
TEXT ASYNC, NOSPLIT|NOFRAME, $0-8
	NOP_		// a return address lies behind its call, so the handler says ASYNC+1
	MOVQ	F_CTX(FS), R11
	MOVL	core_xmask(R11), AX
	XORL	DX, DX
	XSAVE64	core_xsave(R11)
	FNINIT_
	LDMXCSR	·goMXCSR(SB)
	VZEROUPPER
	CLD
	MOVL	$const_modeFull, core_mode(R11)
	MOVQ	$0, F_CTX(FS)
	RET

// The signal handler: DI = signal, SI = siginfo, DX = ucontext. It runs on the
// thread's alternate stack with all signals blocked.
TEXT SIGNAL, NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ	F_CTX(FS), R11
	MOVQ	UC_RIP(DX), R10
	LEAQ	·handler(SB), R9
	TESTQ	R11, R11
	JEQ	host
	MOVQ	R10, AX
	SUBQ	core_base(R11), AX
	SHRQ	$32, AX
	JEQ	guest

	// Trusted code on its way in or out.
	CMPL	DI, $23
	JEQ	urgent
	CMPL	DI, $8
	JEQ	float
	JMP	shadow

urgent:
	// On the way in: turn back. In a trampoline's code: begin it anew, as
	// if the guest had been stopped before it. On the way out: go on.
	IN_RANGE(handlerData_enter, handlerData_enterLen, turn)
	IN_RANGE(handlerData_classic, handlerData_classicLen, turn)
	CMPQ	R10, handlerData_callGuest(R9)
	JEQ	turn
	CMPQ	R10, handlerData_callSignal(R9)
	JEQ	turn
	MOVL	UC_R11(DX), CX
	IN_RANGE(handlerData_dispatch, handlerData_dispLen, again)
	MOVL	$const_slotDepth, CX
	IN_RANGE(handlerData_depth, handlerData_depthLen, again)
	MOVL	$const_slotUnwind, CX
	IN_RANGE(handlerData_unwind, handlerData_unwindLen, again)
	MOVL	$const_slotRead, CX
	IN_RANGE(handlerData_read, handlerData_readLen, again)
	JMP	shadow

turn:
	MOVQ	handlerData_bail(R9), AX
	MOVQ	AX, UC_RIP(DX)
	MOVQ	core_hostSP(R11), AX
	MOVQ	AX, UC_RSP(DX)
	MOVQ	core_hostBP(R11), AX
	MOVQ	AX, UC_RBP(DX)
	MOVQ	$0x202, UC_FLAGS(DX)
	JMP	chain

again:
	SHLQ	$5, CX
	ADDQ	$0x10000, CX	// cage.TrampolineStart
	ADDQ	core_base(R11), CX
	MOVQ	CX, UC_RIP(DX)
	MOVQ	UC_R10(DX), AX	// what rcx was, where the trampoline keeps it
	MOVQ	AX, UC_RCX(DX)
	MOVQ	$0, UC_R11(DX)
	JMP	preempt

float:
	// The EMMS of a return with an x87 exception pending.
	MOVQ	handlerData_retClear(R9), CX
	IN_RANGE(handlerData_ret, handlerData_retLen, redirect)
	MOVQ	handlerData_sigClear(R9), CX
	IN_RANGE(handlerData_sigRet, handlerData_sigRetLen, redirect)
	JMP	shadow

guest:
	CMPL	DI, $23
	JEQ	preempt
	CMPL	DI, $31
	JHI	shadow
	MOVL	$0x9b0, AX	// SIGILL 4, SIGTRAP 5, SIGBUS 7, SIGFPE 8, SIGSEGV 11
	BTL	DI, AX
	JCC	shadow
	MOVL	8(SI), AX	// si_code: positive if the CPU says so
	CMPL	AX, $0
	JLE	shadow
	MOVL	DI, core_signo(R11)
	MOVL	AX, core_sigcode(R11)
	MOVL	UC_TRAPNO(DX), AX
	MOVL	AX, core_trapno(R11)
	MOVQ	UC_CR2(DX), AX
	MOVQ	AX, core_faultAddr(R11)
	MOVQ	UC_ERR(DX), AX
	MOVQ	AX, core_faultErr(R11)
	MOVL	$const_reasonFault, core_reason(R11)
	JMP	stop

preempt:
	MOVL	$const_reasonPreempt, core_reason(R11)
stop:
	KEEP(UC_R8, REG_R8)
	KEEP(UC_R9, REG_R9)
	KEEP(UC_R10, REG_R10)
	KEEP(UC_R11, REG_R11)
	KEEP(UC_R12, REG_R12)
	KEEP(UC_R13, REG_R13)
	KEEP(UC_R14, REG_R14)
	KEEP(UC_RDI, REG_RDI)
	KEEP(UC_RSI, REG_RSI)
	KEEP(UC_RBP, REG_RBP)
	KEEP(UC_RBX, REG_RBX)
	KEEP(UC_RDX, REG_RDX)
	KEEP(UC_RAX, REG_RAX)
	KEEP(UC_RCX, REG_RCX)
	KEEP(UC_RSP, REG_RSP)
	KEEP(UC_RIP, REG_RIP)
	MOVL	UC_FLAGS(DX), AX
	ANDL	$0xcd5, AX	// the arithmetic flags, and that of direction
	ORL	$0x202, AX
	MOVQ	AX, REG_RFLAGS(R11)
	MOVQ	handlerData_async(R9), AX
	MOVQ	AX, UC_RIP(DX)
	MOVQ	core_hostSP(R11), AX
	MOVQ	AX, UC_RSP(DX)
	MOVQ	core_hostBP(R11), AX
	MOVQ	AX, UC_RBP(DX)
	MOVQ	$0x202, UC_FLAGS(DX)
	MOVQ	handlerData_segments(R9), AX
	MOVQ	AX, UC_SEGMENTS(DX)
	CMPL	DI, $23
	JEQ	chain		// Go counts on seeing its signal
	RET

host:
	// Go code. A fault of safemem goes on at its landing.
	CMPL	DI, $11
	JEQ	access
	CMPL	DI, $7
	JNE	chain
access:
	MOVQ	handlerData_fixups(R9), AX
next:
	CMPQ	AX, handlerData_fixupsEnd(R9)
	JEQ	chain
	CMPQ	R10, 0(AX)
	JCS	other
	CMPQ	R10, 8(AX)
	JCC	other
	MOVQ	16(AX), CX
redirect:
	MOVQ	CX, UC_RIP(DX)
	RET
other:
	ADDQ	$24, AX
	JMP	next

chain:
	MOVQ	handlerData_old(R9), AX
	JMP	AX

shadow:
	CMPL	DI, $27		// SIGPROF
	JEQ	sample
shadowed:
	// Go handles its signal with a frame of the host before it, so that its
	// unwinder never follows a guest's stack pointer and a profile shows the
	// Go caller; then the guest goes on where it was.
	INCQ	core_shadows(R11)
	PUSHQ	BX
	PUSHQ	BP
	PUSHQ	R12
	PUSHQ	R13
	PUSHQ	R14
	MOVQ	DX, BX
	MOVQ	UC_RIP(DX), BP
	MOVQ	UC_RSP(DX), R12
	MOVQ	UC_RBP(DX), R13
	MOVQ	UC_SEGMENTS(DX), R14
	MOVQ	handlerData_async(R9), AX
	MOVQ	AX, UC_RIP(DX)
	MOVQ	core_hostSP(R11), AX
	MOVQ	AX, UC_RSP(DX)
	MOVQ	core_hostBP(R11), AX
	MOVQ	AX, UC_RBP(DX)
	MOVQ	handlerData_segments(R9), AX
	MOVQ	AX, UC_SEGMENTS(DX)
	MOVQ	handlerData_old(R9), AX
	CALL	AX
	MOVQ	BP, UC_RIP(BX)
	MOVQ	R12, UC_RSP(BX)
	MOVQ	R13, UC_RBP(BX)
	MOVQ	R14, UC_SEGMENTS(BX)
	POPQ	R14
	POPQ	R13
	POPQ	R12
	POPQ	BP
	POPQ	BX
	RET

	// A profile signal: note where the guest is, and its callers. Go has two timers that
	// send it, one of each thread and one of the process, and counts the second only
	// where it could not make the first.
sample:
	CMPL	8(SI), $-2	// si_code, SI_TIMER
	JNE	shadowed
	MOVQ	core_samples(R11), AX
	TESTQ	AX, AX
	JEQ	shadowed
	MOVQ	R10, CX
	SUBQ	core_base(R11), CX
	SHRQ	$32, CX
	JNE	shadowed	// trusted code
	MOVL	core_nsamples(R11), CX
	ANDL	$(const_sampleCount-1), CX
	IMULQ	$(4*const_sampleWords), CX
	ADDQ	CX, AX
	MOVL	R10, 0(AX)
	MOVQ	UC_RSP(DX), R8
	MOVL	$1, CX
caller:
	MOVL	$const_sampleEnd, 0(AX)(CX*4)
	CMPQ	R8, core_ctlTop(R11)
	JCC	sampled
	MOVL	4(R8), R9
	CMPL	R9, (core_base+4)(R11)
	JNE	stub
	MOVL	0(R8), R9
	MOVL	R9, 0(AX)(CX*4)
	JMP	up
stub:
	MOVL	$const_sampleStub, 0(AX)(CX*4)
up:
	ADDQ	$8, R8
	INCL	CX
	CMPL	CX, $const_sampleWords
	JCS	caller
sampled:
	INCL	core_nsamples(R11)
	LEAQ	·handler(SB), R9
	JMP	shadowed

// func addresses(h *handlerData) (signalHandler uintptr)
TEXT ADDRESSES, NOSPLIT, $0-16
	MOVQ	h+0(FP), DI
	LEAQ	BAIL, AX
	MOVQ	AX, handlerData_bail(DI)
	LEAQ	ASYNC, AX
	INCQ	AX
	MOVQ	AX, handlerData_async(DI)
	LEAQ	ENTER, AX
	MOVQ	AX, handlerData_enter(DI)
	LEAQ	CLASSIC_ENTER, AX
	MOVQ	AX, handlerData_classic(DI)
	LEAQ	CLASSIC, AX
	MOVQ	AX, handlerData_called(DI)
	LEAQ	CALL_GUEST, AX
	MOVQ	AX, handlerData_callGuest(DI)
	LEAQ	CALL_SIGNAL, AX
	MOVQ	AX, handlerData_callSignal(DI)
	LEAQ	DISPATCH, AX
	MOVQ	AX, handlerData_dispatch(DI)
	LEAQ	CTL_DEPTH, AX
	MOVQ	AX, handlerData_depth(DI)
	LEAQ	CTL_UNWIND, AX
	MOVQ	AX, handlerData_unwind(DI)
	LEAQ	CTL_READ, AX
	MOVQ	AX, handlerData_read(DI)
	LEAQ	RETURNED, AX
	MOVQ	AX, handlerData_ret(DI)
	LEAQ	RETURNED_CLEAR, AX
	MOVQ	AX, handlerData_retClear(DI)
	LEAQ	HANDLED, AX
	MOVQ	AX, handlerData_sigRet(DI)
	LEAQ	HANDLED_CLEAR, AX
	MOVQ	AX, handlerData_sigClear(DI)
	LEAQ	SIGNAL, AX
	MOVQ	AX, ret+8(FP)
	RET
