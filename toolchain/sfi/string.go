package sfi

// String instructions have no sandboxed form: the destination goes through ES,
// which no prefix can replace. They are expanded into plain moves with the
// same effect on registers, memory and flags. The direction flag is always
// clear: std is refused, and the host clears it at every entry.

// classifyString tells the string instructions from SSE instructions of the
// same name, and from moves with sign extension, and checks their operands.
func (p *pass) classifyString(st *stmt, ops []operand) {
	if len(ops) == 0 {
		return
	}
	if st.op == "movsd" || st.op == "cmpsd" {
		for i := range ops {
			if ops[i].reg.class() == classX {
				st.class = cPlain
				return
			}
		}
	}
	kind := st.op[:4]
	for i := range ops {
		o := &ops[i]
		switch {
		case o.kind == opMem && o.index == noReg && o.numeric && o.num == 0 && o.seg == noReg &&
			(o.base.is(rsi) && (kind == "movs" || kind == "cmps" || kind == "lods") || o.base.is(rdi) && kind != "lods"):
		case o.kind == opReg && o.reg.is(rax) && (kind == "stos" || kind == "lods" || kind == "scas"):
		default:
			p.fail(st, "operands not understood")
			st.class = cRefuse
			return
		}
	}
}

// stringOp expands a string instruction.
func (p *pass) stringOp(e *emitter, st *stmt, ops []operand) {
	if p.opt.native {
		p.byte('\t')
		if st.pfx&pfxRep != 0 {
			p.str("rep ")
		}
		if st.pfx&pfxRepne != 0 {
			p.str("repne ")
		}
		p.line(st.text)
		return
	}
	kind, sfx := st.op[:4], st.op[4:]
	if sfx == "d" {
		sfx = "l"
	}
	size := int64(1)
	ax, tmp := "%al", "%r11b"
	switch sfx {
	case "w":
		size, ax, tmp = 2, "%ax", "%r11w"
	case "l":
		size, ax, tmp = 4, "%eax", "%r11d"
	case "q":
		size, ax, tmp = 8, "%rax", "%r11"
	}
	if kind == "movs" || kind == "cmps" {
		p.clobber(e, st)
	}
	step := func(r string, n int64) {
		p.str("\tleaq\t")
		p.int(n)
		p.byte('(')
		p.str(r)
		p.str("), ")
		p.str(r)
		p.byte('\n')
	}
	mov := func(from, to string) {
		p.str("\tmov")
		p.str(sfx)
		p.byte('\t')
		p.str(from)
		p.str(", ")
		p.str(to)
		p.byte('\n')
	}
	rep := st.pfx & (pfxRep | pfxRepne)
	p.strN++
	label := func(which string) {
		p.str(".Lhalite_str")
		p.int(int64(p.strN))
		p.str(which)
	}
	jump := func(op, to string) {
		p.byte('\t')
		p.str(op)
		p.byte('\t')
		label(to)
		p.byte('\n')
	}
	if rep != 0 {
		label("a")
		p.str(":\n")
		jump("jrcxz", "b")
	}
	compare := false
	switch kind {
	case "movs":
		mov("%gs:(%esi)", tmp)
		mov(tmp, "%gs:(%edi)")
		step("%rsi", size)
		step("%rdi", size)
	case "stos":
		mov(ax, "%gs:(%edi)")
		step("%rdi", size)
	case "lods":
		mov("%gs:(%esi)", ax)
		step("%rsi", size)
	case "cmps", "scas":
		compare = true
		left := ax
		if kind == "cmps" {
			mov("%gs:(%edi)", tmp)
			step("%rsi", size)
		}
		step("%rdi", size)
		if rep != 0 {
			step("%rcx", -1)
		}
		p.str("\tcmp")
		p.str(sfx)
		if kind == "cmps" {
			// cmps subtracts the destination from the source.
			p.byte('\t')
			p.str(tmp)
			p.str(", %gs:-")
			p.int(size)
			p.str("(%esi)\n")
		} else {
			p.str("\t%gs:-")
			p.int(size)
			p.str("(%edi), ")
			p.str(left)
			p.byte('\n')
		}
	}
	if rep == 0 {
		return
	}
	if compare {
		if rep == pfxRep {
			jump("jne", "b")
		} else {
			jump("je", "b")
		}
	} else {
		step("%rcx", -1)
	}
	jump("jmp", "a")
	label("b")
	p.str(":\n")
}
