package sfi

import (
	"io"
	"strings"
)

type symFlags uint16

const (
	symText   symFlags = 1 << iota // defined in an executable section
	symFunc                        // .type function
	symGlobal                      // .globl or .weak
	symCalled                      // target of a direct call
	symTarget                      // target of a direct jump
	symTaken                       // its address is used: an indirect branch may go there
	symPad                         // a landing pad
)

type symbol struct {
	name  string
	flags symFlags
	unit  int32 // number of the unit that defines it, in the second reading
	stmt  int32 // statement of that unit
}

type section struct {
	name  string
	exec  bool
	debug bool // what it refers to is not taken for that
	lsda  bool
}

// sections follows the section directives.
type sections struct {
	cur, prev section
	stack     []section
}

func (s *sections) reset() {
	s.cur = section{name: ".text", exec: true}
	s.prev = s.cur
	s.stack = s.stack[:0]
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// cutComma returns the text before the first comma outside quotes, and the
// rest.
func cutComma(s string) (first, rest string) {
	q := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			q = !q
		case ',':
			if !q {
				return trim(s[:i]), trim(s[i+1:])
			}
		}
	}
	return trim(s), ""
}

func namedSection(args string) section {
	name, rest := cutComma(args)
	name = unquote(name)
	flags, _ := cutComma(rest)
	c := section{name: name}
	switch {
	case len(flags) > 0 && flags[0] == '"':
		c.exec = strings.IndexByte(unquote(flags), 'x') >= 0
	default:
		c.exec = name == ".text" || strings.HasPrefix(name, ".text.") || name == ".init" || name == ".fini"
	}
	c.debug = strings.HasPrefix(name, ".debug") || strings.HasPrefix(name, ".stab") || strings.HasPrefix(name, ".zdebug") || name == ".eh_frame"
	c.lsda = strings.HasPrefix(name, ".gcc_except_table")
	return c
}

// directive follows a section directive and reports whether it was one.
func (s *sections) directive(w, args string) bool {
	switch w {
	case ".text":
		s.prev, s.cur = s.cur, section{name: ".text", exec: true}
	case ".data", ".bss", ".rodata":
		s.prev, s.cur = s.cur, section{name: w}
	case ".section":
		s.prev, s.cur = s.cur, namedSection(args)
	case ".pushsection":
		s.stack = append(s.stack, s.prev, s.cur)
		s.prev, s.cur = s.cur, namedSection(args)
	case ".popsection":
		if n := len(s.stack); n >= 2 {
			s.prev, s.cur = s.stack[n-2], s.stack[n-1]
			s.stack = s.stack[:n-2]
		}
	case ".previous":
		s.prev, s.cur = s.cur, s.prev
	default:
		return false
	}
	return true
}

type pass struct {
	opt  Options
	w    io.Writer
	src  string
	lex  lexer
	errs ErrorList

	syms    []symbol
	symIdx  map[string]int32
	nums    []symFlags       // numeric labels in order of their definition
	numLast map[int]int32    // last definition so far
	numNext map[int]symFlags // what forward references want of the next one
	// pads gives for each landing pad the labels at which the regions begin
	// whose calls throw to it.
	pads map[int32][]int32
	sec  sections

	unit  unit
	out   []byte
	unitN int32
	numN  int32 // numeric labels seen in the second reading
	tlsN  int   // general and local dynamic sequences emitted
	strN  int   // string instructions emitted

	unreachable bool // the flow follows code that nothing leads to

	lastFile string // of the last line marker written
	lastLine int

	cfi cfiState
}

func newPass(w io.Writer, src string, o Options) *pass {
	return &pass{
		opt: o, w: w, src: src,
		symIdx:  make(map[string]int32, len(src)/400+64),
		numLast: map[int]int32{},
		numNext: map[int]symFlags{},
		pads:    map[int32][]int32{},
	}
}

func (p *pass) errorf(file string, line int, text, msg string) {
	p.errs = append(p.errs, &Error{File: file, Line: line, Text: text, Msg: msg})
}

func (p *pass) sym(name string) int32 {
	if i, ok := p.symIdx[name]; ok {
		return i
	}
	i := int32(len(p.syms))
	p.syms = append(p.syms, symbol{name: name, unit: -1})
	p.symIdx[name] = i
	return i
}

// numeric recognises the name of a numeric local label.
func numeric(s string) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' || i > 8 {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) > 0
}

// numericRef recognises 1f and 1b.
func numericRef(s string) (n int, forward, ok bool) {
	if len(s) < 2 {
		return 0, false, false
	}
	c := s[len(s)-1]
	if c != 'f' && c != 'b' {
		return 0, false, false
	}
	n, ok = numeric(s[:len(s)-1])
	return n, c == 'f', ok
}

func (p *pass) mark(name string, f symFlags) {
	if name[0] >= '0' && name[0] <= '9' {
		n, forward, ok := numericRef(name)
		switch {
		case !ok:
		case forward:
			p.numNext[n] |= f
		default:
			if i, ok := p.numLast[n]; ok {
				p.nums[i] |= f
			}
		}
		return
	}
	p.syms[p.sym(name)].flags |= f
}

// refs marks every symbol in an expression or operand list as taken.
func (p *pass) refs(s string) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '%' || c == '@':
			i++
			for i < len(s) && identByte[s[i]] {
				i++
			}
		case c == '"':
			e := strings.IndexByte(s[i+1:], '"')
			if e < 0 {
				return
			}
			if e > 0 {
				p.mark(s[i:i+e+2], symTaken)
			}
			i += e + 2
		case identByte[c] && c != '$':
			j := i
			for i < len(s) && identByte[s[i]] {
				i++
			}
			if s[j:i] != "." {
				p.mark(s[j:i], symTaken)
			}
		default:
			i++
		}
	}
}

// hasName is a quick test whether an operand list can hold a symbol at all.
func hasName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			i++
			for i < len(s) && identByte[s[i]] {
				i++
			}
			i--
			continue
		}
		if identByte[c] && c != '$' {
			if c >= '0' && c <= '9' {
				// A number, unless it ends in f or b.
				for i+1 < len(s) && identByte[s[i+1]] {
					i++
				}
				if s[i] == 'f' || s[i] == 'b' {
					return true
				}
				continue
			}
			return true
		}
	}
	return false
}

func isDataDirective(w string) bool {
	switch w {
	case ".quad", ".long", ".int", ".value", ".short", ".hword", ".word", ".byte", ".2byte", ".4byte", ".8byte", ".uleb128", ".sleb128", ".dc.l", ".dc.a", ".octa":
		return true
	}
	return false
}

// survey is the first reading.
func (p *pass) survey() {
	p.lex.reset(p.src, p.opt.Name)
	p.sec.reset()
	lastLabel := int32(-1) // first label before the next instruction
	region := int32(-1)
	for {
		s, _, ok := p.lex.next()
		if !ok {
			return
		}
		for s != "" {
			if s[0] == '.' || identByte[s[0]] || s[0] == '"' {
				if name, rest, ok := label(s); ok {
					if n, num := numeric(name); num {
						f := p.numNext[n]
						delete(p.numNext, n)
						if p.sec.cur.exec {
							f |= symText
						}
						p.numLast[n] = int32(len(p.nums))
						p.nums = append(p.nums, f)
						lastLabel = -1
					} else {
						i := p.sym(name)
						if p.sec.cur.exec {
							p.syms[i].flags |= symText
							if lastLabel < 0 && !debugLabel(name) {
								lastLabel = i
							}
						}
					}
					s = rest
					continue
				}
			}
			w, rest := word(s)
			if w[0] == '.' {
				if p.sec.directive(w, rest) {
					break
				}
				switch {
				case isDataDirective(w):
					if p.sec.cur.debug || !hasName(rest) {
						break
					}
					if p.sec.cur.lsda {
						region = p.lsda(rest, region)
						break
					}
					p.refs(rest)
				case w == ".type":
					n, kind := cutComma(rest)
					if n == rest { // .type name STT_FUNC
						n, kind = word(rest)
					}
					if strings.Contains(kind, "func") || strings.Contains(kind, "FUNC") {
						p.syms[p.sym(n)].flags |= symFunc
					}
				case w == ".globl" || w == ".global" || w == ".weak":
					for rest != "" {
						var n string
						n, rest = cutComma(rest)
						p.syms[p.sym(n)].flags |= symGlobal
					}
				case w == ".set" || w == ".equ" || w == ".equiv":
					_, e := cutComma(rest)
					p.refs(e)
				}
				break
			}
			if !p.sec.cur.exec {
				if i := strings.IndexByte(s, '='); i > 0 {
					p.refs(s[i+1:])
				}
				break
			}
			for prefixes[w] != 0 && rest != "" {
				w, rest = word(rest)
			}
			switch {
			case w == "endbr64":
				if lastLabel >= 0 {
					p.syms[lastLabel].flags |= symTaken
				}
			case rest == "":
			case w[0] == 'j' || strings.HasPrefix(w, "loop") || strings.HasPrefix(w, "call") || w == "xbegin":
				t, _ := cutComma(rest)
				if t == "" {
					break
				}
				if t[0] == '*' {
					if hasName(t) {
						p.refs(t)
					}
					break
				}
				f := symTarget
				if w[0] == 'c' {
					f = symCalled
				}
				if i := strings.IndexByte(t, '@'); i > 0 {
					t = t[:i]
				}
				p.mark(t, f)
			default:
				if hasName(rest) {
					p.refs(rest)
				}
			}
			lastLabel = -1
			break
		}
	}
}

// debugLabel recognises the labels that gcc makes for debugging information.
func debugLabel(name string) bool {
	if len(name) < 4 || name[:2] != ".L" {
		return false
	}
	switch name[2:4] {
	case "VL", "FB", "FE", "BB", "BE", "CF", "EH":
		return true
	}
	return false
}

// lsda reads one field of a call-site table. gcc writes four per record: the
// start of the region, its length, the landing pad, the action.
func (p *pass) lsda(e string, region int32) int32 {
	i := strings.IndexByte(e, '-')
	if i <= 0 {
		return region
	}
	a := trim(e[:i])
	switch {
	case strings.HasPrefix(a, ".LEHB"):
		return p.sym(a)
	case strings.HasPrefix(a, ".LEHE"), strings.HasPrefix(a, ".LFB"), strings.HasPrefix(a, ".LFSB"), strings.HasPrefix(a, ".LLSDA"), strings.HasPrefix(a, ".LHOTE"), strings.HasPrefix(a, ".LCOLDE"):
		return region
	}
	if !identByte[a[0]] {
		return region
	}
	t := p.sym(a)
	p.syms[t].flags |= symTaken | symPad
	if region >= 0 {
		p.pads[t] = append(p.pads[t], region)
	}
	return region
}
