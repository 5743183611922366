package validator

import (
	"fmt"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// What a text of the NaCl ABIs must not do, said in terms of a decoder that is
// not ours. It knows nothing of tables, and of rules only what makes a text
// dangerous: where branches go, what memory operands are made of, and which
// registers are written.

// x86asmSafe looks for trouble in an accepted text. Instructions that x86asm
// does not know, or reads differently from every other decoder, are passed
// over: known tells how many were looked at.
func x86asmSafe(text []byte, abi ABI, targets []uint32) (known int, err error) {
	for off := 0; off < len(text); off += BundleSize {
		var before, before2 *x86asm.Inst
		beforeCode := []byte{} // nil: not known to x86asm
		for p := off; p < off+BundleSize; {
			code := text[p : off+BundleSize]
			inst, derr := x86asm.Decode(code, abi.mode())
			if derr != nil || inst.Op == 0 || inst.Len == 0 || isVzero(code) {
				// Where the next instruction starts is only known to us.
				n := stepLength(text, abi, p)
				if n == 0 {
					return known, fmt.Errorf("%#x: nothing starts here", p)
				}
				before, before2, beforeCode = nil, nil, nil
				p += n
				continue
			}
			known++
			if err := instSafe(&inst, before, before2, code[:inst.Len], beforeCode, abi); err != nil {
				return known, fmt.Errorf("%#x: % x: %v: %v", p, code[:inst.Len], inst, err)
			}
			for _, a := range inst.Args {
				rel, ok := a.(x86asm.Rel)
				if !ok {
					continue
				}
				to := p + inst.Len + int(rel)
				inside := to >= 0 && to < len(text)
				if inside && targets[to/BundleSize]>>(to%BundleSize)&1 == 0 || !inside && to%BundleSize != 0 {
					return known, fmt.Errorf("%#x: %v: branch to %#x", p, inst, to)
				}
			}
			i := inst
			before, before2, beforeCode = &i, before, code[:inst.Len]
			p += inst.Len
		}
		if p := before; p != nil && abi == Classic && (halfWritten(p, x86asm.ESP) || halfWritten(p, x86asm.EBP)) {
			return known, fmt.Errorf("%#x: ends with a half-written stack register", off)
		}
	}
	return known, nil
}

// isVzero tells whether code is vzeroupper or vzeroall, behind which x86asm
// reads a ModRM byte.
func isVzero(code []byte) bool {
	return len(code) > 2 && code[0] == 0xc5 && code[1] >= 0xc0 && code[2] == 0x77 ||
		len(code) > 3 && code[0] == 0xc4 && code[1]&0x1f == 1 && code[3] == 0x77
}

// stepLength asks our decoder for the length of one instruction.
func stepLength(text []byte, abi ABI, p int) int {
	c := fastChecker(abi)
	c.text = text
	c.jumped = make([]uint32, len(text)/BundleSize+1)
	c.load(p &^ (BundleSize - 1))
	c.zx = noReg
	n, _ := c.stepAny(uint(p % BundleSize))
	return int(n)
}

var extending = map[x86asm.Op]bool{
	x86asm.MOV: true, x86asm.ADD: true, x86asm.AND: true, x86asm.OR: true, x86asm.SUB: true, x86asm.XOR: true,
	x86asm.LEA: true, x86asm.IMUL: true, x86asm.INC: true, x86asm.DEC: true, x86asm.NEG: true, x86asm.NOT: true,
	x86asm.MOVZX: true, x86asm.MOVSX: true, x86asm.MOVSXD: true, x86asm.MOVD: true, x86asm.VMOVD: true, x86asm.XCHG: true, x86asm.XADD: true,
}

// halfWritten tells whether the instruction writes the 32-bit register as the
// first operand, or as either of an exchange.
func halfWritten(i *x86asm.Inst, r x86asm.Reg) bool {
	if !extending[i.Op] || i.Op == x86asm.IMUL && i.Args[1] == nil {
		return false
	}
	return i.Args[0] == r || (i.Op == x86asm.XCHG || i.Op == x86asm.XADD) && i.Args[1] == r
}

// isNopByte tells whether code is 90 behind prefixes without REX.B.
func isNopByte(code []byte) bool {
	if code[len(code)-1] != 0x90 || len(code) > 2 {
		return false
	}
	return len(code) == 1 || code[0]&0xf1 == 0x40 || code[0] == 0x66 || code[0] == 0xf3
}

func instSafe(i, before, before2 *x86asm.Inst, code, beforeCode []byte, abi ABI) error {
	switch i.Op {
	case x86asm.SYSCALL, x86asm.SYSENTER, x86asm.SYSEXIT, x86asm.SYSRET, x86asm.INT, x86asm.INTO, x86asm.ICEBP,
		x86asm.RET, x86asm.LRET, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ, x86asm.LCALL, x86asm.LJMP, x86asm.POPF,
		x86asm.POPFD, x86asm.POPFQ, x86asm.ENTER, x86asm.WRMSR, x86asm.WRFSBASE, x86asm.WRGSBASE, x86asm.LGS,
		x86asm.LFS, x86asm.LSS, x86asm.LDS, x86asm.LES, x86asm.IN, x86asm.OUT, x86asm.XLATB, x86asm.CLFLUSH,
		x86asm.XRSTOR, x86asm.FXRSTOR, x86asm.SWAPGS:
		return fmt.Errorf("forbidden")
	case x86asm.JMP, x86asm.CALL:
		if _, direct := i.Args[0].(x86asm.Rel); direct {
			return nil
		}
		r, ok := i.Args[0].(x86asm.Reg)
		if !ok {
			return fmt.Errorf("branch through memory")
		}
		mask := before
		if abi == Classic {
			if before == nil || before.Op != x86asm.ADD || before.Args[0] != r || before.Args[1] != x86asm.R15 {
				return fmt.Errorf("no base is added before")
			}
			mask, r = before2, r-x86asm.RAX+x86asm.EAX
		}
		if mask == nil || mask.Op != x86asm.AND || mask.Args[0] != r || mask.Args[1] != x86asm.Imm(-32) && mask.Args[1] != x86asm.Imm(0xffffffe0) {
			return fmt.Errorf("not masked")
		}
		return nil
	}
	for _, a := range i.Args {
		if s, ok := a.(x86asm.Reg); ok && s >= x86asm.ES && s <= x86asm.GS {
			return fmt.Errorf("segment register")
		}
		if s, ok := a.(x86asm.Reg); ok && (s >= x86asm.CR0 && s <= x86asm.DR15 || s >= x86asm.GDTR && s <= x86asm.TASK) {
			return fmt.Errorf("system register")
		}
	}
	if abi == X86_32 {
		for _, a := range i.Args {
			if m, ok := a.(x86asm.Mem); ok && (m.Segment == x86asm.FS || m.Segment == x86asm.GS && (m.Base != 0 || m.Index != 0 || m.Disp != 0 && m.Disp != 4)) {
				return fmt.Errorf("segment")
			}
		}
		return nil
	}

	// The stack registers. What is written is the first operand, unless the
	// instruction only reads it; PUSH, CALL and POP move rsp by themselves.
	written := i.Args[0]
	switch i.Op {
	case x86asm.CMP, x86asm.TEST, x86asm.PUSH, x86asm.BT, x86asm.MUL, x86asm.DIV, x86asm.IDIV, x86asm.NOP, x86asm.PREFETCHW:
		written = nil
	case x86asm.IMUL:
		if i.Args[1] == nil {
			written = nil
		}
	}
	fix := func(half, full x86asm.Reg) bool {
		if before == nil || !halfWritten(before, half) {
			return false
		}
		switch i.Op {
		case x86asm.ADD:
			return i.Args[0] == full && i.Args[1] == x86asm.R15
		case x86asm.OR:
			return i.Args[0] == full && i.Args[1] == x86asm.R15 && full == x86asm.RSP
		case x86asm.LEA:
			m, ok := i.Args[1].(x86asm.Mem)
			return ok && i.Args[0] == full && m.Base == full && m.Index == x86asm.R15 && m.Scale == 1 && m.Disp == 0
		}
		return false
	}
	for half, full := range map[x86asm.Reg]x86asm.Reg{x86asm.ESP: x86asm.RSP, x86asm.EBP: x86asm.RBP} {
		fixed := fix(half, full)
		if before != nil && halfWritten(before, half) && !fixed {
			return fmt.Errorf("%v was written and stays without base", half)
		}
		if fixed {
			return nil
		}
	}
	if i.Op == x86asm.XADD && (i.Args[1] == x86asm.R15 || i.Args[1] == x86asm.R15L) {
		return fmt.Errorf("writes %v", i.Args[1])
	}
	if r, ok := written.(x86asm.Reg); ok {
		switch r {
		case x86asm.R15, x86asm.R15L, x86asm.R15W, x86asm.R15B, x86asm.SP, x86asm.BP, x86asm.SPB, x86asm.BPB:
			return fmt.Errorf("writes %v", r)
		case x86asm.ESP, x86asm.EBP:
			if !halfWritten(i, r) {
				return fmt.Errorf("writes %v in another way", r)
			}
		case x86asm.RSP, x86asm.RBP:
			imm, _ := i.Args[1].(x86asm.Imm)
			ok := i.Op == x86asm.MOV && (i.Args[1] == x86asm.RSP || i.Args[1] == x86asm.RBP) ||
				i.Op == x86asm.AND && r == x86asm.RSP && imm < 0
			if !ok {
				return fmt.Errorf("writes %v", r)
			}
		}
	}

	// Memory operands.
	switch i.Op {
	case x86asm.LEA, x86asm.NOP, x86asm.PREFETCHT0, x86asm.PREFETCHT1, x86asm.PREFETCHT2, x86asm.PREFETCHNTA, x86asm.PREFETCHW:
		return nil
	}
	for _, a := range i.Args {
		m, ok := a.(x86asm.Mem)
		if !ok {
			continue
		}
		if m.Segment == x86asm.FS || m.Segment == x86asm.GS {
			return fmt.Errorf("segment")
		}
		if m.Base == x86asm.RSI || m.Base == x86asm.RDI {
			// String instructions: the address was made by the lea before.
			if before == nil || before.Op != x86asm.LEA {
				return fmt.Errorf("string without prelude")
			}
			continue
		}
		if m.Base == 0 && m.Index == 0 && (code[0] == 0xc4 || code[0] == 0xc5) {
			continue // with VEX, x86asm gives %rip-relative operands no base
		}
		if m.Base != x86asm.R15 && m.Base != x86asm.RSP && m.Base != x86asm.RBP && m.Base != x86asm.RIP {
			return fmt.Errorf("base %v", m.Base)
		}
		if m.Index == 0 {
			continue
		}
		half := m.Index - x86asm.RAX + x86asm.EAX
		if before == nil {
			if beforeCode == nil {
				continue // x86asm did not know it
			}
			return fmt.Errorf("index %v at the start of a bundle", m.Index)
		}
		if !halfWritten(before, half) || isNopByte(beforeCode) {
			return fmt.Errorf("index %v is not extended by %v", m.Index, before)
		}
	}
	return nil
}

func FuzzNaClX86asm(f *testing.F) {
	for _, v := range readVectors(f) {
		if v.options.ABI != Halite {
			f.Add(v.options.ABI == X86_32, v.text)
		}
	}
	f.Add(false, syntheticCode(classicCode, 256))
	f.Add(true, syntheticCode(code32, 256))
	f.Fuzz(func(t *testing.T, is32 bool, text []byte) {
		if len(text) > 1<<12 {
			return
		}
		for len(text)%BundleSize != 0 {
			text = append(text, 0x90)
		}
		o := Options{ABI: Classic, CollectTargets: true, MaxErrors: 1 << 16}
		if is32 {
			o.ABI = X86_32
		}
		r, err := Validate(text, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Errors {
			if int(e.Offset) > len(text) || e.Detail == "" || !ruleKnown(e.Rule) || e.Error() == "" {
				t.Fatalf("strange error %+v", e)
			}
		}
		if r.OK() || r.NonTemporal() {
			if _, err := x86asmSafe(text, o.ABI, r.Targets); err != nil {
				t.Fatal(err)
			}
		}
		// Rewriting makes an acceptable text or leaves it alone, and a text may
		// always take its own place.
		changed := append([]byte(nil), text...)
		w, err := Rewrite(changed, o)
		if err != nil || w.OK() == false && string(changed) != string(text) || r.OK() && (!w.OK() || string(changed) != string(text)) {
			t.Fatalf("Rewrite: %v %v", err, w.Err())
		}
		if w.OK() {
			if v, err := ValidateReplacement(changed, changed, o); err != nil || !v.OK() {
				t.Fatalf("ValidateReplacement of a text by itself: %v %v", err, v.Err())
			}
		}
	})
}

// TestNaClX86asm applies the same to texts that are at hand.
func TestNaClX86asm(t *testing.T) {
	texts := map[ABI][][]byte{Classic: {syntheticCode(classicCode, 1<<14)}, X86_32: {syntheticCode(code32, 1<<14)}}
	for _, v := range readVectors(t) {
		if v.rule == "" && v.options.ABI != Halite {
			texts[v.options.ABI] = append(texts[v.options.ABI], v.text)
		}
	}
	for abi, l := range texts {
		known := 0
		for _, text := range l {
			r, err := Validate(text, Options{ABI: abi, CollectTargets: true})
			if err != nil || !r.OK() {
				t.Fatal(err, r.Err())
			}
			n, err := x86asmSafe(text, abi, r.Targets)
			if err != nil {
				t.Errorf("%v: % x: %v", abi, text[:min(len(text), 64)], err)
			}
			known += n
		}
		if known < 4000 {
			t.Errorf("%v: only %d instructions were looked at", abi, known)
		}
	}
}

// TestX86asmNotices: the check above finds fault with nearly all of what the
// vectors refuse for what it does, so that its silence means something.
func TestX86asmNotices(t *testing.T) {
	about := map[Rule]bool{
		"V-MEM-BASE": true, "V-MEM-INDEX": true, "V-SP-WRITE": true, "V-BP-WRITE": true, "V-SP-ALONE": true, "V-BP-ALONE": true,
		"V-SP-FIX": true, "V-BP-FIX": true, "V-R15": true, "V-JUMP-INDIRECT": true, "V-JUMP-TARGET": true, "V-JUMP-RANGE": true,
		"V-INSN-SYSCALL": true, "V-INSN-FAR": true, "V-RET": true, "V-INSN-SEGMENT": true, "V-MEM-STRING": true,
	}
	noticed := 0
	for _, v := range readVectors(t) {
		if v.options.ABI == Halite || !about[v.rule] {
			continue
		}
		r, err := Validate(v.text, Options{ABI: v.options.ABI, CollectTargets: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x86asmSafe(v.text, v.options.ABI, r.Targets); err == nil {
			t.Logf("not noticed: %s, %s", v.name, v.rule)
		} else {
			noticed++
		}
	}
	if noticed < 80 {
		t.Errorf("only %d are noticed", noticed)
	}
}

func TestCorpusX86asm(t *testing.T) {
	for name, abi := range map[string]ABI{"insn64": Classic, "multi64": Classic, "insn32": X86_32, "multi32": X86_32} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachCorpusLine(t, name, func(f []string) {
				if x := f[1]; f[0] == "I" || !thorough() && (int(x[0])*7+int(x[len(x)-1])*13+len(x))%29 != 0 {
					return
				}
				text := corpusText(t, f[1])
				r, err := Validate(text, Options{ABI: abi, CollectTargets: true})
				if err != nil {
					t.Error(err)
				}
				if !r.OK() && !r.NonTemporal() {
					return // the defect of the original
				}
				if _, err := x86asmSafe(text, abi, r.Targets); err != nil {
					t.Errorf("%s: %v", f[1], err)
				}
			})
		})
	}
}
