package sfi

import "strings"

// An indirect jump masks its target in r11, unless the register that the
// program uses is dead behind the jump: then it is masked in place, which
// spares a copy in every dispatch of an interpreter.
//
// dead answers for all labels of the unit whose address is taken at once. It
// follows the code from each of them to the first use of the register and
// gives up ("live") at the first thing that it is not sure of.

// implicit lists registers that instructions read without naming them.
func implicit(st *stmt, n int) uint16 {
	const ax, cx, dx, bx, si, di = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 6, 1 << 7
	switch st.class {
	case cSyscall:
		return 0xffff
	case cString:
		return ax | cx | si | di
	case cLeave:
		return 1 << 5
	case cRdtscp:
		return 0
	}
	op := st.op
	switch strings.TrimRight(op, "bwlq") {
	case "mu", "imu", "div", "idiv": // mul and imul without their l
		if n == 1 {
			return ax | dx
		}
	case "mulx":
		return dx
	case "cmpxchg":
		return ax
	case "shld", "shrd":
		return cx
	}
	switch op {
	case "cbtw", "cwtl", "cltq", "cwtd", "cltd", "cqto", "cbw", "cwde", "cdqe", "cwd", "cdq", "cqo", "lahf", "sahf":
		return ax
	case "cmpxchg8b", "cmpxchg16b":
		return ax | bx | cx | dx
	case "cpuid":
		return ax | cx
	case "jrcxz", "jecxz", "loop", "loope", "loopne", "loopz", "loopnz":
		return cx
	}
	if strings.Contains(op, "pcmpestr") {
		return ax | dx
	}
	return 0
}

// writesOnly reports whether an instruction replaces the whole of its last
// operand without reading it.
func writesOnly(st *stmt, ops []operand) bool {
	n := len(ops)
	d := &ops[n-1]
	if d.kind != opReg || d.reg.class() != class64 && d.reg.class() != class32 {
		return false
	}
	switch st.class {
	case cMov, cMovabs, cLea, cPop:
		return true
	case cSub:
		return n == 2 && ops[0].kind == opReg && ops[0].reg == d.reg
	}
	switch {
	case strings.HasPrefix(st.op, "xor"):
		return n == 2 && ops[0].kind == opReg && ops[0].reg == d.reg
	case strings.HasPrefix(st.op, "movz"), strings.HasPrefix(st.op, "movs"):
		return true
	}
	return false
}

// mentions reports whether an operand names the register in any way.
func mentions(o *operand, r int) bool {
	hit := func(x reg) bool {
		return x.class() >= class64 && x.class() <= class8h && x.num() == r
	}
	return hit(o.reg) || hit(o.base) || hit(o.index)
}

// dead reports whether register r is dead at every label of the unit whose
// address is taken. table tells that the jump goes through a table of the
// compiler's, so that the program has no name for the target in r and can't
// return it.
func (p *pass) dead(r int, table bool) bool {
	u := &p.unit
	bit := uint32(1) << r
	// A return keeps rax. It may keep rdx, but as the second half of a
	// structure, where nobody returns a label that was jumped to.
	gone := uint32(1<<1 | 1<<2 | 1<<6 | 1<<7 | 1<<8 | 1<<9 | 1<<10) // rcx rdx rsi rdi r8 r9 r10
	if table {
		bit <<= 16
		gone |= 1 << 0
	}
	if u.deadKnown&bit != 0 {
		return u.deadRegs&bit != 0
	}
	u.deadKnown |= bit
	budget := 400 + 8*len(u.stmts)
	u.visit = u.visit[:0]
	u.seenAt = append(u.seenAt[:0], make([]bool, len(u.blocks))...)
	for i := range u.blocks {
		if p.jumpedTo(&u.stmts[u.blocks[i].start]) {
			u.seenAt[i] = true
			u.visit = append(u.visit, int32(i))
		}
	}
	if len(u.visit) == 0 {
		return false
	}
	for len(u.visit) > 0 {
		b := u.visit[len(u.visit)-1]
		u.visit = u.visit[:len(u.visit)-1]
		if !p.deadFrom(b, r, gone, &budget) {
			return false
		}
	}
	u.deadRegs |= bit
	return true
}

// jumpedTo reports whether a statement is a label that an indirect jump within
// the unit may go to.
func (p *pass) jumpedTo(st *stmt) bool {
	if st.kind != kLabel {
		return false
	}
	if st.sym < 0 {
		return p.nums[st.num]&symTaken != 0
	}
	return p.syms[st.sym].flags&(symTaken|symPad|symFunc|symGlobal) == symTaken
}

// deadFrom follows one block; gone are the registers that a return does not
// keep. Blocks that it leads to are put on the list.
func (p *pass) deadFrom(bi int32, r int, gone uint32, budget *int) bool {
	u := &p.unit
	push := func(i int32) {
		if !u.seenAt[i] {
			u.seenAt[i] = true
			u.visit = append(u.visit, i)
		}
	}
	for i := int(u.blocks[bi].start); i < len(u.stmts); i++ {
		st := &u.stmts[i]
		if st.block >= 0 && st.block != bi {
			push(st.block)
			return true
		}
		if st.kind == kDir && sectionDirective(st.op) {
			return false
		}
		if st.kind != kInstr {
			continue
		}
		if *budget--; *budget < 0 {
			return false
		}
		ops := u.operands(st)
		if implicit(st, len(ops))&(1<<r) != 0 {
			return false
		}
		switch st.class {
		case cRefuse:
			return false
		case cCall:
			// rax is destroyed: had the callee been variadic, al would have
			// been set behind the jump, for before it held the target. The
			// others may be arguments, or are kept.
			return r == 0
		case cRet:
			return gone&(1<<r) != 0
		case cJmp, cJcc:
			o := &ops[0]
			if o.star {
				if mentions(o, r) {
					return false
				}
				// To labels that are followed anyway, or a tail call, which may
				// take the register as an argument.
				return st.pfx&pfxNotrack != 0 || r == 0
			}
			t := p.target(i, o)
			if t < 0 || u.stmts[t].block < 0 {
				return false
			}
			push(u.stmts[t].block)
			if st.class == cJmp {
				return true
			}
			continue
		}
		if len(ops) == 0 {
			continue
		}
		for k := range ops {
			last := k == len(ops)-1
			if !mentions(&ops[k], r) {
				continue
			}
			if !last || !writesOnly(st, ops) {
				return false
			}
		}
		if mentions(&ops[len(ops)-1], r) {
			return true // overwritten
		}
	}
	return false
}
