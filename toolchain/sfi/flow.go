package sfi

import (
	"fmt"
	"strings"
)

// step applies an instruction to the state. It returns what is wrong, if
// anything.
func (p *pass) step(s *state, st *stmt) string {
	u := &p.unit
	switch st.eff {
	case effAdd:
		if !s.dyn {
			s.depth -= st.val
			if s.depth < 0 {
				s.depth = 0
				return "takes more from the stack than the function put there (the return address is not on it)"
			}
		}
	case effSave:
		if st.effReg == rbp {
			s.fpOK = !s.dyn
			s.fp = s.depth + 8 - st.val
			return ""
		}
		if st.val == 8 && !s.dyn && s.depth == 0 && u.drap == noReg {
			u.drap = st.effReg
		}
	case effFrom:
		switch {
		case st.effReg == rbp && s.fpOK:
			s.dyn = false
			s.depth = s.fp - st.val - 8
			if s.depth < 0 {
				s.depth = 0
				return "takes more from the stack than the function put there (the return address is not on it)"
			}
		case st.effReg == u.drap && st.val == -8:
			s.dyn = false
			s.depth = 0
		case st.cfi >= 0:
			// gcc restores rsp from a register that it saved it in, and says
			// in the CFI what that is.
			s.dyn = false
			s.depth = st.cfi
		default:
			s.dyn = true
		}
	case effLeave:
		if s.fpOK && s.fp >= 16 {
			s.dyn = false
			s.depth = s.fp - 16
		} else {
			s.dyn = true
		}
		s.fpOK = false
	case effDyn:
		s.dyn = true
	}
	if st.lostFP {
		s.fpOK = false
	}
	return ""
}

// merge joins b into a. changed reports whether a is another state now; ok is
// false when the two can't be joined.
func (a *state) merge(b *state) (changed, ok bool) {
	if a.fpOK && (!b.fpOK || a.fp != b.fp) {
		a.fpOK = false
		changed = true
	}
	if a.dyn == b.dyn && (a.dyn || a.depth == b.depth) {
		return changed, true
	}
	if a.hole() != b.hole() {
		return changed, false
	}
	if !a.dyn {
		a.dyn = true
		changed = true
	}
	return changed, true
}

// leads reports whether a label can be reached otherwise than from the
// statement before it.
func (p *pass) leads(st *stmt) bool {
	if st.sym >= 0 {
		return p.syms[st.sym].flags&(symFunc|symGlobal|symCalled|symTarget|symTaken) != 0
	}
	return p.nums[st.num]&(symTarget|symTaken|symCalled) != 0
}

// flow cuts the unit into blocks and finds the stack state at each.
func (p *pass) flow() {
	u := &p.unit
	// Blocks.
	first := true
	after := true
	for i := range u.stmts {
		st := &u.stmts[i]
		switch st.kind {
		case kDir:
			if sectionDirective(st.op) {
				after = true
			}
			continue
		case kRaw:
			continue
		case kLabel:
			if !first && !p.leads(st) && !after {
				continue
			}
		case kInstr:
			if !after {
				after = st.class == cJmp || st.class == cRet
				continue
			}
		}
		first = false
		after = st.kind == kInstr && (st.class == cJmp || st.class == cRet)
		if p.jumpedTo(st) {
			u.hasTaken = true
		}
		st.block = int32(len(u.blocks))
		u.blocks = append(u.blocks, block{start: int32(i), cfi: -1})
	}
	p.cfiDepths()

	// Entries.
	for i := range u.blocks {
		b := &u.blocks[i]
		st := &u.stmts[b.start]
		if i == 0 || st.kind == kLabel && st.sym >= 0 && p.entry(st.sym) {
			if i > 0 && p.syms[st.sym].flags&(symFunc|symGlobal) == 0 {
				continue // perhaps a label inside
			}
			if i > 0 {
				if _, cold := isCold(st.text); cold {
					continue
				}
			}
			p.reach(int32(i), state{}, nil)
		}
	}
	p.drain()
	if p.opt.checkCFI {
		p.checkCFI()
	}
	// Then what only tables, landing pads or a call that may not return lead
	// to, the surest knowledge first.
	for i := range u.blocks {
		b := &u.blocks[i]
		if st := &u.stmts[b.start]; st.kind == kLabel && st.sym >= 0 && p.syms[st.sym].flags&(symFunc|symTarget|symTaken) == symFunc {
			// A cold part that begins with a landing pad: gcc puts a nop
			// before it, which nothing reaches and whose CFI is not yet
			// that of the function.
			continue
		}
		if !b.seen && b.cfi >= 0 {
			p.reach(int32(i), state{depth: b.cfi}, nil)
			p.drain()
		}
	}
	p.padStates()
	for {
		found := false
		for i := range u.blocks {
			b := &u.blocks[i]
			if !b.seen && b.hasWeak {
				found = true
				p.reach(int32(i), b.weak, nil)
				p.drain()
			}
		}
		if !found {
			break
		}
	}
	p.unreachable = true
	for i := range u.blocks {
		b := &u.blocks[i]
		if !b.seen {
			// Nothing leads here that the pass can see.
			p.reach(int32(i), state{}, nil)
			p.drain()
		}
	}
	p.unreachable = false
}

func sectionDirective(w string) bool {
	switch w {
	case ".text", ".data", ".bss", ".rodata", ".section", ".pushsection", ".popsection", ".previous", ".subsection":
		return true
	}
	return false
}

// reach tells that a block can be entered with state s.
func (p *pass) reach(i int32, s state, from *stmt) {
	b := &p.unit.blocks[i]
	if !b.seen {
		b.seen = true
		b.in = s
	} else if p.unreachable {
		return
	} else {
		changed, ok := b.in.merge(&s)
		if !ok {
			st := &p.unit.stmts[b.start]
			if from != nil {
				st = from
			}
			p.fail(st, fmt.Sprintf("the stack depth at %s is not always the same: %s and %s", p.unit.stmts[b.start].text, b.in.describe(), s.describe()))
			return
		}
		if !changed {
			return
		}
	}
	if !b.queued {
		b.queued = true
		p.unit.work = append(p.unit.work, i)
	}
}

func (s *state) describe() string {
	if s.dyn {
		return "unknown but not 0"
	}
	return fmt.Sprint(s.depth)
}

func (p *pass) weak(i int32, s *state) {
	b := &p.unit.blocks[i]
	if !b.hasWeak {
		b.hasWeak = true
		b.weak = *s
	}
}

// checkCFI compares what the flow found with the CFI of the input.
func (p *pass) checkCFI() {
	u := &p.unit
	for i := range u.blocks {
		b := &u.blocks[i]
		if b.seen && b.cfi >= 0 && (b.in.dyn || b.in.depth != b.cfi) {
			p.fail(&u.stmts[b.start], fmt.Sprintf("the CFI says that the stack depth is %d, the flow %s", b.cfi, b.in.describe()))
		}
	}
}

// weakTaken gives a state to every label of the unit whose address is taken.
func (p *pass) weakTaken(s *state) {
	u := &p.unit
	for i := range u.blocks {
		if p.jumpedTo(&u.stmts[u.blocks[i].start]) {
			p.weak(int32(i), s)
		}
	}
}

func (p *pass) drain() {
	u := &p.unit
	for len(u.work) > 0 {
		i := u.work[len(u.work)-1]
		u.work = u.work[:len(u.work)-1]
		u.blocks[i].queued = false
		p.walk(i)
	}
}

// walk follows a block to its end and hands its state on.
func (p *pass) walk(bi int32) {
	u := &p.unit
	s := u.blocks[bi].in
	call := false // the last instruction was a call or a trap
	for i := int(u.blocks[bi].start); i < len(u.stmts); i++ {
		st := &u.stmts[i]
		if st.block >= 0 && st.block != bi {
			if call {
				p.weak(st.block, &s)
			} else {
				p.reach(st.block, s, nil)
			}
			return
		}
		if st.kind == kDir && sectionDirective(st.op) {
			return
		}
		if st.kind != kInstr {
			continue
		}
		call = st.class == cCall || st.class == cEnd
		switch st.class {
		case cRet:
			return
		case cJmp, cJcc:
			o := &u.ops[st.ops]
			if o.star {
				p.weakTaken(&s)
				return
			}
			if t := p.target(i, o); t >= 0 {
				if b := u.stmts[t].block; b >= 0 {
					p.reach(b, s, st)
				}
			}
			if st.class == cJmp {
				return
			}
			continue
		}
		p.step(&s, st)
	}
}

// padStates gives landing pads the state of the calls that throw to them.
func (p *pass) padStates() {
	u := &p.unit
	for i := range u.blocks {
		st := &u.stmts[u.blocks[i].start]
		if u.blocks[i].seen || st.kind != kLabel || st.sym < 0 || p.syms[st.sym].flags&symPad == 0 {
			continue
		}
		for _, region := range p.pads[st.sym] {
			r := &p.syms[region]
			if r.unit != p.unitN {
				continue
			}
			if s, ok := p.callState(int(r.stmt)); ok {
				p.reach(int32(i), s, nil)
				p.drain()
				break
			}
		}
	}
}

// callState finds the state at the first call at or behind statement i.
func (p *pass) callState(i int) (state, bool) {
	u := &p.unit
	k := i
	for k >= 0 && u.stmts[k].block < 0 {
		k--
	}
	if k < 0 || !u.blocks[u.stmts[k].block].seen {
		return state{}, false
	}
	s := u.blocks[u.stmts[k].block].in
	for ; k < len(u.stmts); k++ {
		st := &u.stmts[k]
		if st.block >= 0 && u.blocks[st.block].seen {
			s = u.blocks[st.block].in
		}
		if st.kind != kInstr {
			continue
		}
		if k >= i && st.class == cCall {
			return s, true
		}
		p.step(&s, st)
	}
	return state{}, false
}

// cfaState is the CFA rule of the input's CFI.
type cfaState struct {
	reg int // DWARF number, -1 unknown
	off int64
}

// cfaDirective applies a CFI directive to s. stack holds remembered states.
func cfaDirective(s *cfaState, stack *[]cfaState, op, text string) {
	_, args := word(text)
	a, b := cutComma(args)
	switch op {
	case ".cfi_startproc":
		*s = cfaState{7, 8}
		*stack = (*stack)[:0]
	case ".cfi_def_cfa":
		s.reg = dwarfReg(a)
		s.off, _ = parseNum(b)
	case ".cfi_def_cfa_offset":
		s.off, _ = parseNum(a)
	case ".cfi_adjust_cfa_offset":
		n, _ := parseNum(a)
		s.off += n
	case ".cfi_def_cfa_register":
		s.reg = dwarfReg(a)
	case ".cfi_remember_state":
		*stack = append(*stack, *s)
	case ".cfi_restore_state":
		if n := len(*stack); n > 0 {
			*s = (*stack)[n-1]
			*stack = (*stack)[:n-1]
		}
	case ".cfi_escape":
		if v, ok := parseNum(a); ok && v == 0xf {
			s.reg = -1
		}
	case ".cfi_endproc":
		s.reg = -1
	}
}

var dwarfNums = [16]int{0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15}

// dwarfReg reads a register of a CFI directive: a DWARF number or a name.
func dwarfReg(s string) int {
	if n, ok := parseNum(s); ok {
		return int(n)
	}
	if !strings.HasPrefix(s, "%") {
		s = "%" + s
	}
	if r, ok := parseReg(s); ok && r.class() == class64 {
		return dwarfNums[r.num()]
	}
	if s == "%rip" {
		return 16
	}
	return -1
}

// cfiDepths notes the depth that the input's CFI gives for each block.
func (p *pass) cfiDepths() {
	u := &p.unit
	cfa := cfaState{reg: -1}
	var stack []cfaState
	next := 0  // first block without its depth
	last := -1 // last instruction that sets rsp from a register
	for i := range u.stmts {
		st := &u.stmts[i]
		switch st.kind {
		case kDir:
			if strings.HasPrefix(st.op, ".cfi_") {
				cfaDirective(&cfa, &stack, st.op, st.text)
			}
		case kInstr:
			if last >= 0 {
				if cfa.reg == 7 && cfa.off >= 8 {
					u.stmts[last].cfi = cfa.off - 8
				}
				last = -1
			}
			if st.eff == effFrom {
				st.cfi = -1
				last = i
			}
			for next < len(u.blocks) && int(u.blocks[next].start) <= i {
				if cfa.reg == 7 && cfa.off >= 8 {
					u.blocks[next].cfi = cfa.off - 8
				}
				next++
			}
		}
	}
}
