package runtime

import (
	"fmt"
	"strings"

	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/validator"
)

// Registers is a guest's view of its integer registers. RSP is the data stack
// pointer, RIP and R11 are offsets, R15 (the base) reads as 0: a host address is
// never in it. In the classic ABI that goes for RBP too.
type Registers struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFLAGS                            uint64
}

func (t *Thread) guestRegisters(r *engine.Registers) Registers {
	g := Registers{
		RAX: r.RAX, RBX: r.RBX, RCX: r.RCX, RDX: r.RDX, RSI: r.RSI, RDI: r.RDI, RBP: r.RBP,
		RSP: r.R14 & 0xffffffff,
		R8:  r.R8, R9: r.R9, R10: r.R10, R12: r.R12, R13: r.R13, R14: r.R14,
		// r11 holds base+target between the halves of a masked jump.
		R11: r.R11 & 0xffffffff,
		RIP: r.RIP & 0xffffffff,
		// Only what a program can make sense of: no IF, IOPL and the like.
		RFLAGS: r.RFLAGS & 0xcd5,
	}
	if t.ctx.Classic() {
		g.RSP, g.RBP = r.RSP&0xffffffff, r.RBP&0xffffffff
	}
	return g
}

// String prints the registers four to a line.
func (r Registers) String() string {
	var b strings.Builder
	for i, e := range []struct {
		name string
		v    uint64
	}{
		{"rax", r.RAX}, {"rbx", r.RBX}, {"rcx", r.RCX}, {"rdx", r.RDX},
		{"rsi", r.RSI}, {"rdi", r.RDI}, {"rbp", r.RBP}, {"dsp", r.RSP},
		{"r8 ", r.R8}, {"r9 ", r.R9}, {"r10", r.R10}, {"r11", r.R11},
		{"r12", r.R12}, {"r13", r.R13}, {"rip", r.RIP}, {"flags", r.RFLAGS},
	} {
		if i > 0 {
			if i%4 == 0 {
				b.WriteByte('\n')
			} else {
				b.WriteString("  ")
			}
		}
		fmt.Fprintf(&b, "%s %016x", e.name, e.v)
	}
	return b.String()
}

// A Symbol says what a code address belongs to.
type Symbol struct {
	Object   string // file name of the program or library
	Function string // empty when unknown
	Offset   uint32 // of the address in the function, or in the object
}

// A Symbolizer names code addresses. It may be called from any goroutine.
type Symbolizer interface {
	Symbol(addr uint32) (Symbol, bool)
}

// A Frame is one line of a backtrace.
type Frame struct {
	PC     uint32
	Symbol Symbol // zero when unknown
}

func (f Frame) String() string {
	switch s := f.Symbol; {
	case s.Function != "":
		return fmt.Sprintf("%#08x %s+%#x (%s)", f.PC, s.Function, s.Offset, s.Object)
	case s.Object != "":
		return fmt.Sprintf("%#08x %s+%#x", f.PC, s.Object, s.Offset)
	}
	return fmt.Sprintf("%#08x", f.PC)
}

// A FaultError is what a guest did that the processor or the sandbox refused.
type FaultError struct {
	Thread int // number of the thread
	Signal int // SIGSEGV, SIGILL, ...
	Code   int // si_code of that signal
	Trap   int // number of the processor's exception
	// HasAddr tells whether Addr, an offset into the sandbox, is known.
	HasAddr bool
	Addr    uint32
	// Kind says it in words: "read", "write", "control stack overflow".
	Kind        string
	Registers   Registers
	Instruction string // disassembled, empty when the code is unreadable
	Backtrace   []Frame
}

// maxBacktrace bounds the frames of a report.
const maxBacktrace = 64

// newFault describes the fault that t's context has just reported.
func (t *Thread) newFault(f *engine.Fault) *FaultError {
	e := &FaultError{
		Thread: t.tid, Signal: int(f.Signal), Code: int(f.Code), Trap: int(f.Trap),
		Addr: f.AddrOffset, HasAddr: f.InSandbox, Kind: string(f.Kind),
		Registers: t.guestRegisters(&f.Regs),
	}
	pc := uint32(e.Registers.RIP)
	e.Instruction = t.d.disassemble(pc)
	e.Backtrace = append(e.Backtrace, t.d.frame(pc, pc))
	for _, ret := range t.ctx.Backtrace(maxBacktrace) {
		// A return address is behind the call: name the call.
		e.Backtrace = append(e.Backtrace, t.d.frame(ret, ret-1))
	}
	return e
}

func (d *Domain) frame(pc, lookup uint32) Frame {
	f := Frame{PC: pc}
	if d.cfg.Symbolizer != nil {
		if s, ok := d.cfg.Symbolizer.Symbol(lookup); ok {
			s.Offset += pc - lookup
			f.Symbol = s
		}
	}
	return f
}

// disassemble shows the instruction at pc. Text is readable by the guest too, so
// this shows nothing that the guest could not see.
func (d *Domain) disassemble(pc uint32) string {
	var code [16]byte
	n := len(code)
	for n > 0 && d.mem.Read(pc, code[:n]) != nil {
		n--
	}
	if n == 0 {
		return ""
	}
	text, _ := validator.Disassemble(code[:n], uint64(pc))
	return text
}

// Error is one line; Report has everything.
func (e *FaultError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "halite: guest fault: %s", SignalName(e.Signal))
	if e.Kind != "" {
		fmt.Fprintf(&b, ": %s", e.Kind)
	}
	if e.HasAddr {
		fmt.Fprintf(&b, " at %#x", e.Addr)
	}
	if len(e.Backtrace) > 0 {
		fmt.Fprintf(&b, " in %s", e.Backtrace[0])
	}
	if e.Instruction != "" {
		fmt.Fprintf(&b, ": %s", e.Instruction)
	}
	return b.String()
}

// Report describes the fault on several lines: the error, the registers and the
// backtrace.
func (e *FaultError) Report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\nthread %d, innermost first:\n", e.Error(), e.Registers, e.Thread)
	for i, f := range e.Backtrace {
		fmt.Fprintf(&b, "%3d  %s\n", i, f)
	}
	return b.String()
}

// fault asks the Personality what a fault means.
func (t *Thread) fault() {
	if t.metPatch() || t.deliverException() {
		return
	}
	e := t.newFault(t.ctx.Fault())
	if t.d.person.Fault(t, e) {
		return
	}
	t.d.End(Ending{Signal: e.Signal, Err: e})
}
