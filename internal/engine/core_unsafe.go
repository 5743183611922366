package engine

//lint:file-ignore U1000 some fields are used by the assembly alone

import "unsafe"

// Registers are the general registers of a guest. RSP is the control stack
// pointer, an address of the host: it is never shown to guests.
type Registers struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFLAGS                            uint64
}

// core is the part of a Context that assembly reads and writes. It lives
// outside of the Go heap, because signal handlers use it at moments when no
// Go pointer could be followed, and because it must not move. The assembler
// takes the offsets from this declaration (go_asm.h).
type core struct {
	hostSP uintptr // where enter was called; written at each entry, dead after
	hostBP uintptr
	base   uintptr // of the sandbox
	id     uint64  // whose x87 state a thread holds; see slotOwner
	tid    uint64  // OS thread of the last entry, for Interrupt; noThread before

	intr   uint32 // set by Interrupt; an entry that sees it turns back
	mode   uint32 // how to go on: modeCall...
	reason uint32 // why enter returned: reasonCall...; reasonNone while the guest runs
	slot   uint32 // trampoline that was called
	tp     uint32 // guest thread pointer
	tp2    uint32 // second one, of the classic ABI: one word of %fs holds both
	mxcsr  uint32
	fcw    uint16 // x87 control word
	fsw    uint16 // x87 status word of an empty stack
	x87    uint32 // 1: x87 registers are in use and stand in xsave
	vec    uint32 // 1: modeCall loads ymm instead of clearing the registers
	xmask  uint32 // state components that xsave holds
	gs     uint32 // how the gs base is set: gsInstruction...
	serve  uint32 // 1: a call of a trampoline goes to SERVE
	served uint32 // 1: the return predictor's top is the call that is returned from

	entry    uintptr // where trampolines jump: DISPATCH or CLASSIC
	ctlTop   uintptr // end of the control stack
	ctlFloor uintptr // the innermost invocation's exit stub; no unwinding above it

	signo     uint32 // of a fault
	sigcode   uint32
	trapno    uint32
	_         uint32
	faultAddr uint64
	faultErr  uint64
	shadows   uint64 // signals that Go handled while the guest stood still

	// Where the signal handler notes what SIGPROF met: sampleCount entries of
	// sampleWords words each, written in turn; 0: nowhere. An entry is the offset of the
	// instruction, return addresses from the innermost on, sampleStub for a stub of the
	// engine, and sampleEnd behind the outermost if there is room.
	samples  uintptr
	nsamples uint32 // written since the beginning
	_        uint32

	regs Registers
	env  [8]uint32 // for FLDENV: control, status and tag word, the rest zero
	_    [0x200 - 0x160]byte

	ymm   [16][32]byte         // after a call
	xsave [0x1000 - 0x400]byte // after an interruption or a fault
}

const (
	coreSize = 0x1000
	noThread = ^uint64(0)
)

// Where assembly and the CPU need things to be.
var (
	_ [coreSize - unsafe.Sizeof(core{})]byte
	_ [unsafe.Sizeof(core{}) - coreSize]byte
	_ [0x200 - unsafe.Offsetof(core{}.ymm)]byte
	_ [unsafe.Offsetof(core{}.ymm) - 0x200]byte
	_ [-(unsafe.Offsetof(core{}.xsave) % 64)]byte
	_ [unsafe.Offsetof(core{}.tp) + 4 - unsafe.Offsetof(core{}.tp2)]byte
	_ [-(unsafe.Offsetof(core{}.tp) % 8)]byte
)

// How enter goes on (core.mode).
const (
	modeNone   = iota // nothing to run
	modeCall          // start at RIP, with an exit stub to return to
	modeSignal        // start at RIP, with a signal-return stub
	modeResume        // behind the call of a trampoline: the address is on the control stack
	modeFull          // anywhere, with every register

	// Of the classic ABI, behind all others.
	modeClassicStart  // start at RIP
	modeClassicResume // behind the call of a trampoline: RIP is what its caller left on the stack
)

// Why enter returned (core.reason).
const (
	reasonNone     = iota
	reasonCall     // a trampoline was called
	reasonReturn   // the function returned to its exit stub
	reasonSignal   // a signal handler returned to its stub
	reasonPreempt  // SIGURG: Go's scheduler or Interrupt wants the thread
	reasonFault    // the guest did what it can't
	reasonTurnBack // interrupted before the guest ran
)

// Trampolines that are served in assembly, and the one number that the
// refusal of ctl_unwind leaves with; no trampoline has it.
const (
	slotLinux     = 1024
	slotDepth     = 1025
	slotUnwind    = 1026
	slotRead      = 1027
	slotBadUnwind = 0x80000000
)

// Trampolines of the classic ABI that are not like the others: two that stay in
// the sandbox, the return of a call from the host, and the last one, which is no
// entry.
const (
	slotTLSGet        = 84
	slotTLS2Get       = 86
	SlotClassicReturn = 2046
	slotNone          = 2047
)

// What core.samples holds. No instruction begins at sampleStub, and no call ends there.
const (
	sampleWords = 32
	sampleCount = 512 // a power of two
	sampleEnd   = 0
	sampleStub  = 1
)

// Initial control words, Go's own.
const (
	hostMXCSR = 0x1f80
	hostFCW   = 0x37f
)

// How enter sets the gs base (core.gs).
const (
	gsInstruction = iota // it reads it, and writes it if it is another's
	gsCached             // the kernel sets it; a word at %fs tells what it is
	gsKernel             // the kernel sets it at each entry: the word may be a dead thread's
	gsUnused             // code of the classic ABI does not use it
)

// handlerData is what the signal handler knows. It is written before the
// handler is installed and never changed.
type handlerData struct {
	old        uintptr // Go's handler
	bail       uintptr
	async      uintptr // redirect target for a guest that stops anywhere
	enter      uintptr
	enterLen   uintptr
	classic    uintptr // CLASSIC_ENTER, a part of ENTER
	classicLen uintptr
	called     uintptr // CLASSIC, not looked at by the handler
	callGuest  uintptr
	callSignal uintptr
	dispatch   uintptr
	dispLen    uintptr
	depth      uintptr
	depthLen   uintptr
	unwind     uintptr
	unwindLen  uintptr
	read       uintptr
	readLen    uintptr
	ret        uintptr
	retLen     uintptr
	retClear   uintptr
	sigRet     uintptr
	sigRetLen  uintptr
	sigClear   uintptr
	segments   uint64 // cs and ss of Go code, as in a signal frame
	fixups     uintptr
	fixupsEnd  uintptr
}

var handler handlerData
