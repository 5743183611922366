package sfi

import "strings"

type stmtKind uint8

const (
	kDir stmtKind = iota
	kLabel
	kInstr
	kRaw // text of another section, printed as it is
)

// effect is what an instruction does to the native stack pointer.
type effect uint8

const (
	effNone  effect = iota
	effAdd          // rsp += val
	effFrom         // rsp = effReg + val
	effLeave        // rsp = rbp + 8, rbp = what was there
	effDyn          // rsp = something unknown, or rsp changes by an unknown amount
	effSave         // effReg = rsp + val
)

type stmt struct {
	text string
	op   string
	line int
	mark int32 // index of the line marker in force
	sym  int32 // label: its symbol, or -1 for a numeric one
	num  int32 // label: index of a numeric label
	ops  int32 // instruction: first operand in unit.ops
	// block is the index of the block that begins here, or -1.
	block  int32
	val    int64
	cfi    int64 // effFrom: the depth behind it by the CFI, or -1
	effReg reg
	kind   stmtKind
	nops   uint8
	pfx    uint8
	class  class
	eff    effect
	lostFP bool // changes rbp
	done   bool // already emitted as part of an earlier statement
}

// state is what is known of the stack before an instruction.
type state struct {
	depth int64 // native rsp = CFA - 8 - depth, unless dyn
	fp    int64 // rbp = CFA - fp, when fpOK
	dyn   bool  // depth unknown, but there is a hole
	fpOK  bool
}

// hole returns r14 - native rsp.
func (s *state) hole() int64 {
	if !s.dyn && s.depth == 0 {
		return 8
	}
	return 0
}

type block struct {
	start   int32
	in      state
	seen    bool
	queued  bool
	weak    state // from behind a call, which may not return
	hasWeak bool
	cfi     int64 // depth according to the CFI, or -1
}

type mark struct {
	file string
	off  int
}

type numDef struct {
	n    int
	stmt int32
}

// unit is a function with its cold part: the scope of the flow analysis.
type unit struct {
	stmts    []stmt
	ops      []operand
	blocks   []block
	work     []int32
	marks    []mark
	nums     []numDef
	name     string // of its first function label
	begun    bool   // has an instruction
	hasTaken bool   // has labels that indirect jumps may go to
	drap     reg    // holds CFA in functions that realign the stack
	usesR11  bool
	tables   int // jumps through tables
	copies   int // of blocks that end in one

	// Liveness at the labels whose address is taken, see dead.
	deadKnown, deadRegs uint32
	visit               []int32
	seenAt              []bool

	raw bool // explicit r14 is meant (.halite_raw)
}

func (u *unit) reset() {
	u.stmts = u.stmts[:0]
	u.ops = u.ops[:0]
	u.blocks = u.blocks[:0]
	u.work = u.work[:0]
	u.nums = u.nums[:0]
	if n := len(u.marks); n > 0 {
		u.marks[0] = u.marks[n-1]
		u.marks = u.marks[:1]
	}
	u.name = ""
	u.begun = false
	u.hasTaken = false
	u.drap = noReg
	u.usesR11 = false
	u.tables, u.copies = 0, 0
	u.deadKnown, u.deadRegs = 0, 0
}

func (p *pass) fail(s *stmt, msg string) {
	m := p.unit.marks[s.mark]
	file, line := p.opt.Name, s.line
	if m.file != "" {
		file, line = m.file, s.line+m.off
	}
	text := s.text
	if s.kind == kLabel {
		text += ":"
	}
	p.errorf(file, line, text, msg)
}

func isCold(name string) (parent string, ok bool) {
	i := strings.LastIndex(name, ".cold")
	if i <= 0 {
		return "", false
	}
	rest := name[i+5:]
	if rest == "" || rest[0] == '.' {
		return name[:i], true
	}
	return "", false
}

func localName(name string) bool {
	return strings.HasPrefix(name, ".L") || strings.HasPrefix(name, "\".L")
}

// entry reports whether a label begins a function.
func (p *pass) entry(i int32) bool {
	s := &p.syms[i]
	if s.flags&(symFunc|symGlobal) != 0 {
		return true
	}
	return s.flags&(symCalled|symTaken) != 0 && !localName(s.name)
}

// transform is the second reading.
func (p *pass) transform() error {
	p.lex.reset(p.src, p.opt.Name)
	p.sec.reset()
	if !p.opt.native {
		p.line(".bundle_align_mode 5")
	}
	u := &p.unit
	u.marks = append(u.marks[:0], mark{})
	u.reset()
	var pending uint8 // prefixes that stood alone
	lastFile, lastOff := "", 0
	for {
		text, line, ok := p.lex.next()
		if !ok {
			break
		}
		if p.lex.file != lastFile || p.lex.fileOff != lastOff {
			lastFile, lastOff = p.lex.file, p.lex.fileOff
			u.marks = append(u.marks, mark{lastFile, lastOff})
		}
		s := text
		for s != "" {
			if identByte[s[0]] || s[0] == '"' {
				if name, rest, ok := label(s); ok {
					s = rest
					st := stmt{kind: kLabel, text: name, line: line, sym: -1, num: -1, block: -1, mark: int32(len(u.marks) - 1)}
					if n, isNum := numeric(name); isNum {
						st.num = p.numN
						p.numN++
						if p.sec.cur.exec {
							u.nums = append(u.nums, numDef{n, int32(len(u.stmts))})
						} else {
							st.kind = kRaw
							st.text = text[:len(text)-len(rest)]
							if i := len(text) - len(rest); i >= 0 {
								st.text = name + ":"
							}
						}
						u.stmts = append(u.stmts, st)
						continue
					}
					if !p.sec.cur.exec {
						st.kind, st.text = kRaw, name+":"
						u.stmts = append(u.stmts, st)
						continue
					}
					st.sym = p.sym(name)
					if p.entry(st.sym) {
						parent, cold := isCold(name)
						if !(cold && parent == u.name) {
							if u.begun {
								if err := p.flush(); err != nil {
									return err
								}
								st.mark = int32(len(u.marks) - 1)
							}
							if u.name == "" {
								u.name = name
							}
						}
					}
					sy := &p.syms[st.sym]
					sy.unit, sy.stmt = p.unitN, int32(len(u.stmts))
					u.stmts = append(u.stmts, st)
					continue
				}
			}
			w, rest := word(s)
			st := stmt{text: s, line: line, sym: -1, num: -1, block: -1, mark: int32(len(u.marks) - 1)}
			if w[0] == '.' && prefixes[w] == 0 {
				st.op = w
				wasExec := p.sec.cur.exec
				if p.sec.directive(w, rest) {
					u.stmts = append(u.stmts, st)
					break
				}
				if w == ".halite_raw" {
					if rest != "" && rest != "on" && rest != "off" {
						p.fail(&st, "expected on or off")
					}
					u.raw = rest != "off"
					break
				}
				if !wasExec {
					st.kind = kRaw
					if why := refusedDirective(w); why != "" && w != ".incbin" {
						p.fail(&st, why)
					}
				}
				u.stmts = append(u.stmts, st)
				break
			}
			if i := strings.IndexByte(s, '='); i > 0 && assignment(s, i) {
				st.op = "="
				if !p.sec.cur.exec {
					st.kind = kRaw
				}
				u.stmts = append(u.stmts, st)
				break
			}
			if !p.sec.cur.exec {
				p.fail(&st, "instruction in section "+p.sec.cur.name+", which is not executable")
				break
			}
			st.kind = kInstr
			st.pfx = pending
			pending = 0
			if alone := p.parse(&st, s); alone {
				pending = st.pfx
				break
			}
			u.begun = true
			if st.class == cJmp && st.pfx&pfxNotrack != 0 {
				u.tables++
			}
			u.stmts = append(u.stmts, st)
			break
		}
	}
	if pending != 0 {
		p.errorf(p.opt.Name, p.lex.line, "", "a prefix without an instruction at the end of the file")
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.writeOut()
}

// assignment reports whether the '=' at i belongs to "symbol = expression".
func assignment(s string, i int) bool {
	n := trim(s[:i])
	if n == "" {
		return false
	}
	for k := 0; k < len(n); k++ {
		if !identByte[n[k]] {
			return false
		}
	}
	return true
}

// parse reads an instruction. alone reports a prefix without instruction.
func (p *pass) parse(st *stmt, s string) (alone bool) {
	u := &p.unit
	w, rest := word(s)
	for {
		f, ok := prefixes[w]
		if !ok {
			break
		}
		st.pfx |= f
		if rest == "" {
			return true
		}
		s = rest
		w, rest = word(s)
	}
	// "lock;" leaves its prefix for this statement; the text keeps only the
	// instruction.
	st.text = s
	st.op = w
	m, ok := mnemonics()[w]
	if !ok {
		if l := strings.ToLower(w); l != w {
			m, ok = mnemonics()[l]
			st.op = l
		}
	}
	st.class = m.class
	if m.as != "" {
		st.op = m.as
	}
	st.ops = int32(len(u.ops))
	if !ok {
		st.class = cRefuse
		p.fail(st, "unknown instruction")
		return false
	}
	if m.class == cRefuse {
		p.fail(st, m.why)
		return false
	}
	// Operands.
	depth, start := 0, 0
	add := func(t string) {
		t = trim(t)
		var o operand
		branch := st.class == cCall || st.class == cJmp || st.class == cJcc
		if branch && t != "" && t[0] != '*' && t[0] != '%' {
			o = operand{kind: opLabel, text: t, disp: t}
		} else if why := parseOperand(t, &o); why != "" {
			p.fail(st, t+": "+why)
			st.class = cRefuse
		}
		u.ops = append(u.ops, o)
		st.nops++
	}
	if rest != "" {
		for i := 0; i < len(rest); i++ {
			switch rest[i] {
			case '(':
				depth++
			case ')':
				depth--
			case '"':
				e := strings.IndexByte(rest[i+1:], '"')
				if e < 0 {
					i = len(rest)
				} else {
					i += e + 1
				}
			case ',':
				if depth == 0 {
					add(rest[start:i])
					start = i + 1
				}
			}
		}
		if st.nops < 6 {
			add(rest[start:])
		}
	}
	if st.class == cRefuse {
		return false
	}
	if m.two && st.nops > 2 || !p.knownForm(st) {
		p.fail(st, "no instruction of the baseline and AVX2 has these operands")
		st.class = cRefuse
		return false
	}
	p.classify(st)
	return false
}

// knownForm refuses combinations of operands that only instruction sets beyond
// the ABI have (APX, TBM); AVX-512 is kept away by {vex}, see plain.
func (p *pass) knownForm(st *stmt) bool {
	ops := p.unit.operands(st)
	n := len(ops)
	base := strings.TrimRight(st.op, "bwlq")
	switch {
	case n < 2 || st.class != cPlain:
		return true
	case base == "imu": // imul, without what was taken for a suffix
		return n == 2 || n == 3 && ops[0].kind == opImm
	case strings.HasPrefix(st.op, "shld") || strings.HasPrefix(st.op, "shrd"):
		return n == 2 || n == 3 && (ops[0].kind == opImm || ops[0].reg == class8|1)
	case n == 2 && among(st.op, unaryStems):
		return false
	case n == 2 && among(st.op, shiftStems):
		return ops[0].kind == opImm || ops[0].kind == opReg && ops[0].reg == class8|1
	case base == "bextr":
		return ops[0].kind != opImm
	case strings.HasPrefix(st.op, "movbe"):
		return ops[0].kind == opMem || ops[1].kind == opMem
	}
	return true
}

func (u *unit) operands(st *stmt) []operand {
	return u.ops[st.ops : st.ops+int32(st.nops)]
}

// classify works out the effect on the stack and refuses what can't be done.
func (p *pass) classify(st *stmt) {
	u := &p.unit
	ops := u.operands(st)
	n := len(ops)
	for i := range ops {
		o := &ops[i]
		r := o.reg
		switch {
		case o.kind == opReg && (r.class() == classIP || r.class() == classZero):
			p.fail(st, "operands not understood: this register can't be named")
			st.class = cRefuse
			return
		case o.kind == opReg && (r.class() == classSeg):
			p.fail(st, "segment registers belong to the sandbox")
			st.class = cRefuse
			return
		case o.kind == opReg && r.is(r15), o.kind == opMem && (o.base.is(r15) || o.index.is(r15)):
			p.fail(st, "r15 belongs to the sandbox")
			st.class = cRefuse
			return
		case o.kind == opReg && r.is(r14), o.kind == opMem && (o.base.is(r14) || o.index.is(r14)):
			if !u.raw {
				p.fail(st, "r14 is the data stack pointer (use %rsp, or .halite_raw)")
				st.class = cRefuse
				return
			}
		case o.kind == opMem && o.seg != noReg:
			switch o.seg {
			case fs:
			case ds, ss:
				o.seg = noReg
			case es:
				if st.class == cString && o.base.is(rdi) {
					o.seg = noReg
					continue
				}
				p.fail(st, "segment registers belong to the sandbox")
				st.class = cRefuse
				return
			default:
				p.fail(st, "segment registers belong to the sandbox")
				st.class = cRefuse
				return
			}
		}
		if r.is(r11) || o.base.is(r11) || o.index.is(r11) {
			u.usesR11 = true
		}
		if o.base == eip {
			p.fail(st, "eip-relative operands can't be sandboxed")
			st.class = cRefuse
			return
		}
		if o.base == class32|4 {
			o.base = rsp
		}
	}
	switch st.class {
	case cString:
		p.classifyString(st, ops)
		return
	case cBt:
		if n == 2 && ops[1].kind == opMem && ops[0].kind == opReg {
			p.fail(st, "a bit string in memory with its index in a register can't be sandboxed")
			st.class = cRefuse
		}
	case cPush:
		st.eff, st.val = effAdd, -8
		if n != 1 {
			p.fail(st, "operands not understood")
			st.class = cRefuse
		}
		return
	case cPop:
		st.eff, st.val = effAdd, 8
		if n != 1 || ops[0].kind == opImm {
			p.fail(st, "operands not understood")
			st.class = cRefuse
			return
		}
		if ops[0].kind == opReg {
			if ops[0].reg.is(rsp) {
				st.eff = effDyn
			}
			st.lostFP = ops[0].reg.is(rbp)
		}
		return
	case cLeave:
		st.eff = effLeave
		return
	case cRet:
		if n > 1 || n == 1 && (ops[0].kind != opImm || !ops[0].numeric) {
			p.fail(st, "operands not understood")
			st.class = cRefuse
		}
		return
	case cCall, cJmp:
		if n != 1 {
			p.fail(st, "operands not understood")
			st.class = cRefuse
			return
		}
		o := &ops[0]
		if o.kind == opReg && !o.star {
			o.star = true
		}
		if o.kind == opReg && o.reg.class() != class64 {
			p.fail(st, "operands not understood")
			st.class = cRefuse
		}
		if st.pfx&^(pfxNotrack|pfxBnd) != 0 && !strings.HasPrefix(o.disp, "__tls_get_addr") {
			p.fail(st, "this prefix is not supported here")
			st.class = cRefuse
		}
		return
	case cJcc:
		if n != 1 || ops[0].kind != opLabel {
			p.fail(st, "operands not understood")
			st.class = cRefuse
		}
		return
	case cCmp, cNop, cPrefetch:
		return
	case cXchg:
		for i := range ops {
			if ops[i].rsp() {
				p.fail(st, "the stack pointer can't be exchanged")
				st.class = cRefuse
				return
			}
			if ops[i].kind == opReg && ops[i].reg.is(rbp) {
				st.lostFP = true
			}
		}
		return
	}
	if n == 0 {
		return
	}
	last := &ops[n-1]
	if last.kind == opReg && last.reg.is(rbp) {
		st.lostFP = true
	}
	if !last.rsp() {
		// rsp as a source.
		if n == 2 && last.kind == opReg && last.reg.class() == class64 {
			switch {
			case st.class == cMov && ops[0].rsp():
				st.eff, st.effReg, st.val = effSave, last.reg, 0
			case st.class == cLea && ops[0].base == rsp && ops[0].index == noReg && ops[0].numeric:
				st.eff, st.effReg, st.val = effSave, last.reg, ops[0].num
			}
		}
		return
	}
	if last.reg != rsp {
		p.fail(st, "a part of the stack pointer can't be written")
		st.class = cRefuse
		return
	}
	src := &ops[0]
	switch {
	case n != 2:
	case (st.class == cAdd || st.class == cSub) && src.kind == opImm && src.numeric:
		st.eff, st.val = effAdd, src.num
		if st.class == cSub {
			st.val = -src.num
		}
		return
	case st.class == cAdd, st.class == cSub, st.class == cAnd:
		st.eff = effDyn
		return
	case st.class == cMov && src.kind == opReg && src.reg.class() == class64:
		st.eff, st.effReg, st.val = effFrom, src.reg, 0
		return
	case st.class == cMov && src.kind == opMem:
		st.eff = effDyn
		return
	case st.class == cLea && src.index == noReg && src.numeric && src.base.class() == class64:
		if src.base == rsp {
			st.eff, st.val = effAdd, src.num
		} else {
			st.eff, st.effReg, st.val = effFrom, src.base, src.num
		}
		return
	case st.class == cLea && src.kind == opMem:
		st.eff = effDyn
		return
	}
	p.fail(st, "can't change the stack pointer in this way")
	st.class = cRefuse
}

// target finds the statement in this unit that a direct branch goes to, or -1.
func (p *pass) target(from int, o *operand) int32 {
	name := o.disp
	if name == "" {
		return -1
	}
	if name[0] >= '0' && name[0] <= '9' {
		n, forward, ok := numericRef(name)
		if !ok {
			return -1
		}
		if forward {
			for i := range p.unit.nums {
				if d := &p.unit.nums[i]; d.n == n && int(d.stmt) > from {
					return d.stmt
				}
			}
			return -1
		}
		best := int32(-1)
		for i := range p.unit.nums {
			if d := &p.unit.nums[i]; d.n == n && int(d.stmt) <= from {
				best = d.stmt
			}
		}
		return best
	}
	if i := strings.IndexByte(name, '@'); i > 0 {
		name = name[:i]
	}
	i, ok := p.symIdx[name]
	if !ok || p.syms[i].unit != p.unitN {
		return -1
	}
	return p.syms[i].stmt
}

// flush analyses and emits the unit and begins a new one.
func (p *pass) flush() error {
	u := &p.unit
	if len(u.stmts) > 0 {
		if u.begun {
			p.flow()
		}
		p.emit()
		if len(p.out) >= 1<<16 {
			if err := p.writeOut(); err != nil {
				return err
			}
		}
	}
	p.unitN++
	u.reset()
	return nil
}

func (p *pass) writeOut() error {
	_, err := p.w.Write(p.out)
	p.out = p.out[:0]
	return err
}
