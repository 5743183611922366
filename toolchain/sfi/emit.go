package sfi

import (
	"slices"
	"strconv"
	"strings"
)

// refusedDirective tells why a directive is refused wherever it stands.
func refusedDirective(w string) string {
	switch w {
	case ".macro", ".rept", ".irp", ".irpc", ".altmacro":
		return "macros of the assembler are not supported: use the preprocessor"
	case ".include", ".incbin": // .incbin may fill data
		return "files can't be included here: use the preprocessor"
	case ".intel_syntax":
		return "only AT&T syntax is supported"
	case ".code32", ".code16", ".code16gcc":
		return "only 64-bit code is supported"
	case ".bundle_align_mode", ".bundle_lock", ".bundle_unlock":
		return "bundles belong to the pass"
	case ".if", ".ifdef", ".ifndef", ".else", ".elseif", ".endif", ".ifc", ".ifeq", ".ifne", ".ifb", ".ifnb":
		return "conditional assembly is not supported: use the preprocessor"
	}
	return ""
}

// plainDirectives may stand in a text section as they are.
var plainDirectives = map[string]bool{
	".globl": true, ".global": true, ".weak": true, ".local": true, ".hidden": true, ".protected": true, ".internal": true,
	".type": true, ".size": true, ".set": true, ".equ": true, ".equiv": true, "=": true, ".symver": true,
	".file": true, ".ident": true, ".version": true, ".comm": true, ".lcomm": true, ".weakref": true,
	".loc_mark_labels": true, ".cfi_sections": true, ".addrsig": true, ".addrsig_sym": true,
}

// dropped directives mean nothing in the output.
var dropped = map[string]bool{".att_syntax": true, ".code64": true, ".arch": true, ".end": true, ".title": true, ".sbttl": true, ".eject": true, ".list": true, ".nolist": true}

func (p *pass) str(s string)  { p.out = append(p.out, s...) }
func (p *pass) byte(c byte)   { p.out = append(p.out, c) }
func (p *pass) int(n int64)   { p.out = strconv.AppendInt(p.out, n, 10) }
func (p *pass) line(s string) { p.out = append(append(append(p.out, '\t'), s...), '\n') }

// cfiState follows the CFA rule of the input and of the output.
type cfiState struct {
	in, out  cfaState
	inStack  []cfaState
	outStack []cfaState
	active   bool
	lastCall bool // the last instruction was a call
}

type emitter struct {
	st      state
	delta   int64 // r14 - native rsp
	runLast int   // last adjustment of the run, or -1

	r11      int     // what is in r11
	r11Lost  bool    // the pass used r11 in this unit
	r11Reads []int32 // uses of r11 before a definition in their block
}

// moveSP emits r14 += n.
func (p *pass) moveSP(e *emitter, n int64) {
	if n == 0 {
		return
	}
	p.lea14(n, "%r14")
	e.delta += n
	p.movedSP(n)
}

// lea14 emits dst = r14 + n, in the length that the same address relative to
// rsp has: the index that is none makes the SIB byte that rsp needs.
func (p *pass) lea14(n int64, dst string) {
	switch {
	case n == 0:
		p.str("\t{disp8} leaq\t0(%r14,%riz,1), ")
	case n >= 120 && n <= 127:
		p.str("\t{disp32} leaq\t")
		p.int(n)
		p.str("(%r14,%riz,1), ")
	default:
		p.str("\tleaq\t")
		p.int(n)
		p.str("(%r14,%riz,1), ")
	}
	p.str(dst)
	p.byte('\n')
}

// far reports whether the displacement of an operand relative to rsp needs
// four bytes, but that of its sandboxed form, which is 8 less, would not.
func (e *emitter) far(o *operand) bool {
	return e.delta == 8 && o.base == rsp && o.numeric && o.num >= 128 && o.num < 136
}

// movedSP keeps the CFI true after r14 += n.
func (p *pass) movedSP(n int64) {
	c := &p.cfi
	if c.active && c.out.reg == 14 {
		p.defOffset(c.out.off - n)
	}
}

func (p *pass) defOffset(off int64) {
	if p.opt.native {
		return
	}
	p.cfi.out.off = off
	p.str("\t.cfi_def_cfa_offset ")
	p.int(off)
	p.byte('\n')
}

func (p *pass) defCFA(off int64) {
	if p.opt.native {
		return
	}
	p.cfi.out = cfaState{14, off}
	p.str("\t.cfi_def_cfa %r14, ")
	p.int(off)
	p.byte('\n')
}

// emit prints the unit.
func (p *pass) emit() {
	u := &p.unit
	e := emitter{runLast: -1, delta: 8}
	p.cfi.lastCall = false
	first, last := p.ownCFI()
	for i := range u.stmts {
		st := &u.stmts[i]
		if st.block >= 0 {
			b := &u.blocks[st.block]
			e.st = b.in
			e.delta = e.st.hole()
			e.runLast = -1
			e.r11 = r11Unknown
			if i > first && i <= last && !e.st.dyn {
				p.cfaHere(8 + e.st.depth - e.delta)
			}
		}
		if st.done {
			continue
		}
		if p.opt.LineMarkers {
			p.position(st)
		}
		switch st.kind {
		case kRaw:
			p.raw(st)
		case kLabel:
			p.label(st)
		case kDir:
			p.directive(&e, st)
		case kInstr:
			p.instruction(&e, i, st)
			p.cfi.lastCall = st.class == cCall
		}
		switch {
		case last < 0:
		case i == first:
			p.cfi.active = true
			p.line(".cfi_startproc")
			p.defCFA(0)
			p.line(".cfi_undefined %rip")
		case i == last:
			p.line(".cfi_endproc")
			p.cfi.active = false
			p.cfi.out.reg = -1
		}
	}
	if e.r11Lost {
		for _, i := range e.r11Reads {
			p.fail(&u.stmts[i], "r11 may have been overwritten by the pass before this use: take another register")
		}
	}
}

// ownCFI decides whether the pass writes the CFI for a function that has none,
// as assembly by hand often: between which statements, or (0, -1). Without CFI
// nobody could tell where the hole is.
func (p *pass) ownCFI() (first, last int) {
	u := &p.unit
	first, last = -1, -1
	if p.opt.native || u.name == "" || !u.begun {
		return 0, -1
	}
	section := false // a section directive since the first statement
	for i := range u.stmts {
		st := &u.stmts[i]
		switch st.kind {
		case kLabel:
			if first < 0 && st.sym >= 0 && p.entry(st.sym) {
				first = i
			}
		case kDir:
			if strings.HasPrefix(st.op, ".cfi_") && st.op != ".cfi_sections" {
				return 0, -1
			}
			if first >= 0 && sectionDirective(st.op) {
				section = true
			}
		case kInstr:
			if first < 0 || section {
				return 0, -1
			}
			last = i
		}
	}
	return first, last
}

// position prints the place of a statement in the source, when it is not on
// the line after the last one.
func (p *pass) position(st *stmt) {
	m := p.unit.marks[st.mark]
	file := m.file
	if file == "" {
		file = p.opt.Name
	}
	line := st.line + m.off
	if file == p.lastFile && line == p.lastLine {
		return
	}
	p.lastFile, p.lastLine = file, line
	p.str("# ")
	p.int(int64(line))
	p.str(" \"")
	p.str(file)
	p.str("\"\n")
}

// raw prints a statement of a section that is not code.
func (p *pass) raw(st *stmt) {
	t := st.text
	switch st.op {
	case ".att_syntax", ".code64", ".arch":
		return
	case ".file":
		p.file(st)
		return
	case ".uleb128":
		// A view number, which only the assembler that counts views knows.
		if _, a := word(t); strings.HasPrefix(a, ".LVU") {
			p.line(".uleb128 0")
			return
		}
	}
	p.byte('\t')
	p.str(t)
	p.byte('\n')
}

// file prints a .file directive. gcc names the primary source twice, as file 0
// and as file 1; llvm-mc then forgets the second. So file 0 gets another
// spelling of the same name.
func (p *pass) file(st *stmt) {
	_, args := word(st.text)
	if !strings.HasPrefix(args, "0 ") {
		p.line(st.text)
		return
	}
	t := st.text
	i := strings.LastIndexByte(t, '"')
	if i < 0 {
		p.line(t)
		return
	}
	i = strings.LastIndexAny(t[:i], "\"/")
	p.byte('\t')
	p.str(t[:i+1])
	p.str("./")
	p.str(t[i+1:])
	p.byte('\n')
}

func (p *pass) label(st *stmt) {
	f := symFlags(0)
	if st.sym >= 0 {
		f = p.syms[st.sym].flags
		if f&(symFunc|symGlobal|symTaken) != 0 {
			if _, cold := isCold(st.text); !cold || f&(symGlobal|symTaken) != 0 {
				p.str("\t.p2align\t5\n")
			}
		}
	} else if p.nums[st.num]&symTaken != 0 {
		p.str("\t.p2align\t5\n")
	}
	p.str(st.text)
	p.str(":\n")
}

func (p *pass) directive(e *emitter, st *stmt) {
	w := st.op
	if len(w) > 5 && w[:5] == ".cfi_" {
		p.cfiDirective(e, st)
		return
	}
	switch w {
	case ".loc":
		// "view" is for assemblers that count them.
		t := st.text
		if i := strings.Index(t, " view "); i > 0 {
			t = t[:i]
		}
		p.line(t)
		return
	case ".p2align", ".balign", ".align":
		_, args := word(st.text)
		n, rest := cutComma(args)
		_, max := cutComma(rest)
		v, ok := parseNum(n)
		if !ok {
			p.fail(st, "alignment must be a number")
			return
		}
		if w != ".p2align" {
			k := int64(0)
			for 1<<k < v {
				k++
			}
			v = k
		}
		if v <= 0 {
			return
		}
		p.str("\t.p2align\t")
		p.int(v)
		if max != "" {
			p.str(",,")
			p.str(max)
		}
		p.byte('\n')
		return
	}
	if sectionDirective(w) {
		p.line(st.text)
		return
	}
	if w == ".file" {
		p.file(st)
		return
	}
	if plainDirectives[w] {
		p.line(st.text)
		return
	}
	if dropped[w] {
		return
	}
	if why := refusedDirective(w); why != "" {
		p.fail(st, why)
		return
	}
	if isDataDirective(w) || w == ".zero" || w == ".skip" || w == ".space" || w == ".fill" || w == ".string" || w == ".ascii" || w == ".asciz" || w == ".org" {
		if st.zeroSkip() {
			return
		}
		p.fail(st, "data in a text section is not allowed")
		return
	}
	p.fail(st, "directive not supported in a text section")
}

// zeroSkip recognises directives that add nothing.
func (st *stmt) zeroSkip() bool {
	_, a := word(st.text)
	return (st.op == ".zero" || st.op == ".skip" || st.op == ".space") && a == "0"
}

func (p *pass) cfiDirective(e *emitter, st *stmt) {
	c := &p.cfi
	cfaDirective(&c.in, &c.inStack, st.op, st.text)
	if p.opt.native {
		return
	}
	_, args := word(st.text)
	switch st.op {
	case ".cfi_startproc":
		p.line(st.text)
		c.active = true
		c.outStack = c.outStack[:0]
		if args == "simple" {
			c.out = cfaState{-1, 0}
			return
		}
		p.defCFA(0)
		// The return address is on the control stack, which no DWARF
		// expression can reach.
		p.line(".cfi_undefined %rip")
	case ".cfi_endproc":
		c.active = false
		p.line(st.text)
	case ".cfi_def_cfa", ".cfi_def_cfa_offset", ".cfi_adjust_cfa_offset", ".cfi_def_cfa_register":
		if c.in.reg == 7 {
			off := c.in.off - e.delta
			switch {
			case c.out.reg != 14:
				p.defCFA(off)
			case c.out.off != off:
				p.defOffset(off)
			}
			return
		}
		if c.out == c.in {
			return
		}
		c.out = c.in
		p.str("\t.cfi_def_cfa ")
		p.int(int64(c.in.reg))
		p.str(", ")
		p.int(c.in.off)
		p.byte('\n')
	case ".cfi_remember_state":
		c.outStack = append(c.outStack, c.out)
		p.line(st.text)
	case ".cfi_restore_state":
		p.line(st.text)
		if n := len(c.outStack); n > 0 {
			c.out = c.outStack[n-1]
			c.outStack = c.outStack[:n-1]
		}
		if c.in.reg == 7 && c.in.off-e.delta != c.out.off && c.out.reg == 14 {
			p.defOffset(c.in.off - e.delta)
		}
	case ".cfi_rel_offset":
		r, o := cutComma(args)
		n, ok := parseNum(o)
		if !ok {
			p.fail(st, "operands not understood")
			return
		}
		p.str("\t.cfi_offset ")
		p.str(r)
		p.str(", ")
		p.int(n - c.in.off)
		p.byte('\n')
	case ".cfi_escape":
		c.out.reg = c.in.reg
		if c.in.reg == 7 {
			c.out.reg = 14
		}
		p.line(st.text)
	default:
		p.line(st.text)
	}
}

// planRun looks ahead from an adjustment of the stack and finds the run of
// straight-line code in which r14 moves once.
func (p *pass) planRun(e *emitter, i int) {
	u := &p.unit
	rel, low := int64(0), e.delta
	last := i
	for j := i; j < len(u.stmts); j++ {
		st := &u.stmts[j]
		if st.block >= 0 && j > i || st.kind == kDir && sectionDirective(st.op) {
			break
		}
		if st.kind != kInstr {
			continue
		}
		if st.eff == effAdd {
			rel += st.val
			last = j
			low = min(low, rel)
			continue
		}
		if st.eff == effNone || st.eff == effSave {
			switch st.class {
			case cCall, cJmp, cJcc, cRet, cEnd, cSyscall:
			default:
				continue
			}
		}
		break
	}
	e.runLast = last
	p.moveSP(e, low-e.delta)
}

// disp prints a displacement that is off more than o's.
func (p *pass) disp(o *operand, off int64) {
	if o.numeric {
		if n := o.num + off; n != 0 {
			p.int(n)
		}
		return
	}
	p.str(o.disp)
	if off > 0 {
		p.byte('+')
	}
	if off != 0 {
		p.int(off)
	}
}

// mem prints a memory operand that is accessed.
func (p *pass) mem(e *emitter, o *operand) {
	if o.base.class() == classIP {
		p.str(o.disp)
		p.str("(%rip)")
		return
	}
	if p.opt.native {
		if o.seg != noReg {
			p.str("%fs:")
		}
		p.addr(e, o)
		return
	}
	off := int64(0)
	base := o.base
	if base == rsp {
		base, off = r14, -e.delta
	}
	p.str("%gs:")
	if base == noReg && o.index == noReg {
		p.str(o.disp)
		p.str("(,%eiz,1)")
		return
	}
	p.disp(o, off)
	p.byte('(')
	if base != noReg {
		p.str(names32[base.num()])
	}
	if o.index != noReg {
		p.byte(',')
		if o.index.class() == classZero {
			p.str("%eiz")
		} else {
			p.str(names32[o.index.num()])
		}
		if o.scale != 0 {
			p.byte(',')
			p.byte(o.scale)
		}
	}
	p.byte(')')
}

// addr prints a memory operand whose address alone is used.
func (p *pass) addr(e *emitter, o *operand) {
	if o.base == noReg && o.index == noReg {
		p.str(o.disp)
		return
	}
	off := int64(0)
	base := o.base
	if base == rsp {
		base, off = r14, -e.delta
	}
	p.disp(o, off)
	p.byte('(')
	switch base.class() {
	case class64:
		p.str(names64[base.num()])
	case class32:
		p.str(names32[base.num()])
	case classIP:
		p.str("%rip")
	}
	if o.index != noReg {
		p.byte(',')
		switch {
		case o.index == classZero:
			p.str("%riz")
		case o.index.class() == classZero:
			p.str("%eiz")
		case o.index.class() == class32:
			p.str(names32[o.index.num()])
		default:
			p.str(names64[o.index.num()])
		}
		if o.scale != 0 {
			p.byte(',')
			p.byte(o.scale)
		}
	}
	p.byte(')')
}

// stack prints the memory operand of native rsp + off.
func (p *pass) stack(e *emitter, off int64) {
	if !p.opt.native {
		p.str("%gs:")
	}
	if n := off - e.delta; n != 0 {
		p.int(n)
	}
	if p.opt.native {
		p.str("(%r14)")
	} else {
		p.str("(%r14d)")
	}
}

// operand prints any operand of a plain instruction. sp is the register that
// stands for rsp as a value.
func (p *pass) operand(e *emitter, o *operand, sp reg) {
	switch o.kind {
	case opMem:
		p.mem(e, o)
	case opReg:
		if o.reg.is(rsp) {
			p.str((o.reg.class() | reg(sp.num())).name())
			return
		}
		p.str(o.text)
	default:
		p.str(o.text)
	}
}

func isGOT(o *operand) bool {
	return o.kind == opMem && o.base == rip && strings.Contains(o.disp, "@GOTPCREL")
}

// prefixText prints the prefixes that an ordinary instruction may keep.
func (p *pass) prefixText(st *stmt) bool {
	f := st.pfx &^ (pfxNotrack | pfxBnd)
	if f == 0 {
		return true
	}
	if f&pfxLock != 0 {
		p.str("lock ")
	}
	if f&pfxRep != 0 {
		// rep bsf and rep bsr are tzcnt and lzcnt under another name.
		switch {
		case strings.HasPrefix(st.op, "bsf"):
			st.op = "tzcnt" + st.op[3:]
		case strings.HasPrefix(st.op, "bsr"):
			st.op = "lzcnt" + st.op[3:]
		case f&pfxLock != 0: // xrelease lock
		default:
			return false
		}
	}
	if f&pfxRepne != 0 && f&pfxLock == 0 {
		return false
	}
	return f&(pfxData16|pfxRex) == 0
}

// emitOps prints the operands and ends the line.
func (p *pass) emitOps(e *emitter, ops []operand, sp reg) {
	for k := range ops {
		if k > 0 {
			p.str(", ")
		}
		p.operand(e, &ops[k], sp)
	}
	p.byte('\n')
}

// instruction transforms one instruction.
func (p *pass) instruction(e *emitter, i int, st *stmt) {
	u := &p.unit
	ops := u.operands(st)
	if st.class == cRefuse {
		return // reported
	}
	if st.pfx&pfxLock != 0 && !lockable(st.op, ops) {
		p.fail(st, "lock is for instructions that read, change and write back memory")
		return
	}
	if st.eff == effAdd && e.runLast < i {
		p.planRun(e, i)
	}
	if u.usesR11 {
		p.trackR11(e, i, st, ops)
	}
	switch st.class {
	case cRet:
		p.ret(e, st, ops)
	case cCall:
		p.call(e, st, &ops[0])
	case cJmp:
		if !p.dispatch(e, i, &ops[0]) {
			p.jump(e, i, st, &ops[0])
		}
	case cJcc:
		if p.target(i, &ops[0]) < 0 && (e.st.dyn || e.st.depth != 0) {
			p.fail(st, "a conditional jump out of the function while it has a frame")
		}
		p.line(st.text)
	case cEndbr:
		if p.cfi.lastCall && !p.opt.native {
			p.str("\t.p2align\t5\n")
		} else if p.cfi.lastCall {
			p.line("endbr64")
		}
	case cSyscall:
		if p.opt.native {
			p.line("syscall")
			break
		}
		p.line("movl\t$0x18000, %r11d")
		p.indirect(e, "call", r11)
	case cLeave:
		p.leave(e, st)
	case cPush:
		p.push(e, st, &ops[0])
	case cPop:
		p.pop(e, st, &ops[0])
	case cLea:
		p.lea(e, i, st, ops)
	case cString:
		p.stringOp(e, st, ops)
	case cMovabs:
		p.movabs(e, st, ops)
	case cPause:
		p.line("pause")
	case cRdtscp:
		// Without the processor's number.
		p.line("rdtsc")
		p.line("movl\t$0, %ecx")
	case cNop:
		if st.pfx&pfxRep != 0 {
			p.line("pause")
			break
		}
		if st.nops == 0 {
			p.line(st.text)
			break
		}
		p.str("\tnopl\t(%rax)\n")
	default:
		if st.eff != effNone {
			p.stackOp(e, st, ops)
			break
		}
		p.plain(e, st, ops)
	}
	if st.eff != effNone || st.lostFP {
		if why := p.step(&e.st, st); why != "" {
			p.fail(st, why)
		}
	}
	switch st.eff {
	case effAdd:
		e.delta -= st.val
		if e.runLast == i {
			p.moveSP(e, e.st.hole()-e.delta)
			e.runLast = -1
		}
	}
}

// What the emitter knows of r11, which the pass uses as scratch and
// hand-written assembly may use between.
const (
	r11Unknown = iota // at the start of a block
	r11Theirs         // written by the program in this block
	r11Ours           // overwritten by the pass
)

// clobber notes that the code emitted for a statement overwrites r11.
func (p *pass) clobber(e *emitter, st *stmt) {
	e.r11 = r11Ours
	if st.class != cCall { // a call destroys r11 natively too
		e.r11Lost = true
	}
}

// trackR11 follows the program's own use of r11. It comes before the
// statement is emitted.
func (p *pass) trackR11(e *emitter, i int, st *stmt, ops []operand) {
	read, write := false, false
	for k := range ops {
		o := &ops[k]
		switch {
		case o.kind == opMem && (o.base.is(r11) || o.index.is(r11)):
			read = true
		case o.kind == opReg && o.reg.is(r11):
			whole := o.reg.class() == class64 || o.reg.class() == class32
			if k == len(ops)-1 && whole && (st.class == cMov || st.class == cLea || st.class == cMovabs || st.class == cPop || strings.HasPrefix(st.op, "movz") || strings.HasPrefix(st.op, "movs")) {
				write = true
			} else if st.op != "xor" && st.op != "xorl" && st.op != "xorq" || len(ops) != 2 || ops[0].reg != ops[1].reg {
				read = true
			} else {
				write = true
			}
		}
	}
	if read {
		switch e.r11 {
		case r11Ours:
			p.fail(st, "r11 was overwritten by the pass before this use: take another register")
		case r11Unknown:
			e.r11Reads = append(e.r11Reads, int32(i))
		}
	}
	if write {
		e.r11 = r11Theirs
	}
}

// plain prints an instruction that keeps its mnemonic.
func (p *pass) plain(e *emitter, st *stmt, ops []operand) {
	sp := reg(r14)
	memAt := -1
	simple := st.pfx == 0
	for k := range ops {
		o := &ops[k]
		switch o.kind {
		case opMem:
			if memAt >= 0 {
				p.fail(st, "operands not understood")
				return
			}
			memAt = k
			simple = false
		case opReg:
			if o.reg.is(rsp) {
				simple = false
				if e.delta != 0 {
					// rsp as a value is not r14 here.
					p.lea14(-e.delta, "%r11")
					p.clobber(e, st)
					sp = r11
				}
			}
		}
	}
	if st.op[0] == 'v' && st.class == cPlain {
		// llvm-mc would take an AVX-512 form where AVX has none.
		simple = false
	}
	if simple {
		p.line(st.text)
		return
	}
	if memAt >= 0 && ops[memAt].seg == fs && !p.opt.native {
		p.threadLocal(e, st, ops, memAt)
		return
	}
	if memAt >= 0 && ops[memAt].base == rsp {
		if k := highByte(ops); k >= 0 {
			p.high(e, st, ops, memAt, k)
			return
		}
	}
	start := len(p.out)
	p.byte('\t')
	if !p.prefixText(st) {
		p.out = p.out[:start]
		p.fail(st, "this prefix is not supported here")
		return
	}
	// A pointer from the GOT is a 32-bit offset; the REX prefix keeps the
	// length of the native instruction.
	if memAt == 0 && st.class == cMov && len(ops) == 2 && isGOT(&ops[0]) && ops[1].kind == opReg && ops[1].reg.class() == class64 && !p.opt.native {
		if ops[1].reg.num() < 8 {
			p.str("{rex} ")
		}
		p.str("movl\t")
		p.str(ops[0].disp)
		p.str("(%rip), ")
		p.str(names32[ops[1].reg.num()])
		p.byte('\n')
		return
	}
	if st.op[0] == 'v' && st.class == cPlain {
		p.str("{vex} ")
	}
	if memAt >= 0 && e.far(&ops[memAt]) && !p.opt.native {
		p.str("{disp32} ")
	}
	p.str(st.op)
	p.byte('\t')
	p.emitOps(e, ops, sp)
}

// highByte finds an operand like %ah, or -1.
func highByte(ops []operand) int {
	for k := range ops {
		if ops[k].kind == opReg && ops[k].reg.class() == class8h {
			return k
		}
	}
	return -1
}

// high prints an instruction with %ah or the like and a memory operand that
// needs a REX prefix in its sandboxed form, which excludes %ah: the low byte
// takes its place for the time of the instruction. Neither xchg nor lea
// changes flags.
func (p *pass) high(e *emitter, st *stmt, ops []operand, memAt, k int) {
	m := ops[memAt]
	if m.index != noReg {
		// The index may be the register that is swapped.
		p.str("\tleaq\t")
		m.seg = noReg
		p.addr(e, &m)
		p.str(", %r11\n")
		p.clobber(e, st)
		m = operand{kind: opMem, base: r11, numeric: true}
	}
	lo, hi := names8[ops[k].reg.num()], ops[k].text
	swap := func() {
		p.str("\txchgb\t")
		p.str(lo)
		p.str(", ")
		p.str(hi)
		p.byte('\n')
	}
	if st.pfx&^(pfxNotrack|pfxBnd) != 0 && st.pfx != pfxLock {
		p.fail(st, "this prefix is not supported here")
		return
	}
	swap()
	p.byte('\t')
	p.prefixText(st)
	p.str(st.op)
	p.byte('\t')
	for j := range ops {
		if j > 0 {
			p.str(", ")
		}
		switch j {
		case k:
			p.str(lo)
		case memAt:
			p.mem(e, &m)
		default:
			p.operand(e, &ops[j], r14)
		}
	}
	p.byte('\n')
	swap()
}

// threadLocal transforms a memory operand relative to the thread pointer.
func (p *pass) threadLocal(e *emitter, st *stmt, ops []operand, k int) {
	o := &ops[k]
	if o.base.class() == classIP {
		p.fail(st, "a thread-local operand relative to rip can't be sandboxed")
		return
	}
	// mov %fs:0, %reg is the thread pointer itself.
	if st.class == cMov && k == 0 && len(ops) == 2 && o.base == noReg && o.index == noReg && o.numeric && o.num == 0 &&
		ops[1].kind == opReg && ops[1].reg.class() == class64 && !ops[1].reg.is(rsp) {
		p.byte('\t')
		if ops[1].reg.num() < 8 {
			p.str("{rex} ")
		}
		p.str("movl\t%fs:0x10, ")
		p.str(names32[ops[1].reg.num()])
		p.byte('\n')
		return
	}
	for j := range ops {
		if ops[j].reg.is(r11) || ops[j].base.is(r11) || ops[j].index.is(r11) || ops[j].rsp() {
			p.fail(st, "r11 is needed for the thread pointer here")
			return
		}
	}
	p.line("movl\t%fs:0x10, %r11d")
	p.clobber(e, st)
	n := *o
	n.seg = noReg
	if o.numeric && o.num == 0 && o.base == noReg && o.index == noReg && st.class != cPush {
		// The word at %fs:0 is the thread pointer: an operation with it takes
		// the register. Writing it is the C library's own affair.
		if k == 0 && len(ops) == 2 {
			p.byte('\t')
			p.str(st.op)
			p.str("\t%r11, ")
			p.operand(e, &ops[1], r14)
			p.byte('\n')
			return
		}
	}
	switch {
	case n.base == noReg:
		n.base = r11
	case n.index == noReg:
		n.index = n.base
		n.base = r11
		if n.index == rsp {
			p.fail(st, "a thread-local operand relative to the stack can't be sandboxed")
			return
		}
	default:
		p.str("\tleaq\t(%r11,")
		p.str(names64[n.base.num()])
		p.str("), %r11\n")
		n.base = r11
	}
	if h := highByte(ops); h >= 0 {
		if n.index != noReg {
			p.str("\tleaq\t")
			p.addr(e, &n)
			p.str(", %r11\n")
			n = operand{kind: opMem, base: r11, numeric: true}
		}
		t := slices.Clone(ops)
		t[k] = n
		p.high(e, st, t, k, h)
		return
	}
	start := len(p.out)
	p.byte('\t')
	if !p.prefixText(st) {
		p.out = p.out[:start]
		p.fail(st, "this prefix is not supported here")
		return
	}
	p.str(st.op)
	p.byte('\t')
	for j := range ops {
		if j > 0 {
			p.str(", ")
		}
		if j == k {
			p.mem(e, &n)
		} else {
			p.operand(e, &ops[j], r14)
		}
	}
	p.byte('\n')
}

// indirect prints the unit that branches to the sandbox address in r.
func (p *pass) indirect(e *emitter, how string, r reg) {
	if p.opt.native {
		p.byte('\t')
		p.str(how)
		p.str("\t*")
		p.str(names64[r.num()])
		p.byte('\n')
		return
	}
	p.str("\t.bundle_lock\n\tandl\t$-32, ")
	p.str(names32[r.num()])
	p.str("\n\taddq\t%r15, ")
	p.str(names64[r.num()])
	p.str("\n\t")
	p.str(how)
	p.str("\t*")
	p.str(names64[r.num()])
	p.str("\n\t.bundle_unlock\n")
}

// inPlace reports whether the register that an indirect branch goes through
// may be masked itself, because nobody reads it behind the branch.
func (p *pass) inPlace(e *emitter, st *stmt, o *operand) bool {
	if o.kind != opReg || o.reg.is(rsp) || o.reg.is(r14) || o.reg.is(r11) {
		return false
	}
	// rax is neither an argument nor kept; only a variadic function reads it
	// (al), and then the target is not in it.
	if st.class == cCall {
		return o.reg.is(rax)
	}
	local := st.pfx&pfxNotrack != 0 || e.st.dyn || e.st.depth != 0
	switch {
	case local:
		return p.dead(o.reg.num(), st.pfx&pfxNotrack != 0)
	case !p.unit.hasTaken:
		return o.reg.is(rax)
	}
	return o.reg.is(rax) && p.dead(0, false)
}

// loadTarget puts the target of an indirect branch into r11.
func (p *pass) loadTarget(e *emitter, st *stmt, o *operand) {
	if o.kind == opReg {
		if o.reg.is(r11) {
			return
		}
		if o.reg.is(rsp) {
			p.fail(st, "can't branch to the stack")
			return
		}
		if p.opt.native {
			p.str("\tmovq\t")
			p.str(names64[o.reg.num()])
			p.str(", %r11\n")
		} else {
			p.str("\tmovl\t")
			p.str(names32[o.reg.num()])
			p.str(", %r11d\n")
		}
		p.clobber(e, st)
		return
	}
	ops := [2]operand{*o, {kind: opReg, reg: r11, text: "%r11"}}
	ops[0].star = false
	if o.seg == fs && !p.opt.native {
		p.fail(st, "can't branch through thread-local memory directly")
		return
	}
	mv := stmt{op: "movq", class: cMov, kind: kInstr, text: st.text, line: st.line, mark: st.mark}
	p.plain(e, &mv, ops[:])
	p.clobber(e, st)
}

// symbolOf returns the symbol of foo@GOTPCREL.
func symbolOf(disp string) string {
	i := strings.IndexByte(disp, '@')
	return disp[:i]
}

func (p *pass) call(e *emitter, st *stmt, o *operand) {
	if o.kind == opLabel {
		p.str("\tcall\t")
		p.str(o.text)
		p.byte('\n')
		name := o.disp
		if i := strings.IndexByte(name, '@'); i > 0 {
			name = name[:i]
		}
		if returnsTwice[name] && !p.opt.native {
			p.str("\t.p2align\t5\n")
		}
		return
	}
	if isGOT(o) {
		p.str("\tcall\t")
		p.str(symbolOf(o.disp))
		p.str("@PLT\n")
		return
	}
	if p.inPlace(e, st, o) {
		p.indirect(e, "call", o.reg)
		return
	}
	p.loadTarget(e, st, o)
	p.indirect(e, "call", r11)
}

func (p *pass) jump(e *emitter, i int, st *stmt, o *operand) {
	if o.kind == opLabel || isGOT(o) {
		if o.kind != opLabel || p.target(i, o) < 0 {
			// A tail call: the frame is gone.
			switch {
			case e.st.dyn:
				save := p.cfi.out
				p.moveSP(e, 8)
				p.cfaHere(0)
				defer p.cfaBack(save)
			case e.st.depth != 0:
				p.fail(st, "a jump out of the function while it has a frame of "+strconv.FormatInt(e.st.depth, 10)+" bytes")
			}
		}
		p.str("\tjmp\t")
		if o.kind == opLabel {
			p.str(o.text)
		} else {
			p.str(symbolOf(o.disp))
			p.str("@PLT")
		}
		p.byte('\n')
		return
	}
	if p.inPlace(e, st, o) {
		p.indirect(e, "jmp", o.reg)
		return
	}
	p.loadTarget(e, st, o)
	p.indirect(e, "jmp", r11)
}

// dispatch replaces a direct jump to a short block that ends in a jump through
// a table, as at the end of a case of a switch in a loop, by a copy of the
// block: one jump less, and an indirect jump for each case, which the CPU
// predicts better than a common one.
func (p *pass) dispatch(e *emitter, i int, o *operand) bool {
	u := &p.unit
	if o.kind != opLabel || o.disp[0] != '.' || u.tables == 0 || p.opt.native {
		return false
	}
	t := p.target(i, o)
	if t < 0 || u.stmts[t].block < 0 || u.blocks[u.stmts[t].block].in != e.st {
		return false
	}
	n, end := 0, -1
	for k := int(t); k < len(u.stmts) && end < 0; k++ {
		st := &u.stmts[k]
		switch st.kind {
		case kLabel:
			continue
		case kRaw:
			return false
		case kDir:
			if sectionDirective(st.op) || strings.HasPrefix(st.op, ".cfi_") {
				return false
			}
			continue
		}
		n++
		if n > 8 || st.eff != effNone || st.lostFP {
			return false
		}
		for _, o := range u.operands(st) {
			if _, _, local := numericRef(o.disp); local {
				return false // means another label in another place
			}
		}
		switch st.class {
		case cJmp:
			if !u.ops[st.ops].star || st.pfx&pfxNotrack == 0 {
				return false
			}
			end = k
		case cJcc:
			if c := u.ops[st.ops].disp; c == "" || c[0] != '.' {
				return false
			}
		case cPlain, cMov, cMovabs, cLea, cAdd, cSub, cAnd, cCmp:
			if m := &u.ops[st.ops]; st.class == cLea && tlsKind(m.disp) != 0 {
				return false
			}
		default:
			return false
		}
	}
	if end < 0 || u.copies >= 200 {
		return false
	}
	u.copies++
	for k := int(t); k <= end; k++ {
		if st := &u.stmts[k]; st.kind == kInstr {
			p.instruction(e, k, st)
		}
	}
	return true
}

func (p *pass) ret(e *emitter, st *stmt, ops []operand) {
	n := int64(0)
	if len(ops) == 1 {
		n = ops[0].num
	}
	if e.st.dyn {
		n += 8
	} else if e.st.depth != 0 {
		p.fail(st, "a return while "+strconv.FormatInt(e.st.depth, 10)+" bytes are on the stack")
	}
	if n != 0 {
		save := p.cfi.out
		p.moveSP(e, n)
		if e.st.dyn {
			p.cfaHere(0)
		}
		p.line("ret")
		p.cfaBack(save)
		return
	}
	p.line("ret")
}

// cfaBack returns to the CFA rule from before a return or tail jump.
func (p *pass) cfaBack(s cfaState) {
	c := &p.cfi
	if !c.active || c.out == s || s.reg <= 0 {
		return
	}
	c.out = s
	p.str("\t.cfi_def_cfa ")
	p.int(int64(s.reg))
	p.str(", ")
	p.int(s.off)
	p.byte('\n')
}

func (p *pass) leave(e *emitter, st *stmt) {
	after := e.st
	p.step(&after, st)
	p.str("\tleaq\t")
	p.int(8 + after.hole())
	p.str("(%rbp), %r14\n")
	if after.hole() != 0 {
		p.cfaHere(0)
	}
	if p.opt.native {
		p.line("movq\t(%rbp), %rbp")
	} else {
		p.line("movq\t%gs:(%ebp), %rbp")
	}
	e.delta = after.hole()
}

func (p *pass) push(e *emitter, st *stmt, o *operand) {
	switch {
	case o.kind == opMem:
		p.viaR11(e, st, o)
		p.str("\tmovq\t%r11, ")
	case o.rsp():
		p.lea14(-e.delta, "%r11")
		p.str("\tmovq\t%r11, ")
		p.clobber(e, st)
	case o.kind == opReg && o.reg.class() != class64:
		p.fail(st, "operands not understood")
		return
	default:
		p.str("\tmovq\t")
		p.str(o.text)
		p.str(", ")
	}
	p.stack(e, -8)
	p.byte('\n')
}

// viaR11 loads a 64-bit memory operand into r11.
func (p *pass) viaR11(e *emitter, st *stmt, o *operand) {
	ops := [2]operand{*o, {kind: opReg, reg: r11, text: "%r11"}}
	mv := stmt{op: "movq", class: cMov, kind: kInstr, text: st.text, line: st.line, mark: st.mark}
	p.plain(e, &mv, ops[:])
	p.clobber(e, st)
}

func (p *pass) pop(e *emitter, st *stmt, o *operand) {
	if o.rsp() {
		p.fail(st, "can't change the stack pointer in this way")
		return
	}
	p.str("\tmovq\t")
	p.stack(e, 0)
	if o.kind == opMem {
		p.str(", %r11\n")
		// The address is computed with the stack pointer after the pop.
		save := e.delta
		e.delta -= 8
		ops := [2]operand{{kind: opReg, reg: r11, text: "%r11"}, *o}
		mv := stmt{op: "movq", class: cMov, kind: kInstr, text: st.text, line: st.line, mark: st.mark}
		p.plain(e, &mv, ops[:])
		e.delta = save
		p.clobber(e, st)
		return
	}
	if o.reg.class() != class64 {
		p.fail(st, "operands not understood")
		return
	}
	p.str(", ")
	p.str(o.text)
	p.byte('\n')
	if o.reg.is(rbp) && p.cfi.out.reg == 6 && !e.st.dyn {
		// The rule by way of rbp ends here.
		p.cfaHere(8 + e.st.depth - e.delta)
	}
}

// stackOp prints the instructions other than push, pop, leave and lea that
// change the stack pointer, or copy it.
func (p *pass) stackOp(e *emitter, st *stmt, ops []operand) {
	switch st.eff {
	case effAdd:
		return // part of a run
	case effSave: // mov %rsp, %reg
		if e.delta == 0 {
			p.str("\tmovq\t%r14, ")
			p.str(ops[1].text)
			p.byte('\n')
		} else {
			p.lea14(-e.delta, ops[1].text)
		}
	case effFrom:
		p.setSP(e, st)
	case effDyn:
		p.moveSP(e, -e.delta)
		p.plain(e, st, ops)
		e.delta = 0
	}
}

// setSP emits rsp = register + constant.
func (p *pass) setSP(e *emitter, st *stmt) {
	after := e.st
	p.step(&after, st)
	n := st.val + after.hole()
	switch {
	case st.val == 0 && n == 0:
		p.str("\tmovq\t")
		p.str(st.effReg.name())
		p.str(", %r14\n")
	default:
		// The native displacement is st.val: as many bytes as that takes.
		switch {
		case n == 0 && !p.opt.native:
			p.str("\t{disp8} leaq\t0")
		case st.val < -128 && n >= -128 && !p.opt.native:
			p.str("\t{disp32} leaq\t")
			p.int(n)
		default:
			p.str("\tleaq\t")
			p.int(n)
		}
		p.byte('(')
		p.str(st.effReg.name())
		p.str("), %r14\n")
	}
	e.delta = after.hole()
	if e.delta != 0 {
		p.cfaHere(0)
	}
}

// cfaHere tells the CFI that CFA is r14 + off, where the input's own
// directive comes too late.
func (p *pass) cfaHere(off int64) {
	c := &p.cfi
	if c.active && c.out.reg > 0 && (c.out.reg != 14 || c.out.off != off) {
		p.defCFA(off)
	}
}

func (p *pass) lea(e *emitter, i int, st *stmt, ops []operand) {
	if len(ops) != 2 || ops[0].kind != opMem || ops[1].kind != opReg {
		p.fail(st, "operands not understood")
		return
	}
	m, d := &ops[0], &ops[1]
	if m.seg != noReg {
		p.fail(st, "a segment means nothing here")
		return
	}
	switch st.eff {
	case effAdd:
		return
	case effFrom:
		p.setSP(e, st)
		return
	case effDyn: // lea (%rsp,%rax), %rsp and the like
		p.moveSP(e, -e.delta)
		p.str("\tleaq\t")
		p.addr(e, m)
		p.str(", %r14\n")
		e.delta = 0
		return
	}
	if m.base == rip {
		if k := tlsKind(m.disp); k != 0 {
			p.tlsCall(e, i, st, m, k)
			return
		}
		if d.reg.class() == class64 && !p.opt.native {
			p.byte('\t')
			if d.reg.num() < 8 {
				p.str("{rex} ")
			}
			p.str("leal\t")
			p.str(m.disp)
			p.str("(%rip), ")
			p.str(names32[d.reg.num()])
			p.byte('\n')
			return
		}
	}
	if st.pfx&(pfxData16|pfxRex) != 0 && !p.opt.native {
		p.fail(st, "this prefix is not supported here")
		return
	}
	p.byte('\t')
	if m.base == rsp && m.index == noReg && m.numeric && !p.opt.native {
		n := m.num - e.delta
		switch {
		case n == 0:
			p.str("{disp8} ")
		case e.far(m):
			p.str("{disp32} ")
		}
		p.str(st.op)
		p.byte('\t')
		p.int(n)
		p.str("(%r14,%riz,1), ")
	} else {
		p.str(st.op)
		p.byte('\t')
		p.addr(e, m)
		p.str(", ")
	}
	p.operand(e, d, r14)
	p.byte('\n')
}

// tlsKind recognises the first instruction of a TLS call: 1 general dynamic,
// 2 local dynamic.
func tlsKind(disp string) int {
	i := strings.IndexByte(disp, '@')
	if i < 0 {
		return 0
	}
	switch disp[i+1:] {
	case "tlsgd", "TLSGD":
		return 1
	case "tlsld", "TLSLD":
		return 2
	}
	return 0
}

// tlsCall prints a call of __tls_get_addr in the shape that the linker
// expects: it replaces the 16 (or 12) bytes of the pair blindly when it links
// a program. Postlink makes what it writes acceptable; the section
// .halite.tls tells where to look.
func (p *pass) tlsCall(e *emitter, i int, st *stmt, m *operand, kind int) {
	u := &p.unit
	j := i + 1
	for ; j < len(u.stmts); j++ {
		n := &u.stmts[j]
		if n.kind == kInstr {
			break
		}
		if n.kind == kDir && isDataDirective(n.op) {
			n.done = true
		}
		if n.block >= 0 {
			break
		}
	}
	if j >= len(u.stmts) || u.stmts[j].class != cCall {
		p.fail(st, "expected a call of __tls_get_addr")
		return
	}
	o := &u.ops[u.stmts[j].ops]
	if !strings.HasPrefix(o.disp, "__tls_get_addr") {
		p.fail(&u.stmts[j], "expected a call of __tls_get_addr")
		return
	}
	for k := i + 1; k < j; k++ { // .loc and labels between the two
		if n := &u.stmts[k]; !n.done && n.kind == kLabel {
			n.done = true
			p.label(n)
		}
	}
	u.stmts[j].done = true
	if p.opt.native {
		if kind == 1 {
			p.line(".byte 0x66")
		}
		p.str("\tleaq\t")
		p.str(m.disp)
		p.str("(%rip), %rdi\n")
		if kind == 1 {
			p.line(".value 0x6666")
			p.line("rex64")
		}
		p.line("call\t__tls_get_addr@PLT")
		return
	}
	p.tlsN++
	p.str("\t.pushsection .halite.tls,\"\",@progbits\n\t.quad\t.Lhalite_tls")
	p.int(int64(p.tlsN))
	p.str("\n\t.popsection\n.Lhalite_tls")
	p.int(int64(p.tlsN))
	p.str(":\n\t.bundle_lock\n")
	if kind == 1 {
		p.str("\tnop\n")
	}
	p.str("\t{rex} leal\t")
	p.str(m.disp)
	p.str("(%rip), %edi\n\tcall\t__tls_get_addr@PLT\n")
	if kind == 1 {
		p.str("\tnopl\t(%rax)\n")
	}
	p.str("\t.bundle_unlock\n")
}

// movabs prints the forms with a 64-bit immediate or absolute address.
func (p *pass) movabs(e *emitter, st *stmt, ops []operand) {
	if len(ops) != 2 {
		p.fail(st, "operands not understood")
		return
	}
	if ops[0].kind == opImm {
		if st.eff != effNone || ops[1].rsp() {
			p.fail(st, "can't change the stack pointer in this way")
			return
		}
		p.line(st.text)
		return
	}
	k := 0
	if ops[1].kind == opMem {
		k = 1
	}
	o := &ops[k]
	if o.kind != opMem || o.base != noReg || o.index != noReg || o.seg != noReg {
		p.fail(st, "operands not understood")
		return
	}
	p.str("\tmovabsq\t$")
	p.str(o.disp)
	p.str(", %r11\n\tmov\t")
	p.clobber(e, st)
	n := operand{kind: opMem, base: r11, numeric: true}
	if k == 0 {
		p.mem(e, &n)
		p.str(", ")
		p.operand(e, &ops[1], r14)
	} else {
		p.operand(e, &ops[0], r14)
		p.str(", ")
		p.mem(e, &n)
	}
	p.byte('\n')
}
