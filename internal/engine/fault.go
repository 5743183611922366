package engine

import (
	"fmt"
	"syscall"
)

// FaultKind says in a few words what the guest did.
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
	FaultProtection       FaultKind = "general protection" // hlt, or a misaligned vector access
	FaultBus              FaultKind = "bus error"          // a mapped file is shorter than its mapping
	FaultOther            FaultKind = "fault"
)

// Fault describes why a guest stopped by itself. Addr and Regs hold host
// addresses; a guest gets offsets only.
type Fault struct {
	Signal     syscall.Signal
	Code       int32  // si_code
	Trap       uint32 // vector of the CPU
	ErrorCode  uint64 // of the CPU
	Addr       uint64 // what was accessed, if the kind is about an access
	InSandbox  bool   // Addr lies inside the sandbox, at AddrOffset
	AddrOffset uint32
	PC         uint32 // sandbox offset of the instruction
	Kind       FaultKind
	Regs       Registers
}

func (f *Fault) Error() string {
	if f.InSandbox {
		return fmt.Sprintf("%s of 0x%x at pc 0x%x (%v)", f.Kind, f.AddrOffset, f.PC, f.Signal)
	}
	return fmt.Sprintf("%s at pc 0x%x (%v)", f.Kind, f.PC, f.Signal)
}

// Vectors of the CPU.
const (
	trapDivide     = 0
	trapBreakpoint = 3
	trapIllegal    = 6
	trapProtection = 13
	trapPage       = 14
	trapX87        = 16
	trapSIMD       = 19
)

// describe makes a Fault of what the signal handler left in core.
func (c *Context) describe() *Fault {
	k := c.core
	f := &Fault{
		Signal:    syscall.Signal(k.signo),
		Code:      int32(k.sigcode),
		Trap:      k.trapno,
		ErrorCode: k.faultErr,
		PC:        uint32(k.regs.RIP),
		Regs:      k.regs,
		Kind:      FaultOther,
	}
	switch k.trapno {
	case trapDivide:
		f.Kind = FaultDivide
	case trapBreakpoint:
		f.Kind = FaultBreakpoint
	case trapIllegal:
		f.Kind = FaultIllegal
	case trapProtection:
		f.Kind = FaultProtection
	case trapX87:
		f.Kind = FaultX87
	case trapSIMD:
		f.Kind = FaultSIMD
	case trapPage:
		f.setAccess(c)
	}
	return f
}

func (f *Fault) setAccess(c *Context) {
	const write, fetch = 1 << 1, 1 << 4
	f.Addr = c.core.faultAddr
	if f.Addr>>32 == uint64(c.core.base)>>32 {
		f.InSandbox, f.AddrOffset = true, uint32(f.Addr)
	}
	at := uintptr(f.Addr)
	switch {
	case at >= c.block.addr && at < c.block.bottom():
		f.Kind = FaultControlOverflow
	case at >= c.block.top() && at < c.block.top()+pageSize:
		f.Kind = FaultControlUnderflow
	case f.Signal == syscall.SIGBUS:
		f.Kind = FaultBus
	case f.ErrorCode&fetch != 0:
		f.Kind = FaultExec
	case f.ErrorCode&write != 0:
		f.Kind = FaultWrite
	default:
		f.Kind = FaultRead
	}
}
