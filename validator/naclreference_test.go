package validator

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A second validator for the two NaCl ABIs, in the manner of the one in
// reference_test.go: written to be read, sharing instructions.txt with the
// first one and nothing else.

// refNaCl is what one instruction or unit of a bundle comes to.
type refNaCl struct {
	n           int
	branch      bool
	target      int  // of the branch, from the start of the instruction
	zx          int  // the register that counts as zero-extended behind it, or -1
	dependent   bool // on the instruction before: nobody may jump to it
	nonTemporal bool
	unit        bool // an indirect jump
	head        int  // bytes in front of the displacement and immediate, where those may be changed; or 0
}

// eat takes one of the given strings, in hex, off the front.
func eat(b []byte, choices ...string) ([]byte, bool) {
	for _, c := range choices {
		want, err := hex.DecodeString(c)
		if err != nil {
			panic(c)
		}
		if bytes.HasPrefix(b, want) {
			return b[len(want):], true
		}
	}
	return b, false
}

func hexByte(format string, a ...any) string { return fmt.Sprintf(format, a...) }

// refJumpUnit is the length of a masked indirect jump or call, or 0.
func refJumpUnit(code []byte, abi ABI) int {
	for n := range 15 {
		if n > 7 && abi == X86_32 {
			break
		}
		b, ok := code, true
		r := n & 7
		switch {
		case abi == X86_32:
		case n < 8:
			b, _ = eat(b, "40", "42", "44", "46")
		default:
			b, ok = eat(b, "41", "43", "45", "47")
		}
		if b, ok = eat2(b, ok, hexByte("83%02xe0", 0xe0+r)); !ok {
			continue
		}
		if abi == Classic {
			if n < 8 {
				b, ok = eat(b, hexByte("4c01%02x", 0xf8+r), hexByte("4e01%02x", 0xf8+r), hexByte("4903%02x", 0xc7+8*r), hexByte("4b03%02x", 0xc7+8*r))
			} else {
				b, ok = eat(b, hexByte("4d01%02x", 0xf8+r), hexByte("4f01%02x", 0xf8+r), hexByte("4d03%02x", 0xc7+8*r), hexByte("4f03%02x", 0xc7+8*r))
			}
			if !ok {
				continue
			}
			if n < 8 {
				b, _ = eat(b, "40", "42", "44", "46", "48", "4a", "4c", "4e")
			} else if b, ok = eat(b, "41", "43", "45", "47", "49", "4b", "4d", "4f"); !ok {
				continue
			}
		}
		if b, ok = eat(b, hexByte("ff%02x", 0xe0+r), hexByte("ff%02x", 0xd0+r)); ok {
			return len(code) - len(b)
		}
	}
	return 0
}

func eat2(b []byte, ok bool, choices ...string) ([]byte, bool) {
	if !ok {
		return b, false
	}
	return eat(b, choices...)
}

// refStringUnit is the length of a string instruction or masked store behind what
// makes its registers addresses in the sandbox, or 0.
func refStringUnit(code []byte) int {
	prelude := func(b []byte, move, lea string) ([]byte, bool) {
		c, _ := eat(b, "40", "42")
		c, ok := eat(c, "89"+move, "8b"+move)
		if c, ok = eat2(c, ok, lea); ok {
			return c, true
		}
		return b, false
	}
	b, si := prelude(code, "f6", "498d3437")
	b, di := prelude(b, "ff", "498d3c3f")
	rep := func(op string, wide bool, prefixes ...string) []string {
		var all []string
		for _, p := range append(prefixes, "") {
			all = append(all, p+op)
		}
		if wide {
			all = append(all, "66"+op)
			for _, p := range append(prefixes, "") {
				all = append(all, p+"48"+op)
			}
		}
		return all
	}
	var bodies []string
	switch {
	case si && di:
		bodies = slices.Concat(rep("a4", false, "f3"), rep("a5", true, "f3"), rep("a6", false, "f3", "f2"), rep("a7", true, "f3", "f2"))
	case si:
		bodies = slices.Concat(rep("ac", false, "f3"), rep("ad", true, "f3"))
	case di:
		bodies = slices.Concat(rep("aa", false, "f3"), rep("ab", true, "f3"), rep("ae", false, "f3", "f2"), rep("af", true, "f3", "f2"))
	default:
		return 0
	}
	if rest, ok := eat(b, bodies...); ok {
		return len(code) - len(rest)
	}
	if si {
		return 0
	}
	// maskmovq, maskmovdqu, vmaskmovdqu
	c, ok := eat(b, "c5f9f7", "c579f7", "c4e179f7", "c46179f7", "c4c179f7", "c44179f7")
	if !ok {
		c, _ = eat(b, "66")
		if len(c) > 0 && c[0]&0xf0 == 0x40 {
			c = c[1:]
		}
		if c, ok = eat(c, "0ff7"); !ok {
			return 0
		}
	}
	if len(c) == 0 || c[0] < 0xc0 {
		return 0
	}
	return len(code) - len(c) + 1
}

// refFixUp is the length of what makes a full address of a register whose upper
// half was cleared just before, or 0.
func refFixUp(code []byte, reg int) int {
	forms := map[int][]string{
		4: {"4c01fc", "4e01fc", "4903e7", "4b03e7", "4c09fc", "4e09fc", "490be7", "4b0be7", "4a8d243c", "4a8d643c00", "4a8da43c00000000"},
		5: {"4c01fd", "4e01fd", "4903ef", "4b03ef", "4a8d6c3d00", "4a8dac3d00000000"},
	}
	if rest, ok := eat(code, forms[reg]...); ok {
		return len(code) - len(rest)
	}
	return 0
}

// refFree recognises the writes of the stack and frame pointer that need nothing.
func refFree(code []byte) bool {
	if _, ok := eat(code, "4889e5", "4a89e5", "488bec", "4a8bec", "4889ec", "4a89ec", "488be5", "4a8be5"); ok {
		return true
	}
	return len(code) == 4 && bytes.HasPrefix(code, []byte{0x48, 0x83, 0xe4}) && code[3] >= 0x80
}

// refNaClStep judges what stands at the front of rest, the remainder of a bundle.
// before is the register that the instruction before zero-extended, or -1.
func refNaClStep(rest []byte, abi ABI, before int) (in refNaCl, why string) {
	in.zx = -1
	if before == 4 || before == 5 {
		if n := refFixUp(rest, before); n > 0 {
			in.n, in.dependent = n, true
			return in, ""
		}
		return in, "stack or frame pointer left alone"
	}
	n := refJumpUnit(rest, abi)
	in.unit = n > 0
	if n == 0 && abi == Classic {
		n = refStringUnit(rest)
	}
	if n == 0 {
		n = refPadding(rest)
	}
	if n == 0 && abi == X86_32 && len(rest) > 1 && rest[0] == 0x65 {
		for _, at := range []string{"00000000", "04000000"} {
			b, ok := eat(rest, "65a1"+at)
			for r := 0; r < 8 && !ok; r++ {
				b, ok = eat(rest, hexByte("658b%02x", 0x05+8*r)+at)
			}
			if ok {
				n = len(rest) - len(b)
			}
		}
	}
	if n > 0 {
		in.n = n
		return in, ""
	}
	// Prefixes: each once, REX last.
	i := 0
	seen := map[byte]bool{}
	var order []byte
	rex := byte(0)
	for ; ; i++ {
		if i == len(rest) {
			return in, "cut off"
		}
		b := rest[i]
		if abi == Classic && b&0xf0 == 0x40 {
			rex = b
			i++
			break
		}
		if !isLegacyPrefix(b) {
			break
		}
		if seen[b] {
			return in, "prefix twice"
		}
		seen[b] = true
		order = append(order, b)
	}
	for _, b := range []byte{0x26, 0x36, 0x64, 0x65, 0x67} {
		if seen[b] {
			return in, "prefix"
		}
	}
	if i >= len(rest) {
		return in, "cut off"
	}
	R, X, B, W := int(rex>>2&1), int(rex>>1&1), int(rex&1), rex>>3&1
	// Opcode.
	b := rest[i]
	var L, pp, m, vvvv byte
	vex := (b == 0xc4 || b == 0xc5) && (abi == Classic || i+1 < len(rest) && rest[i+1] >= 0xc0)
	key := ""
	if vex {
		if rex != 0 || len(order) > 0 {
			return in, "prefix before VEX"
		}
		size := map[byte]int{0xc5: 3, 0xc4: 4}[b]
		if i+size > len(rest) {
			return in, "cut off"
		}
		f := rest[i+1]
		R, X, B, m = 1-int(f>>7), 0, 0, 1
		last := f
		if b == 0xc4 {
			X, B, m = 1-int(f>>6&1), 1-int(f>>5&1), f&31
			last = rest[i+2]
			W = last >> 7
		}
		vvvv, L, pp = 15-last>>3&15, last>>2&1, last&3
		if abi == X86_32 && (R+X+B > 0 || vvvv > 7) {
			return in, "VEX in 32 bits"
		}
		key = hexByte("vex %02x", rest[i+size-1])
		i += size
	} else {
		key = hexByte("%02x", b)
		i++
		for range 2 {
			if key == "0f" || key == "0f38" || key == "0f3a" {
				if i == len(rest) {
					return in, "cut off"
				}
				key += hexByte("%02x", rest[i])
				i++
			}
		}
	}
	opcode := rest[i-1]
	// Rows.
	candidates := slices.Clone(refRows()[key])
	if i < len(rest) && !vex {
		candidates = append(candidates, refRows()[key+hexByte("%02x", rest[i])]...)
	}
	var row *refRow
	for _, r := range candidates {
		if r.verdict[abi] == "-" || (r.vex != nil) != vex {
			continue
		}
		if vex {
			if r.vex["m"] != fmt.Sprintf("%02d", m) || r.vex["W"] != strconv.Itoa(int(W)) || r.vex["L"] != strconv.Itoa(int(L)) || r.vex["p"] != strconv.Itoa(int(pp)) {
				continue
			}
		} else {
			repeats := abi == X86_32 && strings.Contains(r.flags, "rep")
			have := ""
			for _, p := range []byte{0x66, 0xf2, 0xf3} {
				if seen[p] && !(repeats && p != 0x66) {
					have += hexByte("%02x", p)
				}
			}
			want := strings.Fields(r.prefix)
			slices.Sort(want)
			if strings.Join(want, "") != have {
				continue
			}
			if (r.w == "0" && W != 0) || (r.w == "1" && W != 1) || r.w == "norex" && rex != 0 {
				continue
			}
			if strings.Contains(r.name, "nop") && r.modrm == "" && len(r.opcode) > 1 && r.name != "fnop" {
				continue // padding
			}
			if r.prefix != "" && strings.Contains(r.prefix, "66") && r.w == "0" && W != 0 {
				continue
			}
		}
		if r.modrm != "" {
			if i >= len(rest) {
				return in, "cut off"
			}
			if mr := rest[i]; r.reg != (mr >= 0xc0) || r.modrm != "r" && r.modrm != strconv.Itoa(int(mr>>3&7)) {
				continue
			}
		}
		row = r
		if r.verdict[abi] != "no" && !r.suffix {
			break
		}
		if r.suffix {
			// Which of them it is tells the last byte.
			end := refEnd(rest, i, 1)
			if end < 0 {
				return in, "cut off"
			}
			if rest[end-1] == r.last {
				break
			}
			row = nil
		}
	}
	if row == nil {
		return in, "no such instruction"
	}
	switch row.verdict[abi] {
	case "yes":
	case "rewrite":
		in.nonTemporal = true
	default:
		return in, "not allowed: " + row.verdict[abi]
	}
	// Operands.
	start := i
	if row.modrm == "" && len(row.opcode) > 1 && !vex && len(strings.TrimPrefix(key, "vex "))/2 < len(row.opcode) {
		start++ // a fixed ModRM byte
	}
	reg, rm := 0, 0
	base, index := -1, -1
	mem, rip, sib := false, false, false
	end := start
	if row.modrm != "" {
		mr := int(rest[i])
		reg, rm = mr>>3&7|R<<3, mr&7|B<<3
		mem = mr < 0xc0
		if end = refEnd(rest, i, 0); end < 0 {
			return in, "cut off"
		}
		if mem {
			base = rm
			if mr&7 == 4 {
				sib = true
				s := int(rest[i+1])
				base = s&7 | B<<3
				if index = s>>3&7 | X<<3; index == 4 {
					index = -1
				}
				if s&7 == 5 && mr>>6 == 0 {
					base = -1
				}
			} else if mr&7 == 5 && mr>>6 == 0 {
				rip = true
			}
		}
	}
	imm := row.imm
	if abi == X86_32 && slices.ContainsFunc(row.operands, func(o string) bool { return strings.HasPrefix(o, "moffs") }) {
		imm = 4
	}
	if row.suffix {
		imm++
	}
	if end += imm; end > len(rest) {
		return in, "cut off"
	}
	in.n = end
	code := rest[:end]
	if strings.Contains(row.flags, "modif") {
		in.head = start
		if row.modrm != "" {
			in.head++
			if sib {
				in.head++
			}
		}
	}
	// Prefixes that the row has to allow.
	if seen[0xf0] {
		if !mem || !strings.Contains(row.flags, "lock") {
			return in, "lock"
		}
		if abi == X86_32 && slices.Index(order, 0x66) > slices.Index(order, 0xf0) {
			return in, "66 behind lock"
		}
	}
	if seen[0x2e] || seen[0x3e] {
		if len(order) != 1 || !strings.Contains(row.flags, "branch_hint") {
			return in, "hint"
		}
	}
	if abi == X86_32 && (seen[0xf2] || seen[0xf3]) && strings.Contains(row.flags, "rep") && row.prefix != "f2" && row.prefix != "f3" {
		switch {
		case seen[0x66], seen[0xf2] && seen[0xf3]:
			return in, "66 with a repetition"
		case seen[0xf2] && !strings.Contains(row.flags, "condrep"):
			return in, "repne"
		}
	}
	// Registers that the row names.
	type dest struct {
		r     int
		wide  bool // 32 bits
		where string
	}
	var writes []dest
	usesR, usesB, usesV := false, false, false
	for _, o := range row.operands {
		name, access, _ := strings.Cut(o, ":")
		bits := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyzDISX")
		var r int
		kind := strings.TrimSuffix(name, bits)
		switch kind {
		case "reg":
			r, usesR = reg, true
		case "rm":
			r, usesB = rm, true
		case "opreg":
			r = int(opcode&7) | B<<3
		case "acc":
			r = 0
		case "vreg":
			r, usesV = int(vvvv), true
		case "xreg":
			usesR = true
			continue
		case "xrm":
			usesB = true
			continue
		case "xvvvv":
			usesV = true
			continue
		default:
			continue
		}
		if mem && kind == "rm" || !strings.Contains(access, "w") {
			continue
		}
		if bits == "8" && kind != "acc" && rex == 0 && r > 3 && r < 8 {
			continue // %ah and its kind
		}
		writes = append(writes, dest{r, bits == "32", kind})
	}
	if vex {
		if R == 1 && !usesR || X == 1 && !sib || B == 1 && !(mem && !rip) && !(usesB && !mem) {
			return in, "VEX bit without a use"
		}
		if row.vex["vvvv"] == "1111" && vvvv != 0 {
			return in, "vvvv"
		}
		_ = usesV
		if row.is4 && (code[end-1]&15 != 0 || abi == X86_32 && code[end-1]&0x80 != 0) {
			return in, "is4"
		}
	}
	if abi == Classic {
		if mem && !strings.Contains(row.flags, "noaccess") && !strings.HasPrefix(row.name, "prefetch") {
			if !rip && base != 15 && base != 4 && base != 5 {
				return in, "base"
			}
			if index >= 0 {
				if index != before {
					return in, "index"
				}
				in.dependent = true
			}
		}
		extended := -1
		nop := opcode == 0x90 && key == "90" && B == 0
		if row.zx == "yes" && !nop {
			// Of two destinations the one in r/m, or in the opcode, counts.
			for i, d := range writes {
				if d.wide && (in.zx < 0 || d.where == "rm" || d.where == "opreg") {
					in.zx, extended = d.r, i
				}
			}
		}
		for i, d := range writes {
			switch {
			case nop:
			case d.r == 15:
				return in, "r15"
			case d.r != 4 && d.r != 5:
			case i == extended:
			case refFree(code[len(order):]) && len(order) == 0:
			default:
				return in, "stack or frame pointer"
			}
		}
	}
	if row.rel > 0 {
		in.branch = true
		if row.rel == 1 {
			in.target = end + int(int8(code[end-1]))
		} else {
			in.target = end + int(int32(binary.LittleEndian.Uint32(code[end-4:])))
		}
	}
	return in, ""
}

// refEnd is the end of the ModRM byte at i with what belongs to it and extra bytes
// behind, or -1.
func refEnd(rest []byte, i, extra int) int {
	if i >= len(rest) {
		return -1
	}
	mr := rest[i]
	end := i + 1
	switch mr >> 6 {
	case 1:
		end++
	case 2:
		end += 4
	}
	if mr < 0xc0 && mr&7 == 4 {
		if end >= len(rest) {
			return -1
		}
		if mr>>6 == 0 && rest[i+1]&7 == 5 {
			end += 4
		}
		end++
	} else if mr>>6 == 0 && mr&7 == 5 {
		end += 4
	}
	if end += extra; end > len(rest) {
		return -1
	}
	return end
}

// refNaClValidate is the verdict as in the corpora: "V MASK", "N MASK" or "I".
func refNaClValidate(text []byte, abi ABI) (line, why string) {
	mask := make([]uint32, len(text)/BundleSize)
	var targets []int
	nonTemporal := false
	for off := 0; off < len(text); off += BundleSize {
		zx := -1
		for p := off; p < off+BundleSize; {
			in, why := refNaClStep(text[p:off+BundleSize], abi, zx)
			if why != "" {
				return "I", fmt.Sprintf("%#x: %s", p, why)
			}
			if !in.dependent {
				mask[off/BundleSize] |= 1 << (p - off)
			}
			if in.branch {
				targets = append(targets, p+in.target)
			}
			nonTemporal = nonTemporal || in.nonTemporal
			zx = in.zx
			p += in.n
		}
		if zx == 4 || zx == 5 {
			return "I", fmt.Sprintf("%#x: the bundle ends with a stack or frame pointer left alone", off+BundleSize)
		}
	}
	for _, t := range targets {
		if t%BundleSize == 0 {
			continue
		}
		if t < 0 || t >= len(text) || mask[t/BundleSize]>>(t%BundleSize)&1 == 0 {
			return "I", fmt.Sprintf("branch to %#x", t)
		}
	}
	line = "V "
	if nonTemporal {
		line = "N "
	}
	for _, w := range mask {
		line += fmt.Sprintf("%08x", w)
	}
	return line, ""
}

// refReplace says whether new may take the place of old, which threads may be
// executing: by the rules of nacl for its ABIs, and for halite as for x86-32.
func refReplace(old, new []byte, abi ABI) (why string) {
	step := func(text []byte, p, edge, zx int) (in refNaCl, why string) {
		if abi != Halite {
			return refNaClStep(text[p:edge], abi, zx)
		}
		h, why := refStep(text[p:edge], int64(p), corpusOffset, DefaultThreadPointer)
		return refNaCl{n: h.n, branch: h.branch, target: int(h.target) - p, zx: -1, unit: refUnit(text[p:edge]) > 0}, why
	}
	mask := make([]uint32, len(new)/BundleSize)
	type jump struct {
		to   int
		same bool
	}
	var jumps []jump
	for off := 0; off < len(new); off += BundleSize {
		zx := -1
		units := map[int]bool{}
		starts := map[int]bool{}
		if abi != Classic {
			for p := off; p < off+BundleSize; {
				in, why := step(old, p, off+BundleSize, -1)
				if why != "" {
					return "old: " + why
				}
				starts[p], units[p] = true, in.unit
				p += in.n
			}
		}
		for p := off; p < off+BundleSize; {
			in, why := step(new, p, off+BundleSize, zx)
			if why != "" {
				return why
			}
			is, was := new[p:p+in.n], old[p:p+in.n]
			same := bytes.Equal(is, was)
			switch {
			case in.nonTemporal:
				return "non-temporal"
			case same:
			case abi == Classic && (in.unit || in.head == 0 || !bytes.Equal(is[:in.head], was[:in.head])):
				return "not to be changed"
			case in.unit || units[p]:
				return "a unit changes"
			}
			if abi != Classic && (!starts[p] || in.unit != units[p]) {
				return "other starts"
			}
			delete(starts, p)
			if !in.dependent {
				mask[off/BundleSize] |= 1 << (p - off)
			}
			if in.branch {
				jumps = append(jumps, jump{p + in.target, same})
			}
			zx = in.zx
			p += in.n
		}
		if zx == 4 || zx == 5 {
			return "stack pointer left alone"
		}
		if len(starts) > 0 {
			return "fewer starts"
		}
	}
	for _, j := range jumps {
		inside := j.to >= 0 && j.to < len(new)
		aligned := j.to%BundleSize == 0
		switch {
		case inside && (aligned || mask[j.to/BundleSize]>>(j.to%BundleSize)&1 != 0):
		case inside:
			return "jump into the middle"
		case j.same:
		case aligned && (abi != Halite || corpusOffset+j.to >= SandboxStart && corpusOffset+j.to < SandboxEnd):
		default:
			return "jump out"
		}
	}
	return ""
}

// TestReplacementReference replaces programs of our corpora by changed ones: bytes
// changed in the middle, instructions changed for others, displacements.
func TestReplacementReference(t *testing.T) {
	for abi := Halite; abi <= X86_32; abi++ {
		t.Run(abi.String(), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(uint64(abi), 7))
			n, allowed := 0, 0
			var programs [][]byte
			for _, line := range ownCorpusLines(t, abi) {
				if f := strings.Fields(line); f[0] == "V" {
					programs = append(programs, corpusText(t, f[1]))
				}
			}
			for i, old := range programs {
				if i%6 != 0 && !thorough() {
					continue
				}
				for k := range 6 {
					new := bytes.Clone(old)
					switch k {
					case 0: // another program of the same size
						if x := programs[(i+1)%len(programs)]; len(x) == len(old) {
							new = bytes.Clone(x)
						}
					case 1: // one instruction copied over another place
						from, to := rnd.IntN(len(new)), rnd.IntN(len(new))
						copy(new[to:min(len(new), to+8)], old[from:min(len(old), from+1+rnd.IntN(8))])
					default:
						new[rnd.IntN(min(len(new), 12))] = byte(rnd.Uint32())
					}
					want := refReplace(old, new, abi)
					was := bytes.Clone(new)
					r, err := ValidateReplacement(old, new, Options{ABI: abi, Offset: corpusOffset})
					if err != nil {
						t.Fatal(err)
					}
					if n++; want == "" {
						allowed++
					}
					if r.OK() != (want == "") || !bytes.Equal(was, new) {
						t.Errorf("% x\n% x\nvalidator: %v, reference: %q", trimNops(old), trimNops(new), r.Err(), want)
					}
				}
				if t.Failed() && i > 100 {
					t.FailNow()
				}
			}
			t.Logf("%d replacements, %d allowed", n, allowed)
			if allowed < n/20 {
				t.Errorf("only %d of %d are allowed", allowed, n)
			}
		})
	}
}

// agreeNaCl fails when the two validators disagree about a text.
func agreeNaCl(t *testing.T, text []byte, abi ABI) bool {
	t.Helper()
	r, err := Validate(text, Options{ABI: abi, CollectTargets: true})
	if err != nil {
		t.Fatal(err)
	}
	got := verdictLine(r)
	want, why := refNaClValidate(text, abi)
	if got != want {
		t.Errorf("%s: % x: validator %s, reference %s\nvalidator: %v\nreference: %s", abi, trimNops(text), got, want, r.Err(), why)
	}
	return got == want
}

// TestReferenceCorpus compares the reference with the recorded corpora, of which
// it takes a part when nobody wants to wait.
func TestReferenceCorpus(t *testing.T) {
	for _, c := range []struct {
		name string
		abi  ABI
	}{{"testdata32", X86_32}, {"testdata64", Classic}, {"insn32", X86_32}, {"insn64", Classic}, {"multi32", X86_32}, {"multi64", Classic}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			n, wrong := 0, 0
			eachCorpusLine(t, c.name, func(f []string) {
				if f[0] != "V" && f[0] != "N" && f[0] != "I" {
					f = f[1:]
				}
				mu.Lock()
				n++
				skip := n%23 != 0 && !thorough() && !strings.HasPrefix(c.name, "testdata")
				mu.Unlock()
				if skip {
					return
				}
				text := corpusText(t, f[1])
				line, why := refNaClValidate(text, c.abi)
				want := f[0]
				if want != "I" {
					want += " " + f[2]
				}
				if line == want {
					return
				}
				var at int
				if _, err := fmt.Sscanf(why, "%v: index", &at); err == nil && f[0] == "V" && at > 1 && text[at-1] == 0x90 && text[at-2]&^6 == 0x40 {
					return // the original's defect, see extendsNop
				}
				mu.Lock()
				defer mu.Unlock()
				if wrong++; wrong <= 20 {
					t.Errorf("%s: %s (%s), want %s", f[1], line, why, want)
				}
			})
			if wrong > 20 {
				t.Errorf("%d lines differ", wrong)
			}
		})
	}
}

// FuzzNaCl holds the fast validator against the slow one.
func FuzzNaCl(f *testing.F) {
	for _, v := range readVectors(f) {
		if v.options.ABI != Halite {
			f.Add(v.text, v.options.ABI == X86_32)
		}
	}
	m := corpusMaker{abi: Classic}
	for _, s := range m.sequences() {
		f.Add(s, false)
	}
	m.abi = X86_32
	for _, s := range m.sequences() {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text []byte, narrow bool) {
		if len(text) > 1<<10 {
			return
		}
		for len(text)%BundleSize != 0 {
			text = append(text, 0x90)
		}
		abi := Classic
		if narrow {
			abi = X86_32
		}
		agreeNaCl(t, text, abi)
	})
}
