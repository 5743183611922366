package oracle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/halite-run/halite/validator"
	"golang.org/x/sys/unix"
)

// chunkAt is where in the text page the bundle under test stands; hlt is around
// it.
const chunkAt = 0x400

const (
	flagsFree   = 0x8d5 | 1<<16 | 1<<8 // arithmetic flags; RF and TF are the tracer's and the kernel's
	flagDF      = 1 << 10
	classicSlop = 40 << 30 // the guards on each side
	haliteSlop  = 64 << 10 // the guard behind
	stackAt     = 0x1002_0000
	outsideAt   = 0x210 // upper half of the first address outside
)

// A pattern is one choice of what the registers hold.
type pattern struct {
	name   string
	regs   [16]uint64 // by number; rsp, r15 and (classic) rbp are the ABI's
	flags  uint64
	bare   bool // halite: the control stack is not mapped
	fsBase uint64
}

// patterns has addresses outside of the sandbox whose low halves lie on mapped
// pages, at the edges, and anywhere. In the first all are canonical, aligned, and
// stay so when added.
func patterns(abi validator.ABI) []pattern {
	list := []pattern{
		{name: "outside, aligned", flags: 0x202, bare: true, fsBase: fsBase},
		{name: "at the upper edge", flags: 0x202 | 0x8d5, fsBase: threadAt - 16},
		{name: "at the lower edge", flags: 0x202 | 0x55, bare: true, fsBase: fsBase},
		{name: "small numbers", flags: 0x202, fsBase: fsBase},
	}
	for i := range uint64(16) {
		list[0].regs[i] = (outsideAt+i)<<32 | 0x1000_0000 + i*0x440
		list[1].regs[i] = (0xffff_8000+i)<<32 | 0xffff_0000 - 8*i
		list[2].regs[i] = (0x8000_0000+i<<16)<<32 | 0x1_0000 - 4*i
		list[3].regs[i] = i * 43 // rcx is a selector, and no shift makes an address of ours
	}
	if abi == validator.Classic {
		for i := range list {
			list[i].bare = false
		}
		list[3].flags |= flagDF
	}
	return list
}

// setRegisters makes what a form begins with.
func setRegisters(r *unix.PtraceRegs, abi validator.ABI, p *pattern, start uint64) {
	x := &p.regs
	*r = unix.PtraceRegs{
		Rax: x[0], Rcx: x[1], Rdx: x[2], Rbx: x[3], Rbp: x[5], Rsi: x[6], Rdi: x[7],
		R8: x[8], R9: x[9], R10: x[10], R11: x[11], R12: x[12], R13: x[13], R14: x[14], R15: base,
		Rip: start, Eflags: p.flags, Cs: 0x33, Ss: 0x2b, Orig_rax: ^uint64(0),
		Fs_base: p.fsBase,
	}
	switch abi {
	case validator.Halite:
		r.Gs_base = base
		r.Rsp = controlSP
		if p.bare {
			r.Rsp = controlAt + 0x5000
		}
	case validator.Classic:
		r.Rsp = base + stackAt
		r.Rbp = base + stackAt + 0x100
	}
}

func registerValues(r *unix.PtraceRegs) [16]uint64 {
	return [16]uint64{r.Rax, r.Rcx, r.Rdx, r.Rbx, r.Rsp, r.Rbp, r.Rsi, r.Rdi, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15}
}

var registerNames = [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// An examiner tries forms in one tracee.
type examiner struct {
	*tracee
	abi      validator.ABI
	patterns []pattern
	stack    []byte // what the control stack holds at the beginning
	block    []byte // what the thread block holds
	tried    int    // forms
	steps    int
	missing  int // forms that this CPU lacks
}

func newExaminer(t *tracee, abi validator.ABI) *examiner {
	for i := range t.text {
		t.text[i] = 0xf4
	}
	x := &examiner{tracee: t, abi: abi, patterns: patterns(abi)}
	for i := 0; i < pageSize; i += 8 {
		binary.LittleEndian.PutUint64(t.control[i:], marker)
	}
	// A place to return to.
	binary.LittleEndian.PutUint64(t.control[controlSP-controlAt:], base+textAt+0x800)
	x.stack = bytes.Clone(t.control)
	x.block = bytes.Clone(t.thread)
	return x
}

// try executes the form with all patterns, and says what went wrong.
func (x *examiner) try(f *form) error {
	copy(x.text[chunkAt:], f.code[:])
	x.tried++
	for i := range x.patterns {
		p := &x.patterns[i]
		if err := x.run(f, p); err != nil {
			return fmt.Errorf("% x  %s\nregisters: %s: %w", f.code[f.start:f.end], disassemble(f), p.name, err)
		}
	}
	return nil
}

func disassemble(f *form) string {
	var all []string
	for at := f.start; at < f.end; {
		s, n := validator.Disassemble(f.code[at:f.end], uint64(textAt)+chunkAt+uint64(at))
		if n <= 0 {
			break
		}
		all = append(all, s)
		at += n
	}
	return strings.Join(all, "; ")
}

// run executes the form once: one step for an instruction, some for a unit.
func (x *examiner) run(f *form, p *pattern) error {
	var first, before unix.PtraceRegs
	setRegisters(&first, x.abi, p, base+textAt+chunkAt+uint64(f.start))
	before = first
	from := &first
	for n := range 8 {
		o, err := x.step(from)
		if err != nil {
			return err
		}
		x.steps++
		done, err := x.judge(f, p, &before, &o)
		if err == nil && (done || n == 7) {
			// Anything the form did to the state of the FPU ends here, for the next
			// form's sake.
			if o.signal == unix.SIGFPE || x.steps%64 == 0 {
				return x.calm()
			}
			return nil
		}
		if err != nil {
			// The pages may be damaged.
			copy(x.control, x.stack)
			copy(x.thread, x.block)
			return err
		}
		before, from = o.regs, nil
	}
	return nil
}

// inside says whether an address may be accessed by data operands.
func (x *examiner) inside(addr uint64) bool {
	if x.abi == validator.Classic {
		return addr+classicSlop-base < size+2*classicSlop
	}
	return addr-base < size+haliteSlop
}

// judge looks at how one step ended. done: the form has come to its end.
func (x *examiner) judge(f *form, p *pattern, before *unix.PtraceRegs, o *outcome) (done bool, err error) {
	r := &o.regs
	start := base + textAt + chunkAt
	op := x.opcode(before.Rip)

	// Where did it access?
	switch o.signal {
	case unix.SIGTRAP:
		if r.Orig_rax != ^uint64(0) {
			return true, fmt.Errorf("a system call was made")
		}
	case unix.SIGSEGV, unix.SIGBUS:
		if o.page() && !x.inside(o.addr) && !(x.abi == validator.Halite && op.stack && o.addr-controlAt < 0x6000) {
			return true, fmt.Errorf("%v at %#x, outside of the sandbox", o.signal, o.addr)
		}
	case unix.SIGFPE:
	case unix.SIGILL:
		x.missing++
	default:
		return true, fmt.Errorf("signal %v", o.signal)
	}

	// What belongs to the host?
	if !bytes.Equal(x.thread, x.block) {
		return true, fmt.Errorf("the thread block has changed")
	}
	if err := x.controlStack(before, o, op); err != nil {
		return true, err
	}
	values := registerValues(r)
	for i, v := range values {
		if v == marker || uint32(v) == uint32(marker&0xffffffff) || uint32(v) == uint32(marker>>32) {
			return true, fmt.Errorf("%s holds %#x, a word of the host", registerNames[i], v)
		}
		if i != 4 && v-controlAt < 0x6000 {
			return true, fmt.Errorf("%s holds %#x, an address of the control stack", registerNames[i], v)
		}
	}
	if r.R15 != base {
		return true, fmt.Errorf("r15 is %#x", r.R15)
	}
	if r.Fs_base != before.Fs_base || r.Gs_base != before.Gs_base || r.Cs != before.Cs || r.Ss != before.Ss ||
		r.Ds != before.Ds || r.Es != before.Es || r.Fs != before.Fs || r.Gs != before.Gs {
		return true, fmt.Errorf("segments or their bases have changed: %+v", *r)
	}
	free := uint64(flagsFree)
	if x.abi == validator.Classic {
		free |= flagDF
	}
	if (r.Eflags^before.Eflags)&^free != 0 {
		return true, fmt.Errorf("flags went from %#x to %#x", before.Eflags, r.Eflags)
	}

	// Where does it go on?
	if o.signal != unix.SIGTRAP {
		return true, nil // nothing has been executed
	}
	if r.Rip == before.Rip {
		return true, nil // a repeated string instruction, or a loop
	}
	at := r.Rip - start
	switch {
	case at < uint64(f.end) && r.Rip > before.Rip && f.targets>>at&1 == 0:
		return false, nil // within the unit
	case at < bundle && f.targets>>at&1 != 0, at == bundle:
	case r.Rip%bundle == 0 && x.inside(r.Rip):
	case op.ret && r.Rip == base+textAt+0x800:
	default:
		return true, fmt.Errorf("it goes on at %#x (%+#x), where no instruction was seen", r.Rip, int64(r.Rip-before.Rip))
	}
	if x.abi == validator.Classic {
		for _, i := range []int{4, 5} {
			if v := values[i]; v+0x10000-base >= size+0x20000 {
				return true, fmt.Errorf("%s is %#x at the end", registerNames[i], v)
			}
		}
	}
	return true, nil
}

// opcode is what the checks have to know of an instruction.
type opcode struct{ stack, call, ret bool }

func (x *examiner) opcode(rip uint64) (o opcode) {
	at := rip - base - textAt
	if at >= pageSize-16 {
		return o
	}
	b := x.text[at:]
	for b[0] >= 0x40 && b[0] < 0x50 || b[0] == 0xf2 || b[0] == 0x3e {
		b = b[1:]
	}
	o.call = b[0] == 0xe8 || b[0] == 0xff && b[1]&0xf8 == 0xd0
	o.ret = b[0] == 0xc3
	o.stack = o.call || o.ret
	return o
}

// controlStack checks what halite code may do to it: ret takes a word, call adds
// the address behind itself, nothing else moves or touches it.
func (x *examiner) controlStack(before *unix.PtraceRegs, o *outcome, op opcode) error {
	if x.abi != validator.Halite {
		if !bytes.Equal(x.control, x.stack) {
			copy(x.control, x.stack)
			return fmt.Errorf("memory outside of the sandbox has changed")
		}
		return nil
	}
	moved := int64(o.regs.Rsp - before.Rsp)
	switch {
	case o.signal != unix.SIGTRAP || !op.stack:
		if moved != 0 {
			return fmt.Errorf("rsp moved by %d", moved)
		}
	case op.ret && moved == 8:
	case op.call && moved == -8:
		at := x.control[o.regs.Rsp-controlAt:]
		if back := binary.LittleEndian.Uint64(at); back <= before.Rip || back > before.Rip+8 {
			return fmt.Errorf("the return address of a call at %#x is %#x", before.Rip, back)
		}
		copy(at[:8], x.stack[o.regs.Rsp-controlAt:])
	default:
		return fmt.Errorf("rsp moved by %d", moved)
	}
	if !bytes.Equal(x.control, x.stack) {
		return fmt.Errorf("the control stack has changed")
	}
	return nil
}
