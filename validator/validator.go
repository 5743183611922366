package validator

import (
	"fmt"
	"strings"
)

// ABI names the rule set that a text is checked against.
type ABI uint8

const (
	// Halite is the ABI of our own toolchain: %gs: data accesses with 32-bit
	// addresses, a protected control stack, plain ret.
	Halite ABI = iota
	// Classic is NaCl's x86-64 ABI: %r15 plus a zero-extended index, the
	// stack inside the sandbox, masked returns.
	Classic
	// X86_32 is NaCl's x86-32 ABI: segments keep data inside.
	X86_32
)

func (a ABI) String() string {
	switch a {
	case Halite:
		return "halite"
	case Classic:
		return "classic"
	case X86_32:
		return "x86-32"
	}
	return fmt.Sprintf("ABI(%d)", uint8(a))
}

// mode is the number of bits of the processor mode.
func (a ABI) mode() int {
	if a == X86_32 {
		return 32
	}
	return 64
}

// ParseABI finds an ABI by the name that String gives it.
func ParseABI(s string) (ABI, error) {
	for a := Halite; a <= X86_32; a++ {
		if s == a.String() {
			return a, nil
		}
	}
	return 0, fmt.Errorf("validator: no ABI %q; there are halite, classic and x86-32", s)
}

const (
	// BundleSize is the number of bytes in a bundle. No instruction crosses
	// the edge of one, and every indirect jump lands on the start of one.
	BundleSize = 32

	// SandboxStart and SandboxEnd bound the offsets that direct branches and
	// rip-relative operands may reach. What lies below and above is never
	// mapped in a domain.
	SandboxStart = 0x10000
	SandboxEnd   = 1<<32 - 0x10000

	// DefaultThreadPointer is the %fs: displacement of the word from which a
	// guest reads its thread pointer, in files and where Options says nothing.
	DefaultThreadPointer = 0x10
)

// Options say what a text is checked against.
type Options struct {
	ABI ABI

	// Offset is the sandbox offset at which text[0] will stand, a multiple of
	// BundleSize. The verdict holds for this offset only: branches that leave
	// the text and rip-relative operands are judged by where they go.
	Offset uint32

	// ThreadPointer is the displacement of the thread pointer word that %fs:
	// loads must name; 0 means DefaultThreadPointer.
	ThreadPointer int32

	// Features are those of the CPU that is to execute the text: what needs
	// others is refused. 0 asks for nothing.
	Features Features

	// Workers is the number of goroutines that may share the work on a text
	// of megabytes. 0 and 1 keep it to the caller's own.
	Workers int

	// MaxErrors bounds the number of errors reported; 0 means 10.
	MaxErrors int

	// CollectThreadPointerLoads asks for Result.ThreadPointerLoads.
	CollectThreadPointerLoads bool

	// CollectTargets asks for Result.Targets.
	CollectTargets bool
}

// An Error is one reason why a text is refused.
type Error struct {
	Offset uint32 // of the instruction, from the start of the text
	Rule   Rule
	Code   []byte // the instruction; where its length is unknown, what stands there, at most 15 bytes
	Detail string // why, and what to do
	Target int64  // for V-JUMP-TARGET, where the branch goes, from the start of the text; otherwise -1
	mode   int    // 32 or 64, for the disassembler
}

func (e *Error) Error() string {
	return fmt.Sprintf("text+%#x: %s: %s: %s", e.Offset, e.Rule, e.Disassembly(), e.Detail)
}

// Disassembly is the instruction in GNU syntax.
func (e *Error) Disassembly() string {
	text, _ := disassemble(e.Code, uint64(e.Offset), e.mode)
	return text
}

// Result is the outcome of Validate.
type Result struct {
	// Errors are in the order of their offsets, except that errors about
	// branch targets come last. Empty means that the text is safe.
	Errors []*Error

	// Truncated says that there were more errors than Options.MaxErrors.
	Truncated bool

	// ThreadPointerLoads are the offsets, from the start of the text, of the
	// displacement of each thread pointer load. Only the bytes disp32 at
	// these offsets may be patched, and the text has to be validated again.
	ThreadPointerLoads []uint32

	// Targets holds one word for each bundle. Bit k says that a direct branch
	// inside the text may name offset k of that bundle. It means nothing for a
	// text that is refused, other than for non-temporal instructions.
	Targets []uint32

	onlyNonTemporal bool
}

// OK reports whether the text may be executed.
func (r Result) OK() bool { return len(r.Errors) == 0 }

// NonTemporal reports whether the text was refused for nothing but
// non-temporal instructions, which the NaCl ABIs do not accept as they are:
// Rewrite can replace some of them.
func (r Result) NonTemporal() bool { return len(r.Errors) > 0 && r.onlyNonTemporal }

// Err is nil when the text may be executed, and otherwise an error that lists
// what is wrong, one reason a line. errors.As finds the first *Error in it.
func (r Result) Err() error {
	if len(r.Errors) == 0 {
		return nil
	}
	return &refusal{r}
}

type refusal struct{ r Result }

func (e *refusal) Error() string {
	var b strings.Builder
	for i, x := range e.r.Errors {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(x.Error())
	}
	if e.r.Truncated {
		b.WriteString("\n(more errors not shown)")
	}
	return b.String()
}

func (e *refusal) Unwrap() error { return e.r.Errors[0] }
