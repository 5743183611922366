package validator

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A second validator for the halite ABI, written to be read, not to be fast.
// It shares instructions.txt with the first one and nothing else: neither the
// generator nor the generated tables nor a line of the decoder. It takes an
// instruction apart by the book, looks for the rows that describe it, and
// applies the rules as docs/validator.md states them.

type refRow struct {
	verdict  [3]string // by ABI
	zx       string
	vex      map[string]string // m, W, L, p, vvvv; nil for legacy rows
	prefix   string            // "66 f3"
	opcode   []byte
	plus     bool // the last opcode byte carries a register
	modrm    string
	mem, reg bool
	suffix   bool
	last     byte // suffix: its value
	xop      bool
	imm      int
	rel      int
	is4      bool
	w        string
	operands []string
	name     string
	flags    string
}

var refRows = sync.OnceValue(func() map[string][]*refRow {
	data, err := os.ReadFile("instructions.txt")
	if err != nil {
		panic(err)
	}
	sizes := map[string]int{"i8": 1, "i16": 2, "i32": 4, "i64": 8, "rel8": 1, "rel16": 2, "rel32": 4, "is4": 1, "i2(is4)": 0, "moffs": 8}
	rows := map[string][]*refRow{}
	sc := bufio.NewScanner(bytes.NewReader(data))
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		col := strings.Split(sc.Text(), "\t")
		r := &refRow{name: col[5], zx: col[7], flags: col[8]}
		for i, abi := range []ABI{X86_32, Classic, Halite} {
			r.verdict[abi] = strings.TrimSpace(col[i])
		}
		if col[4] != "-" {
			r.operands = strings.Fields(col[4])
		}
		for _, w := range strings.Fields(col[3]) {
			n, isImm := sizes[w]
			switch {
			case strings.HasPrefix(w, "XOP."):
				r.xop = true
			case strings.HasPrefix(w, "VEX."):
				r.vex = map[string]string{}
				for _, f := range strings.Split(w, ".")[1:] {
					if f == "vvvv" || f == "1111" {
						r.vex["vvvv"] = f
					} else {
						r.vex[f[:1]] = f[1:]
					}
				}
			case w == "reg":
				r.reg = true
			case w == "mem":
				r.mem = true
			case w[0] == '/':
				r.modrm = w[1:]
			case w[0] == '+':
				r.suffix = true
				v, err := strconv.ParseUint(w[1:], 16, 8)
				if err != nil {
					panic(sc.Text())
				}
				r.last = byte(v)
			case strings.HasPrefix(w, "W="):
				r.w = w[2:]
			case isImm:
				r.imm += n
				if strings.HasPrefix(w, "rel") {
					r.rel = n
				}
				r.is4 = r.is4 || w == "is4"
			case r.vex == nil && len(r.opcode) == 0 && (w == "66" || w == "f2" || w == "f3" || w == "f0"):
				r.prefix = strings.TrimSpace(r.prefix + " " + w)
			default:
				v, err := strconv.ParseUint(strings.TrimSuffix(w, "+r"), 16, 8)
				if err != nil {
					panic(sc.Text())
				}
				r.plus = strings.HasSuffix(w, "+r")
				r.opcode = append(r.opcode, byte(v))
			}
		}
		if r.xop {
			continue // none is accepted
		}
		// Index by the opcode bytes that can't vary, as hex; +r rows eight times.
		n := 1
		if r.plus {
			n = 8
		}
		for i := 0; i < n; i++ {
			op := append([]byte{}, r.opcode...)
			op[len(op)-1] += byte(i)
			key := fmt.Sprintf("%x", op)
			if r.vex != nil {
				key = "vex " + key
			}
			rows[key] = append(rows[key], r)
		}
	}
	return rows
})

func isLegacyPrefix(b byte) bool {
	return bytes.IndexByte([]byte{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3}, b) >= 0
}

// refInst is what refStep found out.
type refInst struct {
	n      int
	branch bool
	target int64 // relative to the text
	tp     bool
}

// refUnit and refPadding know the sequences by their bytes.
func refUnit(code []byte) int {
	for n := byte(0); n < 15; n++ {
		if n == 4 {
			continue
		}
		for _, op := range []byte{0xe0, 0xd0} {
			var seq []byte
			if n < 8 {
				seq = []byte{0x83, 0xe0 + n, 0xe0, 0x4c, 0x01, 0xf8 + n, 0xff, op + n}
			} else {
				seq = []byte{0x41, 0x83, 0xe0 + n - 8, 0xe0, 0x4d, 0x01, 0xf8 + n - 8, 0x41, 0xff, op + n - 8}
			}
			if bytes.HasPrefix(code, seq) {
				return len(seq)
			}
		}
	}
	return 0
}

func refPadding(code []byte) int {
	tail := []byte{0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}
	if bytes.HasPrefix(code, []byte{0x66, 0x0f, 0x1f, 0x44, 0, 0}) {
		return 6
	}
	if bytes.HasPrefix(code, append([]byte{0x66}, tail...)) {
		return 9
	}
	for n := 1; n <= 6; n++ {
		seq := append(append(bytes.Repeat([]byte{0x66}, n), 0x2e), tail...)
		if bytes.HasPrefix(code, seq) {
			return len(seq)
		}
	}
	return 0
}

// refStep judges the instruction at pos of a text at sandbox offset base. rest
// is the bundle's remainder.
func refStep(rest []byte, pos, base int64, thread uint32) (in refInst, why string) {
	if n := refUnit(rest); n > 0 {
		return refInst{n: n}, ""
	}
	if n := refPadding(rest); n > 0 {
		return refInst{n: n}, ""
	}
	i := 0
	next := func() (byte, bool) {
		if i >= len(rest) {
			return 0, false
		}
		i++
		return rest[i-1], true
	}
	// Prefixes in canonical order.
	var fs, gs, addr, lock bool
	mandatory := ""
	stage := 0
	var rex byte
	var b byte
prefixes:
	for {
		var ok bool
		if b, ok = next(); !ok {
			return in, "cut off"
		}
		s := 0
		switch b {
		case 0x64, 0x65:
			s = 1
		case 0x67:
			s = 2
		case 0x66:
			s = 3
		case 0xf0, 0xf2, 0xf3:
			s = 4
		case 0x26, 0x2e, 0x36, 0x3e:
			return in, "prefix"
		default:
			if b&0xf0 != 0x40 {
				break prefixes
			}
			s = 5
		}
		if s <= stage {
			return in, "prefix order"
		}
		stage = s
		switch {
		case b == 0x64:
			fs = true
		case b == 0x65:
			gs = true
		case b == 0x67:
			addr = true
		case b == 0xf0:
			lock = true
		case s == 5:
			rex = b
		default:
			mandatory = strings.TrimSpace(mandatory + " " + fmt.Sprintf("%02x", b))
		}
	}
	// Opcode.
	var candidates []*refRow
	vex := false
	var W, L, pp, m, vvvv byte
	R, X, B := rex>>2&1, rex>>1&1, rex&1
	W = rex >> 3 & 1
	var opcode byte
	key := ""
	if b == 0xc4 || b == 0xc5 {
		if rex != 0 || mandatory != "" || lock {
			return in, "prefix before VEX"
		}
		vex = true
		v, ok := next()
		if !ok {
			return in, "cut off"
		}
		R, m = 1-v>>7, 1
		if b == 0xc4 {
			X, B = 1-v>>6&1, 1-v>>5&1
			m = v & 31
			if v, ok = next(); !ok {
				return in, "cut off"
			}
			W = v >> 7
		}
		vvvv, L, pp = 15-v>>3&15, v>>2&1, v&3
		if opcode, ok = next(); !ok {
			return in, "cut off"
		}
		key = fmt.Sprintf("vex %02x", opcode)
	} else {
		opcode = b
		key = fmt.Sprintf("%02x", b)
		if b == 0x0f {
			c, ok := next()
			if !ok {
				return in, "cut off"
			}
			key += fmt.Sprintf("%02x", c)
			opcode = c
			if c == 0x38 || c == 0x3a {
				if c, ok = next(); !ok {
					return in, "cut off"
				}
				key += fmt.Sprintf("%02x", c)
				opcode = c
			}
		}
	}
	opEnd := i
	// Rows whose opcode ends in a fixed ModRM byte (x87 and a few others).
	candidates = append(candidates, refRows()[key]...)
	if opEnd < len(rest) && !vex {
		candidates = append(candidates, refRows()[key+fmt.Sprintf("%02x", rest[opEnd])]...)
	}
	var row *refRow
	for _, r := range candidates {
		isVex := r.vex != nil
		if isVex != vex || r.verdict[Halite] != "yes" {
			continue
		}
		if vex {
			want := func(f string, v byte) bool { return r.vex[f] == strconv.Itoa(int(v)) }
			if mm, _ := strconv.Atoi(r.vex["m"]); mm != int(m) {
				continue
			}
			if !want("W", W) || !want("L", L) || !want("p", pp) {
				continue
			}
		} else {
			if r.prefix != mandatory {
				continue
			}
			switch r.w {
			case "0", "*":
				if W != 0 {
					continue
				}
			case "1":
				if W != 1 {
					continue
				}
			case "norex":
				if rex != 0 {
					continue
				}
			}
			if strings.Contains(r.name, "nop") && r.modrm == "" && len(r.opcode) > 1 && r.name != "fnop" {
				continue // padding, and 90 with a REX
			}
		}
		if r.modrm != "" {
			if opEnd >= len(rest) {
				return in, "cut off"
			}
			mr := rest[opEnd]
			if r.reg != (mr >= 0xc0) {
				continue
			}
			if r.modrm != "r" && r.modrm != strconv.Itoa(int(mr>>3&7)) {
				continue
			}
		}
		row = r
		break
	}
	if row == nil {
		return in, "no such instruction"
	}
	// Operands.
	var reg, rm byte
	used := byte(0) // of R, X, B
	mem, rip, namesRSP := false, false, false
	var disp int64
	if row.modrm == "" && len(row.opcode) > 1 && !vex && strings.HasPrefix(key, fmt.Sprintf("%02x", row.opcode[0])) && len(key)/2 < len(row.opcode) {
		i++ // the fixed ModRM byte
	}
	if row.modrm != "" {
		mr, _ := next()
		mod := mr >> 6
		reg, rm = mr>>3&7|R<<3, mr&7|B<<3
		if mod != 3 {
			mem = true
			used = 3
			size := map[byte]int{0: 0, 1: 1, 2: 4}[mod]
			if mr&7 == 4 {
				sib, ok := next()
				if !ok {
					return in, "cut off"
				}
				base := sib & 7
				if base == 5 && mod == 0 {
					size = 4
				} else if base|B<<3 == 4 {
					namesRSP = true
				}
			} else if mr&7 == 5 && mod == 0 {
				rip, size = true, 4
			}
			if i+size > len(rest) {
				return in, "cut off"
			}
			if rip {
				disp = int64(int32(binary.LittleEndian.Uint32(rest[i:])))
			}
			i += size
		}
	}
	i += row.imm
	if row.suffix {
		i++
	}
	if i > len(rest) {
		return in, "cut off"
	}
	in.n = i
	// Prefixes.
	hasLock := strings.Contains(row.flags, "lock")
	if lock && !hasLock {
		return in, "lock"
	}
	if !mem && (fs || gs || addr) {
		return in, "prefix without memory"
	}
	if mem {
		addressOnly := strings.Contains(row.flags, "noaccess") && (row.name == "lea" || row.name == "nop")
		switch {
		case addressOnly:
			if fs || gs || addr && (row.name != "lea" || rip) {
				return in, "prefix on address"
			}
		case fs:
			want := []byte{0x64, 0x8b, 0x04 | reg&7<<3, 0x25, byte(thread), byte(thread >> 8), byte(thread >> 16), byte(thread >> 24)}
			wantRex := append([]byte{0x64, 0x40 | R<<2}, want[1:]...)
			if !bytes.Equal(rest[:i], want) && !bytes.Equal(rest[:i], wantRex) {
				return in, "fs"
			}
			in.tp = true
		case rip:
			if gs || addr {
				return in, "rip with prefix"
			}
			if t := base + pos + int64(i) + disp; t < 0x10000 || t+64 > 1<<32-0x10000 {
				return in, "rip range"
			}
		case !gs || !addr:
			return in, "not gs and 67"
		}
		if namesRSP {
			return in, "rsp"
		}
	}
	// Registers.
	branch := row.rel > 0
	vvvvUsed := false
	for _, o := range row.operands {
		name, access, _ := strings.Cut(o, ":")
		var r byte
		gpr, eight := true, strings.HasSuffix(name, "8") && !strings.HasPrefix(name, "imm")
		bitsOf := func(p string) bool {
			rest := strings.TrimPrefix(name, p)
			return rest != name && strings.Trim(rest, "0123456789N") == "" && rest != ""
		}
		switch {
		case bitsOf("reg"):
			r, used = reg, used|4
		case bitsOf("rm"):
			r, used = rm, used|1
		case bitsOf("opreg"):
			r, used = opcode&7|B<<3, used|1
		case bitsOf("vreg"):
			r, vvvvUsed = vvvv, true
			eight = false
		case strings.HasPrefix(name, "xreg"):
			gpr, used = false, used|4
		case strings.HasPrefix(name, "xrm"):
			gpr, used = false, used|1
		case strings.HasPrefix(name, "xvvvv"):
			gpr, vvvvUsed = false, true
		default:
			gpr = false
		}
		if !gpr {
			continue
		}
		if r == 4 && !(eight && rex == 0) {
			return in, "rsp"
		}
		if r == 15 && strings.Contains(access, "w") {
			return in, "r15"
		}
	}
	// Bits without a meaning.
	have := R<<2 | X<<1 | B
	if have&^used != 0 {
		return in, "unused extension"
	}
	if vex && vvvv != 0 && !vvvvUsed {
		return in, "vvvv"
	}
	if row.is4 && rest[i-1]&15 != 0 {
		return in, "is4"
	}
	if rex != 0 && (branch || row.name == "ret" || row.w == "norex" && key != "90") {
		return in, "REX"
	}
	// Direct branches.
	if branch {
		in.branch = true
		if row.rel == 1 {
			in.target = pos + int64(i) + int64(int8(rest[i-1]))
		} else {
			in.target = pos + int64(i) + int64(int32(binary.LittleEndian.Uint32(rest[i-4:])))
		}
	}
	return in, ""
}

// refValidate is Validate's yes or no.
func refValidate(text []byte, base int64, thread uint32) (bool, string) {
	_, why := refStarts(text, base, thread)
	return why == "", why
}

// refStarts returns where instructions begin, a bit for each byte.
func refStarts(text []byte, base int64, thread uint32) (mask []uint32, why string) {
	mask = make([]uint32, len(text)/BundleSize)
	var targets []int64
	for off := 0; off < len(text); off += BundleSize {
		for p := 0; p < BundleSize; {
			in, why := refStep(text[off+p:off+BundleSize], int64(off+p), base, thread)
			if why != "" {
				return nil, fmt.Sprintf("%#x: %s", off+p, why)
			}
			mask[off/BundleSize] |= 1 << p
			if in.branch {
				targets = append(targets, in.target)
			}
			p += in.n
		}
	}
	for _, t := range targets {
		if t >= 0 && t < int64(len(text)) {
			if mask[t/BundleSize]>>(t%BundleSize)&1 == 0 {
				return nil, fmt.Sprintf("branch into the middle: %#x", t)
			}
			continue
		}
		if s := base + t; s%32 != 0 || s < 0x10000 || s >= 1<<32-0x10000 {
			return nil, fmt.Sprintf("branch out: %#x", t)
		}
	}
	return mask, ""
}

// TestReferenceVectors: both validators agree about every vector.
func TestReferenceVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		if v.options.ABI != Halite || v.options.Features != 0 {
			continue
		}
		tp := v.options.ThreadPointer
		if tp == 0 {
			tp = DefaultThreadPointer
		}
		ok, why := refValidate(v.text, int64(v.options.Offset), uint32(tp))
		if ok != (v.rule == "") {
			t.Errorf("%s: the reference says %v (%s), the vector %q", v.name, ok, why, v.rule)
		}
	}
}

// newChecker prepares a checker for a text of one bundle.
func newChecker(base int64, thread uint32) *checker {
	return &checker{text: make([]byte, BundleSize), base: base, thread: thread, starts: make([]uint32, 1), jumped: make([]uint32, 1), hi: BundleSize}
}

// stepOne judges the instruction at the start of code, which is followed by
// nops up to the end of a bundle.
func (c *checker) stepOne(code []byte) (int, ruleID) {
	for i := copy(c.text, code); i < BundleSize; i++ {
		c.text[i] = 0x90
	}
	c.load(0)
	n, why := c.stepAny(0)
	c.threadLoad = 0
	return int(n), why
}

// agree fails when the two validators disagree about one instruction.
func agree(t *testing.T, c *checker, code []byte) bool {
	n, why := c.stepOne(code)
	in, rwhy := refStep(c.text, 0, c.base, c.thread)
	if in.branch && rwhy == "" {
		// Targets outside of the bundle are judged by both, inside by nobody.
		if x := in.target; x < 0 || x >= BundleSize {
			if s := c.base + x; s%32 != 0 || s < 0x10000 || s >= 1<<32-0x10000 {
				rwhy = "branch out"
			}
		}
	}
	if (why == ruleNone) != (rwhy == "") || why == ruleNone && n != in.n {
		t.Errorf("% x: validator %d %q, reference %d %q", c.text[:15], n, ruleText[why].name, in.n, rwhy)
		return false
	}
	return true
}

// sampleModRM has every digit in register and memory form, rsp as a register,
// SIB and rip-relative operands, and the x87 rows that matter.
var sampleModRM = []byte{
	0x00, 0x03, 0x04, 0x05, 0x0b, 0x0d, 0x13, 0x1b, 0x23, 0x24, 0x25, 0x2b, 0x33, 0x3b, 0x43, 0x44, 0x83, 0x84,
	0xc0, 0xc1, 0xc4, 0xc8, 0xcc, 0xd0, 0xd1, 0xd9, 0xda, 0xe0, 0xe4, 0xe8, 0xe9, 0xee, 0xf0, 0xf7, 0xf8, 0xf9, 0xfa, 0xfc, 0xff,
}

// thorough asks for the full length of tests that are sampled otherwise.
func thorough() bool { return os.Getenv("HALITE_THOROUGH") != "" }

// TestReferenceExhaustive compares the two on every opcode with every ModRM
// byte, under every prefix that may stand before it.
func TestReferenceExhaustive(t *testing.T) {
	c := newChecker(0x20000, 0x10)
	prefixes := [][]byte{
		{}, {0x66}, {0xf3}, {0xf2}, {0x66, 0xf3}, {0x66, 0xf2}, {0xf0}, {0x66, 0xf0},
		{0x65, 0x67}, {0x65, 0x67, 0x66}, {0x65, 0x67, 0xf3}, {0x65, 0x67, 0xf2}, {0x65, 0x67, 0x66, 0xf3}, {0x65, 0x67, 0x66, 0xf2},
		{0x65, 0x67, 0xf0}, {0x65, 0x67, 0x66, 0xf0}, {0x65}, {0x67}, {0x64},
	}
	rexes := []byte{0, 0x40, 0x41, 0x42, 0x44, 0x48, 0x4d, 0x4f}
	modrms := make([]byte, 256)
	for i := range modrms {
		modrms[i] = byte(i)
	}
	if !thorough() {
		rexes = []byte{0, 0x41, 0x4c}
		modrms = sampleModRM
	}
	maps := [][]byte{{}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}}
	tail := []byte{0x10, 0x00, 0x00, 0x00, 0x30, 0x00}
	bad, count := 0, 0
	for _, p := range prefixes {
		for _, rex := range rexes {
			for mi, m := range maps {
				for op := 0; op < 256; op++ {
					if mi == 0 && op == 0x0f || mi == 1 && (op == 0x38 || op == 0x3a) {
						continue
					}
					for _, mr := range modrms {
						code := append([]byte{}, p...)
						if rex != 0 {
							code = append(code, rex)
						}
						code = append(append(append(code, m...), byte(op), mr), tail...)
						count++
						if !agree(t, c, code) {
							if bad++; bad > 20 {
								t.Fatal("and more")
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d encodings", count)
}

// TestReferenceVEX does the same for VEX, over all of its fields.
func TestReferenceVEX(t *testing.T) {
	c := newChecker(0x20000, 0x10)
	bad, count := 0, 0
	modrms := sampleModRM
	if !thorough() {
		modrms = []byte{0x03, 0x24, 0x25, 0xc4, 0xe0, 0xff}
	}
	tail := []byte{0x24, 0x00, 0x00, 0x00, 0x30, 0x00}
	for _, p := range [][]byte{{}, {0x65, 0x67}, {0x66}} {
		for m := byte(0); m < 5; m++ {
			for rxb := byte(0); rxb < 8; rxb++ {
				for _, vvvv := range []byte{15, 11, 0} {
					for wlpp := byte(0); wlpp < 16; wlpp++ {
						if rxb != 7 && rxb != 0 && (wlpp&4 != 0 || !thorough()) || m == 0 && wlpp > 0 {
							continue
						}
						for op := 0; op < 256; op++ {
							for _, mr := range modrms {
								b2 := wlpp>>3<<7 | vvvv<<3 | wlpp&7
								code := append(append([]byte{}, p...), 0xc4, rxb<<5|m, b2, byte(op), mr)
								code = append(code, tail...)
								count++
								if !agree(t, c, code) {
									if bad++; bad > 20 {
										t.Fatal("and more")
									}
								}
								if m == 1 && rxb&3 == 3 && wlpp < 8 {
									code = append(append([]byte{}, p...), 0xc5, rxb>>2<<7|vvvv<<3|wlpp&7, byte(op), mr)
									code = append(code, tail...)
									count++
									if !agree(t, c, code) {
										if bad++; bad > 20 {
											t.Fatal("and more")
										}
									}
								}
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d encodings", count)
}
