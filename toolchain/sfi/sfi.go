// Package sfi is the assembly pass of the toolchain: it turns AT&T syntax
// x86-64 assembly, as gcc emits it or as people write it, into assembly for
// llvm-mc whose code keeps the rules of the halite ABI (docs/abi.md).
//
// What it guarantees: an instruction is either rewritten into a form that the
// ABI allows, or reported with file and line. Nothing is passed on in the hope
// that it is safe: an unknown mnemonic, directive or operand is an error. The
// wall is still the validator, which judges the bytes; the pass is trusted
// with nothing but the meaning of the program.
//
// Invariant: between two instructions of the input, with rsp the stack pointer
// that the program would have natively and CFA the value that it had before
// the call of the function,
//
//	r14 = CFA  when rsp = CFA-8   (nothing on the frame: "depth 0")
//	r14 = rsp  otherwise
//
// so that a frame has a hole of 8 bytes where the return address would be,
// and a function without a frame needs no instruction for it. Within a run of
// stack adjustments r14 stays at the lowest point of the run.
//
// The input is read twice: once to learn which labels are branched to and
// which have their address taken (tables stand behind the code that uses
// them), and once function by function, following the control flow to know
// the stack depth at each instruction.
//
// A pass has no state outside one call of Rewrite; calls may run in parallel.
//
// Not promised: that the result is valid when inline assembly hides
// instructions behind macros of the assembler (refused) or computes the stack
// pointer from something that is not the stack pointer (the meaning is lost,
// the safety is not).
package sfi

import (
	"fmt"
	"io"
	"strings"
)

// Options of a run of the pass.
type Options struct {
	// Name of the input, for messages; line markers of a preprocessor in the
	// input go before it.
	Name string

	// LineMarkers makes Rewrite print `# line "file"` in front of what it
	// emits for each line, so that a complaint of the assembler can be traced
	// to the input. Without these lines the output is the same.
	LineMarkers bool

	// native makes the pass keep its frame transformation but use plain
	// native memory operands and branches, so that a test can link the result
	// with a shim and run it. Tests only.
	native bool

	// checkCFI makes the pass compare the stack depths that it finds with the
	// input's CFI. Tests only: hand-written CFI is wrong now and then, and
	// nothing depends on it where the flow is known.
	checkCFI bool
}

// Error is one statement that the pass can't transform.
type Error struct {
	File string
	Line int
	Text string // the statement, when there is one
	Msg  string
}

func (e *Error) Error() string {
	if e.Text == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, strings.Join(strings.Fields(e.Text), " "), e.Msg)
}

// ErrorList holds every error of an input in the order of its lines.
type ErrorList []*Error

func (l ErrorList) Error() string {
	var b strings.Builder
	for i, e := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Rewrite reads assembly from r and writes sandboxed assembly to w.
//
// The error is an ErrorList when the input can't be transformed; what was
// written to w is then incomplete and must be thrown away.
func Rewrite(w io.Writer, r io.Reader, o Options) error {
	var b strings.Builder
	if s, ok := r.(interface{ Len() int }); ok {
		b.Grow(s.Len())
	}
	if _, err := io.Copy(&b, r); err != nil {
		return err
	}
	if o.Name == "" {
		o.Name = "<stdin>"
	}
	p := newPass(w, b.String(), o)
	p.survey()
	if err := p.transform(); err != nil {
		return err
	}
	if len(p.errs) > 0 {
		return p.errs
	}
	return nil
}
