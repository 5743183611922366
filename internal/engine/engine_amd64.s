#include "go_asm.h"
#include "funcdata.h"
#include "textflag.h"

// Instructions that Go's assembler does not know, or knows with a wait.
#define FNSTSW_AX BYTE $0xdf; BYTE $0xe0
#define FNINIT_ BYTE $0xdb; BYTE $0xe3
#define FNCLEX_ BYTE $0xdb; BYTE $0xe2
#define NOP_ BYTE $0x90
// mov %fs:(%rcx),%rax and mov %rax,%fs:(%rcx)
#define LOAD_FS_CX BYTE $0x64; BYTE $0x48; BYTE $0x8b; BYTE $0x01
#define STORE_FS_CX BYTE $0x64; BYTE $0x48; BYTE $0x89; BYTE $0x01
#define CALL_R11 BYTE $0x41; BYTE $0xff; BYTE $0xd3

// fnstcw core_fcw(%rcx) and fldenv core_env(%rax), with 32-bit displacements.
#define FNSTCW_CORE BYTE $0xd9; BYTE $0xb9; LONG $core_fcw
#define FLDENV_CORE BYTE $0xd9; BYTE $0xa0; LONG $core_env

#define REG_RAX (core_regs+Registers_RAX)
#define REG_RBX (core_regs+Registers_RBX)
#define REG_RCX (core_regs+Registers_RCX)
#define REG_RDX (core_regs+Registers_RDX)
#define REG_RSI (core_regs+Registers_RSI)
#define REG_RDI (core_regs+Registers_RDI)
#define REG_RBP (core_regs+Registers_RBP)
#define REG_RSP (core_regs+Registers_RSP)
#define REG_R8 (core_regs+Registers_R8)
#define REG_R9 (core_regs+Registers_R9)
#define REG_R10 (core_regs+Registers_R10)
#define REG_R11 (core_regs+Registers_R11)
#define REG_R12 (core_regs+Registers_R12)
#define REG_R13 (core_regs+Registers_R13)
#define REG_R14 (core_regs+Registers_R14)
#define REG_RIP (core_regs+Registers_RIP)
#define REG_RFLAGS (core_regs+Registers_RFLAGS)

// Fields of the kernel's struct ucontext.
#define UC_R8 0x28
#define UC_R9 0x30
#define UC_R10 0x38
#define UC_R11 0x40
#define UC_R12 0x48
#define UC_R13 0x50
#define UC_R14 0x58
#define UC_RDI 0x68
#define UC_RSI 0x70
#define UC_RBP 0x78
#define UC_RBX 0x80
#define UC_RDX 0x88
#define UC_RAX 0x90
#define UC_RCX 0x98
#define UC_RSP 0xa0
#define UC_RIP 0xa8
#define UC_FLAGS 0xb0
#define UC_SEGMENTS 0xb8
#define UC_ERR 0xc0
#define UC_TRAPNO 0xc8
#define UC_CR2 0xd8

#define KEEP(from, to) MOVQ from(DX), AX; MOVQ AX, to(R11)

// Go to label if the program counter in R10 is in a function. Uses AX.
#define IN_RANGE(start, len, label) \
	MOVQ	R10, AX; \
	SUBQ	start(R9), AX; \
	CMPQ	AX, len(R9); \
	JCS	label

// All but rax, rcx, r11 and rsp. r15 is the base, whatever the guest says.
#define LOAD_REGISTERS \
	MOVQ	REG_RBX(AX), BX; \
	MOVQ	REG_RBP(AX), BP; \
	MOVQ	REG_RSI(AX), SI; \
	MOVQ	REG_RDI(AX), DI; \
	MOVQ	REG_RDX(AX), DX; \
	MOVQ	REG_R8(AX), R8; \
	MOVQ	REG_R9(AX), R9; \
	MOVQ	REG_R10(AX), R10; \
	MOVQ	REG_R12(AX), R12; \
	MOVQ	REG_R13(AX), R13; \
	MOVQ	REG_R14(AX), R14; \
	MOVQ	core_base(AX), R15

// The same for what starts: the arguments, and nothing in what has no meaning there.
#define LOAD_ARGUMENTS \
	XORL	BX, BX; \
	XORL	BP, BP; \
	MOVQ	REG_RSI(AX), SI; \
	MOVQ	REG_RDI(AX), DI; \
	MOVQ	REG_RDX(AX), DX; \
	MOVQ	REG_R8(AX), R8; \
	MOVQ	REG_R9(AX), R9; \
	XORL	R10, R10; \
	XORL	R12, R12; \
	XORL	R13, R13; \
	MOVQ	REG_R14(AX), R14; \
	MOVQ	core_base(AX), R15

#define LOAD_VECTORS \
	VMOVDQU	(core_ymm+0x000)(AX), Y0; \
	VMOVDQU	(core_ymm+0x020)(AX), Y1; \
	VMOVDQU	(core_ymm+0x040)(AX), Y2; \
	VMOVDQU	(core_ymm+0x060)(AX), Y3; \
	VMOVDQU	(core_ymm+0x080)(AX), Y4; \
	VMOVDQU	(core_ymm+0x0a0)(AX), Y5; \
	VMOVDQU	(core_ymm+0x0c0)(AX), Y6; \
	VMOVDQU	(core_ymm+0x0e0)(AX), Y7; \
	VMOVDQU	(core_ymm+0x100)(AX), Y8; \
	VMOVDQU	(core_ymm+0x120)(AX), Y9; \
	VMOVDQU	(core_ymm+0x140)(AX), Y10; \
	VMOVDQU	(core_ymm+0x160)(AX), Y11; \
	VMOVDQU	(core_ymm+0x180)(AX), Y12; \
	VMOVDQU	(core_ymm+0x1a0)(AX), Y13; \
	VMOVDQU	(core_ymm+0x1c0)(AX), Y14; \
	VMOVDQU	(core_ymm+0x1e0)(AX), Y15

#define SAVE_VECTORS \
	VMOVDQU	Y0, (core_ymm+0x000)(CX); \
	VMOVDQU	Y1, (core_ymm+0x020)(CX); \
	VMOVDQU	Y2, (core_ymm+0x040)(CX); \
	VMOVDQU	Y3, (core_ymm+0x060)(CX); \
	VMOVDQU	Y4, (core_ymm+0x080)(CX); \
	VMOVDQU	Y5, (core_ymm+0x0a0)(CX); \
	VMOVDQU	Y6, (core_ymm+0x0c0)(CX); \
	VMOVDQU	Y7, (core_ymm+0x0e0)(CX); \
	VMOVDQU	Y8, (core_ymm+0x100)(CX); \
	VMOVDQU	Y9, (core_ymm+0x120)(CX); \
	VMOVDQU	Y10, (core_ymm+0x140)(CX); \
	VMOVDQU	Y11, (core_ymm+0x160)(CX); \
	VMOVDQU	Y12, (core_ymm+0x180)(CX); \
	VMOVDQU	Y13, (core_ymm+0x1a0)(CX); \
	VMOVDQU	Y14, (core_ymm+0x1c0)(CX); \
	VMOVDQU	Y15, (core_ymm+0x1e0)(CX)

// What a return and a signal return have in common. The control words are the
// host's again whatever they were: that is as fast as to compare.
#define LEAVE_FUNCTION \
	MOVQ	F_CTX(FS), CX; \
	MOVQ	AX, REG_RAX(CX); \
	MOVQ	DX, REG_RDX(CX); \
	VMOVDQU	X0, core_ymm(CX); \
	VMOVDQU	X1, (core_ymm+0x20)(CX); \
	FLDCW	·goFCW(SB); \
	LDMXCSR	·goMXCSR(SB); \
	CLD; \
	VZEROUPPER; \
	MOVQ	SP, REG_RSP(CX); \
	MOVQ	core_hostSP(CX), SP; \
	MOVQ	core_hostBP(CX), BP; \
	MOVL	$const_modeNone, core_mode(CX)

// Return to Go without the return predictor: the guest's call of the
// trampoline has put an entry on it that belongs to no return of Go.
#define LEAVE_UNBALANCED \
	MOVQ	(SP), R11; \
	ADDQ	$8, SP; \
	JMP	R11

DATA ·goMXCSR+0(SB)/4, $const_hostMXCSR
GLOBL ·goMXCSR(SB), RODATA|NOPTR, $4
DATA ·goFCW+0(SB)/2, $const_hostFCW
GLOBL ·goFCW(SB), RODATA|NOPTR, $2

// Without runtime/cgo %fs points at m.tls[1]. The runtime uses m.tls[0] alone;
// the five words behind it are zero in a new thread, and the garbage collector
// does not look at them.
#define FS_WORDS 0
#define ENTER ·enterNear(SB)
#define SERVE ·serveNear(SB)
#define CALL_GUEST callGuestNear<>(SB)
#define CALL_SIGNAL callSignalNear<>(SB)
#define BAIL bailNear<>(SB)
#define RETURNED returnedNear<>(SB)
#define RETURNED_CLEAR returnedClearNear<>(SB)
#define HANDLED handledNear<>(SB)
#define HANDLED_CLEAR handledClearNear<>(SB)
#define DISPATCH dispatchNear<>(SB)
#define CTL_DEPTH ctlDepthNear<>(SB)
#define CTL_UNWIND ctlUnwindNear<>(SB)
#define CTL_READ ctlReadNear<>(SB)
#define CALLED calledNear<>(SB)
#define CLASSIC_ENTER classicEnterNear<>(SB)
#define CLASSIC classicCalledNear<>(SB)
#define ASYNC ·guestNear(SB)
#define SIGNAL signalNear<>(SB)
#define ADDRESSES ·addressesNear(SB)
#include "engine_amd64.h"
#include "classic_amd64.h"

#undef FS_WORDS
#undef ENTER
#undef SERVE
#undef CALL_GUEST
#undef CALL_SIGNAL
#undef BAIL
#undef RETURNED
#undef RETURNED_CLEAR
#undef HANDLED
#undef HANDLED_CLEAR
#undef DISPATCH
#undef CTL_DEPTH
#undef CTL_UNWIND
#undef CTL_READ
#undef CALLED
#undef CLASSIC_ENTER
#undef CLASSIC
#undef ASYNC
#undef SIGNAL
#undef ADDRESSES
#undef F_CTX
#undef F_ENTRY
#undef F_TP
#undef F_TID
#undef F_GS
#undef F_OWNER

// With runtime/cgo (a program that needs C, or -race) %fs points at glibc's
// thread control block, which keeps 512 bytes at 0x80 that nothing uses any
// more but that other tools rely on being there.
#define FS_WORDS 0x100
#define ENTER ·enterFar(SB)
#define SERVE ·serveFar(SB)
#define CALL_GUEST callGuestFar<>(SB)
#define CALL_SIGNAL callSignalFar<>(SB)
#define BAIL bailFar<>(SB)
#define RETURNED returnedFar<>(SB)
#define RETURNED_CLEAR returnedClearFar<>(SB)
#define HANDLED handledFar<>(SB)
#define HANDLED_CLEAR handledClearFar<>(SB)
#define DISPATCH dispatchFar<>(SB)
#define CTL_DEPTH ctlDepthFar<>(SB)
#define CTL_UNWIND ctlUnwindFar<>(SB)
#define CTL_READ ctlReadFar<>(SB)
#define CALLED calledFar<>(SB)
#define CLASSIC_ENTER classicEnterFar<>(SB)
#define CLASSIC classicCalledFar<>(SB)
#define ASYNC ·guestFar(SB)
#define SIGNAL signalFar<>(SB)
#define ADDRESSES ·addressesFar(SB)
#include "engine_amd64.h"
#include "classic_amd64.h"

// func probe(p *[4]uintptr): what findWords wants to know of %fs
TEXT ·probe(SB), NOSPLIT, $0-8
	MOVQ	p+0(FP), DI
	MOVQ	(TLS), CX
	MOVQ	CX, 0(DI)
	MOVQ	$-8, CX
	LOAD_FS_CX
	MOVQ	AX, 8(DI)
	XORL	CX, CX
	LOAD_FS_CX
	MOVQ	AX, 16(DI)
	MOVL	$16, CX
	LOAD_FS_CX
	MOVQ	AX, 24(DI)
	RET

// func word(i uintptr) uintptr: the word at %fs:i
TEXT ·word(SB), NOSPLIT, $0-16
	MOVQ	i+0(FP), CX
	LOAD_FS_CX
	MOVQ	AX, ret+8(FP)
	RET

// func setWord(i, v uintptr)
TEXT ·setWord(SB), NOSPLIT, $0-16
	MOVQ	i+0(FP), CX
	MOVQ	v+8(FP), AX
	STORE_FS_CX
	RET

// func segments() uint64: ss and cs as in the kernel's signal frame
TEXT ·segments(SB), NOSPLIT, $0-8
	XORL	AX, AX
	BYTE	$0x8c; BYTE $0xd0	// mov %ss,%eax
	SHLQ	$48, AX
	XORL	CX, CX
	BYTE	$0x8c; BYTE $0xc9	// mov %cs,%ecx
	ORQ	CX, AX
	MOVQ	AX, ret+0(FP)
	RET

// func HostState() (mxcsr uint32, fcw, fsw uint16, flags uint64): for tests
TEXT ·HostState(SB), NOSPLIT, $0-16
	STMXCSR	mxcsr+0(FP)
	BYTE	$0xdf; BYTE $0xe0	// fnstsw %ax
	MOVW	AX, fsw+6(FP)
	BYTE	$0xd9; BYTE $0x7c; BYTE $0x24; BYTE $0x0c	// fnstcw 12(%rsp)
	PUSHFQ
	POPQ	AX
	MOVQ	AX, flags+8(FP)
	RET
