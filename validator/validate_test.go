package validator

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

func nops(bundles int) []byte { return bytes.Repeat([]byte{0x90}, bundles*BundleSize) }

func TestMisuse(t *testing.T) {
	for _, c := range []struct {
		name string
		text []byte
		o    Options
		want string
	}{
		{"length", make([]byte, 31), Options{}, "multiple of 32"},
		{"offset", nops(1), Options{Offset: 0x20010}, "multiple of 32"},
		{"end", nops(2), Options{Offset: 0xffffffe0}, "leaves the sandbox"},
		{"unknown", nops(1), Options{ABI: 77}, "ABI(77)"},
	} {
		if _, err := Validate(c.text, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.name, err, c.want)
		}
	}
	if r, err := Validate(nil, Options{Offset: 0x20000}); err != nil || !r.OK() {
		t.Errorf("empty text: %v %v", r.Err(), err)
	}
	if r, err := Validate(nops(1), Options{Offset: 0xffffffe0}); err != nil || !r.OK() {
		t.Errorf("last bundle: %v %v", r.Err(), err)
	}
}

func TestErrors(t *testing.T) {
	text := nops(4)
	copy(text[0x20:], []byte{0x48, 0x8b, 0x18})       // mov (%rax),%rbx
	copy(text[0x40:], []byte{0x41, 0x5f, 0x50})       // pop %r15; push %rax
	copy(text[0x60:], []byte{0x62, 0xf1, 0x7c, 0x48}) // EVEX
	r, err := Validate(text, Options{Offset: 0x20000})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Errors) != 4 || r.Truncated || r.OK() {
		t.Fatalf("errors: %v", r.Err())
	}
	e := r.Errors[0]
	if e.Offset != 0x20 || e.Rule != "V-MEM-SEG" || !bytes.Equal(e.Code, []byte{0x48, 0x8b, 0x18}) {
		t.Errorf("first error: %+v", e)
	}
	if s := e.Error(); !strings.HasPrefix(s, "text+0x20: V-MEM-SEG: mov (%rax),%rbx: data access without %gs:") {
		t.Errorf("text: %s", s)
	}
	var first *Error
	if !errors.As(r.Err(), &first) || first != e {
		t.Error("errors.As does not find the first error")
	}
	if n := strings.Count(r.Err().Error(), "\n"); n != 3 {
		t.Errorf("%d line ends in: %v", n, r.Err())
	}
	r, _ = Validate(text, Options{Offset: 0x20000, MaxErrors: 2})
	if len(r.Errors) != 2 || !r.Truncated {
		t.Errorf("MaxErrors: %d errors, truncated %v", len(r.Errors), r.Truncated)
	}
	// A hostile text can't make the report long.
	r, _ = Validate(bytes.Repeat([]byte{0x06}, 1<<16), Options{Offset: 0x20000})
	if len(r.Errors) != 10 || !r.Truncated {
		t.Errorf("%d errors, truncated %v", len(r.Errors), r.Truncated)
	}
}

// TestOrdinaryCode: what an ordinary compiler makes of a small function is
// refused, with the reasons in order.
func TestOrdinaryCode(t *testing.T) {
	text := nops(1)
	copy(text, []byte{
		0x55,             // push %rbp
		0x48, 0x89, 0xe5, // mov %rsp,%rbp
		0x8b, 0x45, 0x08, // mov 8(%rbp),%eax
		0xff, 0xd0, // call *%rax
		0xc9, // leave
		0xc3, // ret
	})
	r, _ := Validate(text, Options{Offset: 0x20000})
	want := []Rule{"V-INSN-STACK", "V-RSP", "V-MEM-SEG", "V-JUMP-INDIRECT", "V-INSN-STACK"}
	if len(r.Errors) != len(want) {
		t.Fatal(r.Err())
	}
	for i, e := range r.Errors {
		if e.Rule != want[i] {
			t.Errorf("error %d: %v, want %s", i, e, want[i])
		}
	}
}

func TestThreadPointerLoads(t *testing.T) {
	text := nops(2)
	copy(text[3:], []byte{0x64, 0x40, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0})
	copy(text[0x22:], []byte{0x64, 0x8b, 0x0c, 0x25, 0x10, 0, 0, 0})
	o := Options{Offset: 0x20000, CollectThreadPointerLoads: true}
	r, err := Validate(text, o)
	if err != nil || !r.OK() || len(r.ThreadPointerLoads) != 2 || r.ThreadPointerLoads[0] != 8 || r.ThreadPointerLoads[1] != 0x26 {
		t.Fatalf("%+v %v", r, err)
	}
	for _, off := range r.ThreadPointerLoads {
		copy(text[off:], []byte{0x10, 1, 0, 0})
	}
	if r, _ := Validate(text, o); r.OK() {
		t.Error("the patched text is accepted with the old displacement")
	}
	o.ThreadPointer = 0x110
	if r, _ := Validate(text, o); !r.OK() {
		t.Error(r.Err())
	}
	// A load that is refused for its destination is no place to patch.
	bad := nops(1)
	copy(bad, []byte{0x64, 0x8b, 0x24, 0x25, 0x10, 1, 0, 0}) // mov %fs:0x110,%esp
	if r, _ := Validate(bad, o); r.OK() || len(r.ThreadPointerLoads) != 0 {
		t.Errorf("%+v", r)
	}
	o.CollectThreadPointerLoads = false
	if r, _ := Validate(text, o); len(r.ThreadPointerLoads) != 0 {
		t.Error("loads are collected unasked")
	}
}

func TestAllocations(t *testing.T) {
	for abi, code := range map[ABI][][]byte{Halite: typicalCode, Classic: classicCode, X86_32: code32} {
		text := syntheticCode(code, 1<<16)
		n := testing.AllocsPerRun(10, func() {
			if r, err := Validate(text, Options{ABI: abi, Offset: 0x20000}); err != nil || !r.OK() {
				t.Fatal(r.Err(), err)
			}
		})
		if n > 1 {
			t.Errorf("%v: %v allocations, want the bitmap alone", abi, n)
		}
	}
}

// TestWorkers: several goroutines say what one says, about good texts, about
// bad branches between their parts, and about too many errors.
func TestWorkers(t *testing.T) {
	for abi, code := range map[ABI][][]byte{Halite: typicalCode, Classic: classicCode, X86_32: code32} {
		text := syntheticCode(code, 1<<20)
		rnd := rand.New(rand.NewPCG(5, uint64(abi)))
		for round := range 8 {
			o := Options{ABI: abi, Offset: 0x20000, CollectTargets: true, CollectThreadPointerLoads: true}
			if round == 7 {
				o.MaxErrors = 1 << 20
			}
			one, err := Validate(text, o)
			if err != nil {
				t.Fatal(err)
			}
			o.Workers = 2 + round%4
			many, err := Validate(text, o)
			if err != nil || !reflect.DeepEqual(one, many) {
				t.Fatalf("%v, round %d, %v: %v\n%v", abi, round, err, one.Err(), many.Err())
			}
			if round == 0 && !one.OK() {
				t.Errorf("%v: %v", abi, one.Err())
			}
			for range 1 << round {
				text[rnd.IntN(len(text))]++
			}
		}
		// A branch from one end to the other, into the middle of something.
		text = syntheticCode(code, 1<<20)
		copy(text, []byte{0xe9, 0xe1, 0xff, 0x0f, 0x00})
		for i := 5; i < BundleSize; i++ {
			text[i] = 0x90
		}
		copy(text[len(text)-BundleSize:], []byte{0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 0x90, 0x90, 0x90, 0x90})
		r, _ := Validate(text, Options{ABI: abi, Offset: 0x20000, Workers: 4})
		if r.OK() || r.Errors[len(r.Errors)-1].Offset != 0 || r.Errors[len(r.Errors)-1].Rule != "V-JUMP-TARGET" {
			t.Errorf("%v: %v", abi, r.Err())
		}
	}
}

func TestDisassemble(t *testing.T) {
	for _, c := range []struct {
		code []byte
		text string
		n    int
	}{
		{[]byte{0x65, 0x67, 0x8b, 0x03}, "mov %gs:(%ebx),%eax", 4},
		{[]byte{0xc3, 0x90}, "retq", 1},
		{[]byte{0x06, 0x07}, ".byte 0x06, 0x07", 2},
		{nil, "(nothing)", 0},
		{bytes.Repeat([]byte{0x66}, 40), ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66", 15},
	} {
		if text, n := Disassemble(c.code, 0x20000); text != c.text || n != c.n {
			t.Errorf("% x: %q %d, want %q %d", c.code, text, n, c.text, c.n)
		}
	}
}

// TestLengthsX86asm compares lengths with golang.org/x/arch, over all opcodes
// and ModRM bytes. It is lenient about what it takes, so only instructions
// that both know are compared; it must know nearly all of ours.
func TestLengthsX86asm(t *testing.T) {
	c := newChecker(0x20000, 0x10)
	both, unknown := 0, 0
	for i, code := range registerForms() {
		if !thorough() && i%5 != 0 {
			continue
		}
		n, why := c.stepOne(code)
		if why != ruleNone {
			continue
		}
		inst, err := x86asm.Decode(c.text, 64)
		if err != nil || inst.Op == 0 {
			unknown++
			continue
		}
		both++
		if inst.Len != n && !x86asmDisagrees(c.text[:n]) {
			t.Errorf("% x: length %d, x86asm says %d (%v)", c.text[:n], n, inst.Len, inst)
		}
	}
	t.Logf("%d compared, %d not known to x86asm", both, unknown)
	if both < unknown {
		t.Errorf("compared only %d of %d", both, both+unknown)
	}
}

// x86asmDisagrees lists instructions about whose length x86asm is known to be
// wrong, each checked against LLVM.
func x86asmDisagrees(code []byte) bool {
	// vzeroupper and vzeroall with a three-byte VEX: x86asm reads a ModRM byte.
	return len(code) == 4 && code[0] == 0xc4 && code[3] == 0x77
}

// TestMemoryOperands reads instructions with a decoder of ten lines, which
// knows prefixes, and which opcodes have a ModRM byte, and nothing else: what
// is accepted with a memory operand has 65 and 67, or is rip-relative with
// neither and goes inside, or is lea, a nop or the thread pointer load. All
// prefixes and opcodes, ModRM bytes of every kind (all of them when thorough).
func TestMemoryOperands(t *testing.T) {
	c := newChecker(0x20000, 0x10)
	var prefixes [][]byte
	for _, seg := range [][]byte{{}, {0x65}, {0x64}, {0x2e}, {0x3e}, {0x65, 0x64}} {
		for _, addr := range [][]byte{{}, {0x67}} {
			for _, rest := range [][]byte{{}, {0x66}, {0xf3}, {0xf2}, {0xf0}, {0x66, 0xf2}, {0x66, 0xf0}} {
				p := append(append(append([]byte{}, seg...), addr...), rest...)
				prefixes = append(prefixes, p)
				if len(addr) > 0 && len(seg) > 0 { // the other order, too
					prefixes = append(prefixes, append(append(append([]byte{}, addr...), seg...), rest...))
				}
			}
		}
	}
	bodies := [][]byte{{}, {0x48}, {0x45}, {0x0f}, {0x44, 0x0f}, {0x48, 0x0f}, {0x0f, 0x38}, {0x48, 0x0f, 0x38}, {0x0f, 0x3a},
		{0xc5, 0xf9}, {0xc5, 0xfc}, {0xc4, 0xe2, 0x7d}, {0xc4, 0xe2, 0xf9}, {0xc4, 0xe3, 0x79}, {0xc4, 0xe1, 0xf9}, {0x62, 0xf1, 0x7c, 0x48}, {0x8f, 0xe9, 0x78}}
	modrms := sampleModRM[:20]
	if thorough() {
		modrms = make([]byte, 256)
		for i := range modrms {
			modrms[i] = byte(i)
		}
	}
	accepted, memory := 0, 0
	for _, p := range prefixes {
		for _, body := range bodies {
			for op := 0; op < 256; op++ {
				if len(body) == 0 && (isLegacyPrefix(byte(op)) || op&0xf0 == 0x40 || op == 0xc4 || op == 0xc5 || op == 0x62) {
					continue
				}
				for _, mr := range modrms {
					code := append(append(append([]byte{}, p...), body...), byte(op), mr, 0x25, 0x10, 0, 0, 0)
					n, why := c.stepOne(code)
					if why != ruleNone {
						continue
					}
					accepted++
					mem, ok := boundedMemory(c.text[:n], c.base)
					if mem {
						memory++
					}
					if !ok {
						text, _ := Disassemble(c.text[:n], 0)
						t.Errorf("% x (%s): a memory operand out of bounds", c.text[:n], text)
					}
				}
			}
		}
	}
	t.Logf("%d accepted, %d of them with a memory operand", accepted, memory)
	if memory < 1000 {
		t.Error("too few to mean anything")
	}
}

// boundedMemory reports whether the instruction has a ModRM memory operand,
// and whether that is bounded.
func boundedMemory(code []byte, base int64) (mem, ok bool) {
	i := 0
	var gs, fs, addr bool
	for ; isLegacyPrefix(code[i]); i++ {
		switch code[i] {
		case 0x65:
			gs = true
		case 0x64:
			fs = true
		case 0x67:
			addr = true
		case 0x2e, 0x36, 0x3e, 0x26:
			// In padding only, which is a nop.
			return false, code[len(code)-8] == 0x0f && code[len(code)-7] == 0x1f
		}
	}
	if code[i]&0xf0 == 0x40 {
		i++
	}
	op, omap := code[i], 0
	switch op {
	case 0x0f:
		i++
		op, omap = code[i], 1
		if op == 0x38 || op == 0x3a {
			i++
			op, omap = code[i], 2
		}
	case 0xc5:
		i += 2
		op, omap = code[i], 2
		if op == 0x77 {
			return false, true
		}
	case 0xc4:
		i += 3
		op, omap = code[i], 2
		if op == 0x77 && code[i-2]&31 == 1 {
			return false, true
		}
	}
	if omap == 0 && !oneByteModRM(op) || omap == 1 && !twoByteModRM(op) {
		return false, !gs && !fs && !addr
	}
	i++
	mr := code[i]
	if mr >= 0xc0 {
		return false, !gs && !fs && !addr
	}
	switch {
	case omap == 0 && op == 0x8d:
		return true, !gs && !fs
	case omap == 1 && op == 0x1f:
		return true, !gs && !fs && !addr
	case fs:
		return true, bytes.Equal(code[len(code)-6:], []byte{mr, 0x25, 0x10, 0, 0, 0}) && op == 0x8b
	case mr&0xc7 == 5:
		d := int64(int32(uint32(code[i+1]) | uint32(code[i+2])<<8 | uint32(code[i+3])<<16 | uint32(code[i+4])<<24))
		target := base + int64(len(code)) + d
		return true, !gs && !addr && target >= SandboxStart && target < SandboxEnd
	}
	return true, gs && addr
}

// oneByteModRM and twoByteModRM say which opcodes have a ModRM byte in 64-bit
// mode, by the manual's opcode maps.
func oneByteModRM(op byte) bool {
	switch {
	case op < 0x40:
		return op&7 < 4
	case op == 0x63, op == 0x69, op == 0x6b, op >= 0x80 && op <= 0x8f, op == 0xc0, op == 0xc1, op == 0xc6, op == 0xc7,
		op >= 0xd0 && op <= 0xd3, op >= 0xd8 && op <= 0xdf, op == 0xf6, op == 0xf7, op == 0xfe, op == 0xff:
		return true
	}
	return false
}

func twoByteModRM(op byte) bool {
	switch {
	case op >= 0x04 && op <= 0x0c, op == 0x0e, op >= 0x30 && op <= 0x37, op == 0x77, op >= 0x80 && op <= 0x8f,
		op >= 0xa0 && op <= 0xa2, op >= 0xa8 && op <= 0xaa, op >= 0xc8 && op <= 0xcf:
		return false
	}
	return true
}
