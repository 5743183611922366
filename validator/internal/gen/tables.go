package main

import (
	"bytes"
	"fmt"
	"go/format"
	"sort"
	"strconv"
	"strings"
)

// The generated tables, in words. For 64-bit mode, and for 32-bit mode with
// other names:
//
//	legacyCells64[page][opcode]  page = ((map*6 + prefix) * 2) + W
//	vexCells64[page][opcode]     page = (((map-1)*4 + pp) * 2 + W) * 2 + L
//
// where map is 0 (one byte), 1 (0f), 2 (0f 38), 3 (0f 3a), and prefix is one
// of none, 66, f3, f2, 66 f3, 66 f2. A cell is 0 (no such instruction), or a
// kind in its two upper bits and an index:
//
//	kind 0  no ModRM byte; the index is that of a form
//	kind 1  narrow group: forms by reg field, 8 for mod=3, then 8 for memory
//	kind 2  wide group: forms by the whole ModRM byte for mod=3 (64), then 8
//
// A form is what an instruction with that encoding does as far as a validator
// cares; equal forms are one. Both modes share them.
const (
	prefixes  = 6
	cellShift = 14
	narrowLen = 16
	wideLen   = 72
)

var prefixIndex = map[string]int{"": 0, "66": 1, "f3": 2, "f2": 3, "66 f3": 4, "66 f2": 5}

// verdicts of the classic and x86-32 columns; 0 is yes.
var naclVerdict = map[string]string{
	"yes": "0", "no": "verdictNo", "off": "verdictOff", "rewrite": "verdictRewrite", "seq": "verdictSequence", "-": "verdictNo",
}

// A form, as Go source, so that equal ones compare equal.
type form struct {
	flags  string // Go expression
	imm    int
	halite string
	clas   string
	x32    string
	need   string // Go name of the features that it needs
}

func (f form) literal() string {
	return fmt.Sprintf("{%s, %d, [3]ruleID{%s, %s, %s}, %s}", f.flags, f.imm, f.halite, f.clas, f.x32, f.need)
}

// needs maps the feature column to the constants of features.go. LZCNT and
// TZCNT are missing on purpose: processors without them execute bsr and bsf.
var needs = map[string]string{
	"": "0", "LZCNT": "0", "TZCNT": "0",
	"x87": "needX87", "MMX": "needMMX", "SSE": "needSSE", "SSE2": "needSSE2", "SSE3": "needSSE3",
	"SSSE3": "needSSSE3", "SSE41": "needSSE41", "SSE42": "needSSE42", "SSE4A": "needSSE4A",
	"EMMXSSE": "needEMMXOrSSE", "3DNOW": "need3DNow", "E3DNOW": "needE3DNow", "3DPRFTCH": "needPrefetch",
	"CMOV": "needCMOV", "CMOVx87": "needCMOVx87", "CX8": "needCX8", "CX16": "needCX16", "TSC": "needTSC",
	"LAHF": "needLAHF", "MOVBE": "needMOVBE", "POPCNT": "needPOPCNT",
	"AVX": "needAVX", "AVX2": "needAVX2", "FMA": "needFMA", "F16C": "needF16C",
	"AES": "needAES", "AESAVX": "needAESAVX", "CLMUL": "needCLMUL", "CLMULAVX": "needCLMULAVX",
	"BMI1": "needBMI1", "BMI2": "needBMI2", "ADX": "needADX", "SHA": "needSHA",
	"VAES": "needVAES", "VPCLMUL": "needVPCLMUL",
}

// ruleConst is the Go name of the rule that the halite column names.
func ruleConst(v string) string {
	if v == "yes" {
		return "0"
	}
	s := ""
	for _, w := range strings.Split(v, "-") {
		s += w[:1] + strings.ToLower(w[1:])
	}
	return "rule" + s
}

func makeForm(r *row, mode32 bool) (form, error) {
	var fl []string
	add := func(s string) { fl = append(fl, s) }
	vvvv := false
	for _, o := range r.operands {
		name, access, ok := strings.Cut(o, ":")
		if !ok {
			return form{}, fmt.Errorf("operand %q", o)
		}
		name = strings.TrimSuffix(name, ".y")
		written := strings.Contains(access, "w")
		gpr := func(field string, bits string) {
			add("f" + field + "GPR")
			if written {
				add("f" + field + "Written")
			}
			if bits == "8" {
				add("f" + field + "8")
			}
		}
		isBits := func(s string) bool {
			return s == "8" || s == "16" || s == "32" || s == "64" || s == "N"
		}
		switch {
		case name == "mem":
			add("fMem")
		case strings.HasPrefix(name, "opreg") && isBits(name[5:]):
			add("fOpExt")
			gpr("Op", name[5:])
		case strings.HasPrefix(name, "reg") && isBits(name[3:]):
			add("fRegExt")
			gpr("Reg", name[3:])
		case strings.HasPrefix(name, "rm") && isBits(name[2:]):
			add("fRmExt")
			gpr("Rm", name[2:])
		case strings.HasPrefix(name, "vreg") && isBits(name[4:]):
			vvvv = true
			gpr("Vex", "")
		case name == "xreg":
			add("fRegExt")
		case name == "xrm":
			add("fRmExt")
		case name == "xvvvv":
			vvvv = true
		case name == "mmreg", name == "mmrm", name == "xis4", name == "sreg", name == "creg",
			name == "sti", name == "st0", name == "xmm0":
		case strings.HasPrefix(name, "imm"), strings.HasPrefix(name, "rel"), strings.HasPrefix(name, "moffs"):
		case strings.HasPrefix(name, "acc"), strings.HasPrefix(name, "cx"), strings.HasPrefix(name, "dx"),
			strings.HasPrefix(name, "port"), strings.HasPrefix(name, "esDI"), strings.HasPrefix(name, "dsSI"),
			strings.HasPrefix(name, "dsBX"):
		default:
			return form{}, fmt.Errorf("operand %q is of no kind that we know", o)
		}
	}
	if r.form == "mem" && !has(fl, "fMem") {
		return form{}, fmt.Errorf("memory form without a memory operand")
	}
	if r.vex != "" {
		switch {
		case strings.Contains(r.vex, ".vvvv"):
			// The original lets vvvv be anything in some forms that have no
			// operand there. CPUs raise #UD, and so does the halite ABI.
			if vvvv {
				add("fVexUsed")
			} else {
				add("fVexLoose")
			}
		case vvvv:
			return form{}, fmt.Errorf("an operand is in vvvv, which must be 1111")
		}
	}
	imm := 0
	for _, i := range r.imm {
		imm += immSize[i]
		if i == "moffs" && mode32 {
			imm -= 4
		}
		switch i {
		case "is4":
			add("fIs4")
		case "rel8":
			add("fRel8")
		case "rel32":
			add("fRel32")
		}
	}
	if r.suffix != "" {
		imm++
		add("fSuffix")
	}
	if r.w == "norex" {
		add("fNoREX")
	}
	if r.zx == "yes" {
		role := zeroExtended(r.operands)
		if role == "" {
			return form{}, fmt.Errorf("zero-extends what?")
		}
		add(role)
	}
	for _, f := range r.flags {
		switch f {
		case "lock":
			add("fLock")
		case "noaccess":
			// A prefetch touches caches and translations of its address; only
			// lea and nop touch nothing.
			if strings.HasPrefix(r.name, "prefetch") || r.name == "nop/reserved" {
				add("fHint")
			} else {
				add("fAddressOnly")
			}
		case "rep":
			add("fRep")
		case "condrep":
			add("fCondRep")
		case "branch_hint":
			add("fBranchHint")
		case "modif":
			// Of use when code is replaced, where sameHead knows the opcodes.
		default:
			return form{}, fmt.Errorf("flag %q", f)
		}
	}
	if r.name == "ret" {
		add("fRet")
	}
	if r.name == "lea" {
		add("fLea")
		if !has(fl, "fAddressOnly") {
			return form{}, fmt.Errorf("lea accesses memory?")
		}
	}
	sort.Strings(fl)
	fl = uniq(fl)
	expr := strings.Join(fl, " | ")
	if expr == "" {
		expr = "0"
	}
	nc, ok1 := naclVerdict[r.classic]
	nx, ok2 := naclVerdict[r.x32]
	if !ok1 || !ok2 {
		return form{}, fmt.Errorf("verdicts %q %q", r.x32, r.classic)
	}
	need, ok := needs[r.feature]
	if !ok {
		if r.halite == "yes" || r.classic == "yes" || r.x32 == "yes" {
			return form{}, fmt.Errorf("feature %q", r.feature)
		}
		need = "0"
	}
	if r.suffix != "" {
		need = "need3DNow" // the suffix tells when it needs more
	}
	halite := only32(r)
	if r.halite != "-" {
		halite = ruleConst(r.halite)
	}
	return form{expr, imm, halite, nc, nx, need}, nil
}

// only32 names the reason for refusing a form that only 32-bit mode has.
func only32(r *row) string {
	switch {
	case r.x32 == "yes":
		return "0"
	case r.name == "call" || r.name == "jmp":
		return "ruleJumpIndirect"
	case r.name == "lcall" || r.name == "ljmp":
		return "ruleFar"
	case r.name == "into":
		return "ruleSyscall"
	case r.name == "les" || r.name == "lds":
		return "ruleSegment"
	}
	for _, o := range r.operands {
		if strings.HasPrefix(o, "sreg") {
			return "ruleSegment"
		}
	}
	return "ruleNaCl"
}

// zeroExtended says which operand of a form the NaCl ABIs take for
// zero-extended: the r/m operand where two are written.
func zeroExtended(operands []string) string {
	for _, role := range [][2]string{{"rm32", "fZxRm"}, {"reg32", "fZxReg"}, {"opreg32", "fZxOp"}, {"acc32", "fZxAcc"}} {
		for _, o := range operands {
			if name, access, _ := strings.Cut(o, ":"); name == role[0] && strings.Contains(access, "w") {
				return role[1]
			}
		}
	}
	return ""
}

func has(l []string, s string) bool {
	for _, x := range l {
		if x == s {
			return true
		}
	}
	return false
}

func uniq(l []string) []string {
	var o []string
	for i, s := range l {
		if i == 0 || s != l[i-1] {
			o = append(o, s)
		}
	}
	return o
}

// A cell collects the forms of one opcode before it is put into a group.
type cell struct {
	direct *form
	reg    [64]*form // by ModRM byte minus c0
	mem    [8]*form
	modrm  bool
}

type cellKey struct {
	mode32 bool
	vex    bool
	page   int
	op     int
}

func tables(rows []*row) ([]byte, error) {
	t := &tableSet{cells: map[cellKey]*cell{}}
	for _, mode32 := range []bool{false, true} {
		for _, r := range rows {
			if err := t.add(r, mode32); err != nil {
				return nil, err
			}
		}
	}
	return t.emit()
}

// A tableSet collects what the tables of both modes will hold.
type tableSet struct {
	cells    map[cellKey]*cell
	exact    []string
	suffixes [2][4]uint64 // of 3DNow!, and of its extension
}

// add puts a row into the cells of one mode.
func (t *tableSet) add(r *row, mode32 bool) error {
	if !mode32 && r.classic == "-" || mode32 && (r.x32 == "-" || r.w == "1") {
		return nil // not encodable in this mode
	}
	fail := func(f string, a ...any) error {
		return fmt.Errorf("%s (%s): %s", r.name, r.encoding(), fmt.Sprintf(f, a...))
	}
	if strings.HasPrefix(r.vex, "XOP") {
		// The decoder knows no XOP: 8f with a reg field is no instruction.
		if r.halite == "yes" || r.classic == "yes" {
			return fail("XOP")
		}
		return nil
	}
	if r.opcode[0] == "65" && len(r.opcode) > 1 {
		return nil // thread pointer loads of 32-bit mode: code compares them
	}
	if strings.Contains(r.name, "nop") && r.modrm == "" && len(r.opcode) > 1 && r.opcode[0] != "d9" {
		if len(r.opcode) > 3 && !mode32 {
			if r.halite != "yes" {
				return fail("padding that is refused")
			}
			t.exact = append(t.exact, strings.Join(append(append([]string{}, r.prefix...), r.opcode...), ""))
		}
		// 40 90 and 48 90 are covered by 90 with and without W.
		return nil
	}
	f, err := makeForm(r, mode32)
	if err != nil {
		return fail("%v", err)
	}
	// Split the opcode into map, opcode byte and, for some, a fixed ModRM.
	ops := append([]string{}, r.opcode...)
	opmap := 0
	isVex := r.vex != ""
	if isVex {
		opmap, err = strconv.Atoi(strings.TrimPrefix(strings.Split(r.vex, ".")[1], "m"))
		if err != nil || opmap < 1 || opmap > 3 {
			return fail("map")
		}
	} else if ops[0] == "0f" {
		opmap, ops = 1, ops[1:]
		if len(ops) > 1 && (ops[0] == "38" || ops[0] == "3a") {
			opmap = 2
			if ops[0] == "3a" {
				opmap = 3
			}
			ops = ops[1:]
		}
	}
	plus := strings.HasSuffix(ops[0], "+r")
	op64, err := strconv.ParseUint(strings.TrimSuffix(ops[0], "+r"), 16, 8)
	if err != nil {
		return fail("opcode")
	}
	op := int(op64)
	fixed, fixedCount := -1, 1
	if len(ops) == 2 && r.modrm == "" {
		v, err := strconv.ParseUint(strings.TrimSuffix(ops[1], "+r"), 16, 8)
		if err != nil || v < 0xc0 {
			return fail("ModRM byte %s", ops[1])
		}
		if fixed = int(v); strings.HasSuffix(ops[1], "+r") {
			fixedCount = 8
		}
	} else if len(ops) != 1 {
		return fail("opcode is too long")
	}
	if r.suffix != "" {
		v, err := strconv.ParseUint(r.suffix[1:], 16, 8)
		if err != nil {
			return fail("suffix")
		}
		set := 0
		if r.feature == "E3DNOW" {
			set = 1
		}
		t.suffixes[set][v>>6] |= 1 << (v & 63)
	}
	var pages []int
	if isVex {
		w, l, pp := field(r.vex, "W"), field(r.vex, "L"), field(r.vex, "p")
		if w < 0 || l < 0 || pp < 0 {
			return fail("VEX fields")
		}
		// The file numbers pp as the bits do: none, 66, f3, f2.
		pages = []int{(((opmap-1)*4+pp)*2+w)*2 + l}
	} else {
		p, ok := prefixIndex[strings.Join(r.prefix, " ")]
		if !ok {
			if r.halite == "yes" || r.classic == "yes" {
				return fail("prefixes")
			}
			return nil // f0 as part of an opcode: lock is not for it
		}
		base := (opmap*prefixes + p) * 2
		if r.w == "" && !mode32 {
			return fail("no W")
		}
		switch {
		case mode32:
			pages = []int{base}
		case r.w == "*":
			pages = []int{base, base + 1}
		case r.w == "0", r.w == "norex":
			pages = []int{base}
		case r.w == "1":
			pages = []int{base + 1}
		default:
			return fail("W=%q", r.w)
		}
	}
	count := 1
	if plus {
		count = 8
	}
	for pi, pg := range pages {
		f := f
		if pi == 1 && r.halite == "yes" && !isVex {
			// W without a meaning: decoders disagree about what it does to
			// some (f3 0f 7e), so the halite ABI takes none of them.
			f.halite = ruleConst("REX")
		}
		for i := 0; i < count; i++ {
			k := cellKey{mode32, isVex, pg, op + i}
			c := t.cells[k]
			if c == nil {
				c = &cell{}
				t.cells[k] = c
			}
			put := func(slot **form) error {
				f := f
				if *slot != nil && (*slot).need == "needAVX" && f.need == "needAVX2" {
					// A row for each: NaCl asks for both.
					(*slot).need, f.need = "needAVXAndAVX2", "needAVXAndAVX2"
				}
				if *slot != nil && **slot != f {
					// 90 is both nop and xchg of the accumulator with
					// itself; the form of xchg covers both.
					if opmap == 0 && op+i == 0x90 {
						if r.name == "xchg" {
							*slot = &f
						}
						return nil
					}
					return fail("conflicts with another row: %s and %s", f.literal(), (*slot).literal())
				}
				*slot = &f
				return nil
			}
			switch {
			case fixed >= 0:
				c.modrm = true
				for j := 0; j < fixedCount; j++ {
					if err := put(&c.reg[fixed-0xc0+j]); err != nil {
						return err
					}
				}
			case r.form == "":
				if err := put(&c.direct); err != nil {
					return err
				}
			default:
				c.modrm = true
				lo, hi := 0, 7
				if r.modrm != "/r" {
					lo = int(r.modrm[1] - '0')
					hi = lo
				}
				for d := lo; d <= hi; d++ {
					if r.form == "mem" {
						if err := put(&c.mem[d]); err != nil {
							return err
						}
						continue
					}
					for j := 0; j < 8; j++ {
						if err := put(&c.reg[d*8+j]); err != nil {
							return err
						}
					}
				}
			}
			if c.modrm && c.direct != nil {
				return fail("with and without ModRM")
			}
		}
	}
	return nil
}

// field returns the digit behind the letter in a VEX description, or -1.
func field(vex, letter string) int {
	for _, f := range strings.Split(vex, ".")[2:] {
		if strings.HasPrefix(f, letter) && len(f) == len(letter)+1 {
			return int(f[len(letter)] - '0')
		}
	}
	return -1
}

func (t *tableSet) emit() ([]byte, error) {
	cells, exact := t.cells, t.exact
	var keys []cellKey
	for k := range cells {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := keys[i], keys[j]
		if a.mode32 != b.mode32 {
			return !a.mode32
		}
		if a.vex != b.vex {
			return !a.vex
		}
		if a.page != b.page {
			return a.page < b.page
		}
		return a.op < b.op
	})
	forms := []string{"{0, 0, [3]ruleID{ruleOpcode, verdictNo, verdictNo}, 0}"}
	formOf := map[string]int{}
	index := func(f *form) int {
		if f == nil {
			return 0
		}
		lit := f.literal()
		i, ok := formOf[lit]
		if !ok {
			i = len(forms)
			formOf[lit] = i
			forms = append(forms, lit)
		}
		return i
	}
	var narrow, wide []string
	narrowOf, wideOf := map[string]int{}, map[string]int{}
	group := func(l *[]string, m map[string]int, g []int) int {
		s := strings.Trim(strings.ReplaceAll(fmt.Sprint(g), " ", ", "), "[]")
		i, ok := m[s]
		if !ok {
			i = len(*l)
			m[s] = i
			*l = append(*l, s)
		}
		return i
	}
	value := map[cellKey]int{}
	for _, k := range keys {
		c := cells[k]
		if !c.modrm {
			value[k] = index(c.direct)
			continue
		}
		g := make([]int, 0, wideLen)
		isWide := false
		for d := 0; d < 8; d++ {
			for j := 0; j < 8; j++ {
				x := index(c.reg[d*8+j])
				if x != index(c.reg[d*8]) {
					isWide = true
				}
				g = append(g, x)
			}
		}
		for d := 0; d < 8; d++ {
			g = append(g, index(c.mem[d]))
		}
		if isWide {
			value[k] = 2<<cellShift | group(&wide, wideOf, g)
			continue
		}
		n := make([]int, 0, narrowLen)
		for d := 0; d < 8; d++ {
			n = append(n, g[d*8])
		}
		value[k] = 1<<cellShift | group(&narrow, narrowOf, append(n, g[64:]...))
	}
	if len(forms) >= 1<<cellShift || len(narrow) >= 1<<cellShift {
		return nil, fmt.Errorf("too many forms or groups for a cell")
	}

	var b bytes.Buffer
	b.WriteString("// Code generated by internal/gen from instructions.txt. DO NOT EDIT.\n\npackage validator\n\n")
	b.WriteString("// What an instruction does, as far as a validator cares.\nvar forms = [...]form{\n")
	for i, f := range forms {
		fmt.Fprintf(&b, "%d: %s,\n", i, f)
	}
	b.WriteString("}\n\n// Forms by the reg field: 8 for registers, 8 for memory.\nvar narrowGroups = [...][16]uint16{\n")
	for i, g := range narrow {
		fmt.Fprintf(&b, "%d: {%s},\n", i, g)
	}
	b.WriteString("}\n\n// Forms by ModRM byte minus c0 for registers (64), by the reg field for memory (8).\nvar wideGroups = [...][72]uint16{\n")
	for i, g := range wide {
		fmt.Fprintf(&b, "%d: {%s},\n", i, g)
	}
	b.WriteString("}\n\n")
	for i := range 4 {
		isVex, mode32 := i&1 != 0, i&2 != 0
		name, doc := "legacyCells", "Cells by ((map*6 + prefix)*2) + W and opcode."
		if isVex {
			name, doc = "vexCells", "Cells of VEX encodings by (((map-1)*4 + pp)*2 + W)*2 + L and opcode."
		}
		if mode32 {
			name += "32"
		} else {
			name += "64"
		}
		fmt.Fprintf(&b, "// %s\nvar %s = [48][256]uint16{\n", doc, name)
		page := -1
		for _, k := range keys {
			if k.vex != isVex || k.mode32 != mode32 {
				continue
			}
			if k.page != page {
				if page >= 0 {
					b.WriteString("},\n")
				}
				page = k.page
				fmt.Fprintf(&b, "%d: {\n", page)
			}
			fmt.Fprintf(&b, "%#02x: %#x,\n", k.op, value[k])
		}
		b.WriteString("},\n}\n\n")
	}
	b.WriteString("// Padding that is accepted as these very bytes.\nvar paddings = [...]string{\n")
	sort.Slice(exact, func(i, j int) bool {
		if len(exact[i]) != len(exact[j]) {
			return len(exact[i]) < len(exact[j])
		}
		return exact[i] < exact[j]
	})
	for _, e := range exact {
		b.WriteString("\"")
		for i := 0; i < len(e); i += 2 {
			b.WriteString("\\x" + e[i:i+2])
		}
		b.WriteString("\",\n")
	}
	b.WriteString("}\n\n// The bytes that end a 3DNow! instruction, and those of its extension.\n")
	for i, name := range []string{"suffixes3DNow", "suffixesE3DNow"} {
		x := &t.suffixes[i]
		fmt.Fprintf(&b, "var %s = [4]uint64{%#x, %#x, %#x, %#x}\n", name, x[0], x[1], x[2], x[3])
	}
	return format.Source(b.Bytes())
}
