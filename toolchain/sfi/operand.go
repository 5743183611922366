package sfi

import (
	"strings"
	"sync"
)

// reg is a register: its class in the high byte, its number in the low one.
type reg uint16

const (
	noReg reg = 0

	class64   = 1 << 8
	class32   = 2 << 8
	class16   = 3 << 8
	class8    = 4 << 8
	class8h   = 5 << 8 // ah ch dh bh: numbers of the registers they are part of
	classIP   = 6 << 8 // 0: rip, 1: eip
	classZero = 7 << 8 // 0: riz, 1: eiz
	classSeg  = 8 << 8 // es cs ss ds fs gs
	classX    = 9 << 8
	classY    = 10 << 8
	classMM   = 11 << 8
	classST   = 12 << 8

	rip reg = classIP
	eip reg = classIP | 1
	es  reg = classSeg
	fs  reg = classSeg | 4
	gs  reg = classSeg | 5
	ss  reg = classSeg | 2
	ds  reg = classSeg | 3
)

const (
	rax = class64 + iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r8
	r9
	r10
	r11
	r12
	r13
	r14
	r15
)

func (r reg) class() reg { return r &^ 0xff }
func (r reg) num() int   { return int(r & 0xff) }

// gpr reports whether r is a general register of any width.
func (r reg) gpr() bool { c := r.class(); return c >= class64 && c <= class8h }

// is reports whether r is a part of the 64-bit general register q.
func (r reg) is(q reg) bool { return r.gpr() && r.num() == q.num() }

var names64 = [16]string{"%rax", "%rcx", "%rdx", "%rbx", "%rsp", "%rbp", "%rsi", "%rdi", "%r8", "%r9", "%r10", "%r11", "%r12", "%r13", "%r14", "%r15"}
var names32 = [16]string{"%eax", "%ecx", "%edx", "%ebx", "%esp", "%ebp", "%esi", "%edi", "%r8d", "%r9d", "%r10d", "%r11d", "%r12d", "%r13d", "%r14d", "%r15d"}
var names16 = [16]string{"%ax", "%cx", "%dx", "%bx", "%sp", "%bp", "%si", "%di", "%r8w", "%r9w", "%r10w", "%r11w", "%r12w", "%r13w", "%r14w", "%r15w"}
var names8 = [16]string{"%al", "%cl", "%dl", "%bl", "%spl", "%bpl", "%sil", "%dil", "%r8b", "%r9b", "%r10b", "%r11b", "%r12b", "%r13b", "%r14b", "%r15b"}

// name returns r's name in its own width.
func (r reg) name() string {
	switch r.class() {
	case class64:
		return names64[r.num()]
	case class32:
		return names32[r.num()]
	case class16:
		return names16[r.num()]
	case class8:
		return names8[r.num()]
	}
	return ""
}

// regTable has every register by name, made when it is first asked for.
var regTable = sync.OnceValue(func() map[string]reg {
	m := map[string]reg{}
	for i := range 16 {
		m[names64[i]] = class64 | reg(i)
		m[names32[i]] = class32 | reg(i)
		m[names16[i]] = class16 | reg(i)
		m[names8[i]] = class8 | reg(i)
	}
	for i, n := range []string{"%ah", "%ch", "%dh", "%bh"} {
		m[n] = class8h | reg(i)
	}
	m["%rip"], m["%eip"] = rip, eip
	m["%riz"], m["%eiz"] = classZero, classZero|1
	for i, n := range []string{"%es", "%cs", "%ss", "%ds", "%fs", "%gs"} {
		m[n] = classSeg | reg(i)
	}
	for i := range 16 {
		d := string("0123456789"[i%10])
		if i >= 10 {
			d = "1" + d
		}
		m["%xmm"+d] = classX | reg(i)
		m["%ymm"+d] = classY | reg(i)
		if i < 8 {
			m["%mm"+d] = classMM | reg(i)
			m["%st("+d+")"] = classST | reg(i)
		}
	}
	m["%st"] = classST
	return m
})

// parseReg reads a register name with its %.
func parseReg(s string) (reg, bool) {
	// The common names without a map: %rXX and %eXX.
	if len(s) == 4 && (s[1] == 'r' || s[1] == 'e') {
		n := -1
		switch s[2:] {
		case "ax":
			n = 0
		case "cx":
			n = 1
		case "dx":
			n = 2
		case "bx":
			n = 3
		case "sp":
			n = 4
		case "bp":
			n = 5
		case "si":
			n = 6
		case "di":
			n = 7
		}
		if n >= 0 {
			if s[1] == 'r' {
				return class64 | reg(n), true
			}
			return class32 | reg(n), true
		}
	}
	r, ok := regTable()[s]
	if ok {
		return r, true
	}
	if strings.IndexByte(s, ' ') >= 0 { // "%st( 1)"
		r, ok = regTable()[strings.ReplaceAll(s, " ", "")]
		if ok {
			return r, true
		}
	}
	if l := strings.ToLower(s); l != s {
		return parseReg(l)
	}
	return noReg, false
}

type operandKind uint8

const (
	opImm operandKind = iota + 1
	opReg
	opMem
	opLabel // the target of a direct branch
)

type operand struct {
	kind    operandKind
	star    bool // *: an indirect branch goes through it
	numeric bool // mem: disp is the number num
	scale   byte // mem: 0 or '1' '2' '4' '8'
	reg     reg
	seg     reg
	base    reg
	index   reg
	num     int64
	disp    string
	text    string
}

func (o *operand) rsp() bool { return o.kind == opReg && o.reg.is(rsp) }

// parseNum reads an integer as gas writes them.
func parseNum(s string) (int64, bool) {
	neg := false
	i := 0
	for i < len(s) && (s[i] == '-' || s[i] == '+' || space[s[i]]) {
		if s[i] == '-' {
			neg = !neg
		}
		i++
	}
	if i >= len(s) {
		return 0, false
	}
	var v uint64
	base := uint64(10)
	if s[i] == '0' && i+1 < len(s) {
		switch s[i+1] {
		case 'x', 'X':
			base = 16
			i += 2
		case 'b', 'B':
			base = 2
			i += 2
		default:
			base = 8
			i++
		}
		if i >= len(s) {
			return 0, false
		}
	}
	for ; i < len(s); i++ {
		c := s[i]
		var d uint64
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = uint64(c-'A') + 10
		default:
			return 0, false
		}
		if d >= base || v > (1<<63)/base {
			return 0, false
		}
		v = v*base + d
	}
	if neg {
		return -int64(v), true
	}
	return int64(v), true
}

// parseOperand reads one operand. The error text is empty when it is good.
func parseOperand(s string, o *operand) string {
	*o = operand{text: s}
	if s == "" {
		return "empty operand"
	}
	if s[0] == '*' {
		o.star = true
		s = trim(s[1:])
		if s == "" {
			return "empty operand"
		}
		o.text = s
	}
	switch s[0] {
	case '$':
		o.kind = opImm
		o.disp = trim(s[1:])
		o.num, o.numeric = parseNum(o.disp)
		return ""
	case '%':
		if strings.IndexByte(s, '{') >= 0 {
			return "masks and rounding modes are not supported"
		}
		c := strings.IndexByte(s, ':')
		if c < 0 {
			r, ok := parseReg(s)
			if !ok {
				return "register not known to the sandbox"
			}
			o.kind, o.reg = opReg, r
			return ""
		}
		r, ok := parseReg(trim(s[:c]))
		if !ok || r.class() != classSeg {
			return "bad segment register"
		}
		o.seg = r
		s = trim(s[c+1:])
	case '{':
		return "masks and rounding modes are not supported"
	}
	if strings.IndexByte(s, '{') >= 0 {
		return "masks and rounding modes are not supported"
	}
	o.kind = opMem
	// The registers stand in the last pair of parentheses.
	n := len(s)
	if n > 0 && s[n-1] == ')' {
		i := strings.LastIndexByte(s, '(')
		if i < 0 {
			return "unbalanced parentheses"
		}
		in := trim(s[i+1 : n-1])
		if in != "" && (in[0] == '%' || in[0] == ',') {
			o.disp = trim(s[:i])
			return o.parseRegs(in)
		}
	}
	o.disp = s
	o.num, o.numeric = parseNum(s)
	return ""
}

func (o *operand) parseRegs(in string) string {
	if o.disp == "" {
		o.numeric = true
	} else {
		o.num, o.numeric = parseNum(o.disp)
	}
	part := 0
	for {
		c := strings.IndexByte(in, ',')
		f := in
		if c >= 0 {
			f = in[:c]
		}
		f = trim(f)
		switch part {
		case 0, 1:
			if f != "" {
				r, ok := parseReg(f)
				if !ok {
					return "register not known to the sandbox"
				}
				if part == 0 {
					o.base = r
				} else {
					o.index = r
				}
			}
		case 2:
			if f != "" {
				n, ok := parseNum(f)
				if !ok || n != 1 && n != 2 && n != 4 && n != 8 {
					return "bad scale"
				}
				o.scale = byte('0' + n)
			}
		default:
			return "too many parts in a memory operand"
		}
		if c < 0 {
			break
		}
		in = in[c+1:]
		part++
	}
	switch o.base.class() {
	case noReg, class64, class32, classIP:
	default:
		return "bad base register"
	}
	switch o.index.class() {
	case noReg, class64, class32, classZero:
	case classX, classY:
		return "gathers and other vector-indexed operands can't be sandboxed"
	default:
		return "bad index register"
	}
	if o.index.is(rsp) {
		return "bad index register"
	}
	if o.base.class() == classIP && o.index != noReg {
		return "rip can't have an index"
	}
	if o.base.class() == classIP && o.numeric && o.num != 0 {
		// Instructions change their lengths, so what lies at that distance does too.
		return "a distance from rip in bytes; name a label instead"
	}
	return ""
}
