package engine

import (
	"errors"

	"github.com/halite-run/halite/internal/cage"
)

var ErrUnsupported = errors.New("engine: unsupported machine")

func Init() error              { panic("skeleton") }
func ThreadPointerDisp() int32 { panic("skeleton") }

// Trampolines returns the process-wide trampoline page set for cage.Config,
// nil when Init fails.
func Trampolines() *cage.Text { panic("skeleton") }

type Registers struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFLAGS                            uint64
}

type ContextOptions struct {
	ControlStackSize int // bytes, 0 = 1 MiB
}

type ExitReason uint32

const (
	ExitReturn ExitReason = iota + 1
	ExitCall
	ExitFault
	ExitInterrupt
	ExitSignalReturn
)

type Exit struct {
	Reason ExitReason
	Slot   uint32
}

type FaultKind string

const (
	FaultRead             FaultKind = "read"
	FaultWrite            FaultKind = "write"
	FaultExec             FaultKind = "exec"
	FaultControlOverflow  FaultKind = "control stack overflow"
	FaultControlUnderflow FaultKind = "control stack underflow"
	FaultControlUnwind    FaultKind = "control-unwind"
	FaultIllegal          FaultKind = "illegal instruction"
	FaultBreakpoint       FaultKind = "breakpoint"
	FaultDivide           FaultKind = "divide error"
	FaultX87              FaultKind = "x87 exception"
	FaultSIMD             FaultKind = "SIMD exception"
	FaultProtection       FaultKind = "general protection"
	FaultBus              FaultKind = "bus error"
	FaultOther            FaultKind = "fault"
)

// Fault describes why a guest stopped by itself.
type Fault struct {
	Signal     int32
	Code       int32 // si_code
	Trap       uint32
	ErrorCode  uint64
	Addr       uint64
	InSandbox  bool // Addr lies inside the sandbox, at AddrOffset
	AddrOffset uint32
	PC         uint32 // sandbox offset of the instruction
	Kind       FaultKind
	Regs       Registers
}

type Context struct{}
type State struct{}

func NewContext(base uintptr, o ContextOptions) (*Context, error)       { panic("skeleton") }
func (c *Context) Close()                                               { panic("skeleton") }
func (c *Context) Regs() *Registers                                     { panic("skeleton") }
func (c *Context) XMM0() (lo, hi uint64)                                { panic("skeleton") }
func (c *Context) SetCall(entry, dataStack uint32, args ...uint64)      { panic("skeleton") }
func (c *Context) PushSignal(handler, dataStack uint32, args ...uint64) { panic("skeleton") }
func (c *Context) Leave()                                               { panic("skeleton") }
func (c *Context) Resume() Exit                                         { panic("skeleton") }
func (c *Context) Fault() *Fault                                        { panic("skeleton") }
func (c *Context) Interrupt()                                           { panic("skeleton") }
func (c *Context) ClearInterrupt()                                      { panic("skeleton") }
func (c *Context) SetThreadPointer(tp uint32)                           { panic("skeleton") }
func (c *Context) Save() *State                                         { panic("skeleton") }
func (c *Context) Restore(s *State)                                     { panic("skeleton") }
func (c *Context) ControlDepth() int                                    { panic("skeleton") }
func (c *Context) Backtrace(max int) []uint32                           { panic("skeleton") }
