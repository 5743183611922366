package main

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
)

// A row is one operand form of one instruction: a line of instructions.txt.
type row struct {
	x32, classic, halite string

	vex    string   // "VEX.m01.W0.L0.p1.vvvv.c5", "XOP....", or ""
	prefix []string // required legacy prefixes, in the order of the line
	opcode []string // opcode bytes; "+r" ends one that carries a register
	modrm  string   // "/r", "/0".."/7" or ""
	form   string   // "reg", "mem" or "" without ModRM
	suffix string   // "+xx", the byte behind the operand of 3DNow!
	imm    []string // i8 i16 i32 i64 rel8 rel16 rel32 is4 i2(is4) moffs
	w      string   // *, 0, 1, norex; "" with VEX and without 64-bit form

	operands []string // name:access, source first
	name     string
	feature  string
	zx       string // does the classic ABI count the destination as zero-extended
	flags    []string
}

const header = `# Instruction forms of x86, one a line, and what each ABI makes of them.
#
# Written by internal/gen from a description of NaCl's instruction table and
# from internal/gen/extra.txt; the halite column is decided by
# internal/gen/policy.txt. Change those, not this file. tables_gen.go is made
# from this file and from nothing else.
#
# x86-32, classic: yes; no; off (NaCl knows it and masks its CPU feature off);
#   rewrite (non-temporal: replaced at load); seq (only inside a sequence);
#   - (cannot be encoded in that mode).
# halite: yes, or the rule that refuses the form (V-INSN- or V- before it).
# encoding: VEX fields or prefixes, opcode, /digit or /r, reg or mem form,
#   3DNow! suffix, immediates, REX.W (* ignored by the CPU: set, the halite ABI
#   refuses it as V-REX and the others accept; norex: no REX at all).
# operands: name:access, source first; n address only, r read, w written.
# zx: whether the classic ABI takes the 32-bit destination for zero-extended.
#
# x86-32	classic	halite	encoding	operands	name	feature	zx	flags
`

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func unDash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

func (r *row) encoding() string {
	var f []string
	if r.vex != "" {
		f = append(f, r.vex)
	}
	f = append(f, r.prefix...)
	f = append(f, r.opcode...)
	if r.modrm != "" {
		f = append(f, r.modrm)
	}
	if r.form != "" {
		f = append(f, r.form)
	}
	if r.suffix != "" {
		f = append(f, r.suffix)
	}
	f = append(f, r.imm...)
	if r.w != "" {
		f = append(f, "W="+r.w)
	}
	return strings.Join(f, " ")
}

func (r *row) String() string {
	return strings.Join([]string{
		fmt.Sprintf("%-7s", r.x32), fmt.Sprintf("%-7s", r.classic), fmt.Sprintf("%-13s", r.halite),
		r.encoding(), orDash(strings.Join(r.operands, " ")), r.name,
		orDash(r.feature), orDash(r.zx), orDash(strings.Join(r.flags, ",")),
	}, "\t")
}

func isHexByte(s string) bool {
	return len(s) == 2 && strings.Trim(s, "0123456789abcdef") == ""
}

var legacyPrefix = map[string]bool{"66": true, "f2": true, "f3": true, "f0": true}

func (r *row) parseEncoding(s string) error {
	opcodeSeen := false
	for _, t := range strings.Fields(s) {
		switch {
		case strings.HasPrefix(t, "VEX.") || strings.HasPrefix(t, "XOP."):
			r.vex = t
		case !opcodeSeen && r.vex == "" && legacyPrefix[t]:
			r.prefix = append(r.prefix, t)
		case isHexByte(t) || len(t) == 4 && strings.HasSuffix(t, "+r") && isHexByte(t[:2]):
			opcodeSeen = true
			r.opcode = append(r.opcode, t)
		case len(t) == 2 && t[0] == '/':
			r.modrm = t
		case t == "reg" || t == "mem":
			r.form = t
		case len(t) == 3 && t[0] == '+' && isHexByte(t[1:]):
			r.suffix = t
		case strings.HasPrefix(t, "W="):
			r.w = t[2:]
		default:
			if _, ok := immSize[t]; !ok {
				return fmt.Errorf("encoding %q: what is %q?", s, t)
			}
			r.imm = append(r.imm, t)
		}
	}
	if len(r.opcode) == 0 {
		return fmt.Errorf("encoding %q has no opcode", s)
	}
	if (r.modrm == "") != (r.form == "") {
		return fmt.Errorf("encoding %q: ModRM without reg or mem", s)
	}
	return nil
}

var immSize = map[string]int{
	"i8": 1, "i16": 2, "i32": 4, "i64": 8, "rel8": 1, "rel16": 2, "rel32": 4,
	"is4": 1, "i2(is4)": 0, "moffs": 8,
}

// parseRows reads the format of instructions.txt.
func parseRows(rd io.Reader) ([]*row, error) {
	var rows []*row
	sc := bufio.NewScanner(rd)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 9 {
			return nil, fmt.Errorf("line %d: %d columns, want 9", n, len(f))
		}
		for i := range f {
			f[i] = strings.TrimRight(f[i], " ")
		}
		r := &row{x32: f[0], classic: f[1], halite: f[2], name: f[5], feature: unDash(f[6]), zx: unDash(f[7])}
		if err := r.parseEncoding(f[3]); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		r.operands = strings.Fields(unDash(f[4]))
		if s := unDash(f[8]); s != "" {
			r.flags = strings.Split(s, ",")
		}
		rows = append(rows, r)
	}
	return rows, sc.Err()
}

// Import makes the data file from the text of the NaCl instruction table.
func Import(tsv []byte) ([]byte, error) {
	lines := strings.Split(strings.TrimRight(string(tsv), "\n"), "\n")
	column := map[string]int{}
	for i, c := range strings.Split(lines[0], "\t") {
		column[c] = i
	}
	for _, c := range []string{"mnemonic", "prefix", "vex", "opcode", "modrm", "imm", "operands", "rexW", "optprefix", "cpuid", "nacl32", "nacl64", "zx64", "flags"} {
		if _, ok := column[c]; !ok {
			return nil, fmt.Errorf("no column %q", c)
		}
	}
	var rows []*row
	for n, line := range lines[1:] {
		f := strings.Split(line, "\t")
		if len(f) != len(column) {
			return nil, fmt.Errorf("line %d: %d columns, want %d", n+2, len(f), len(column))
		}
		get := func(c string) string { return unDash(f[column[c]]) }
		r := &row{
			x32: f[column["nacl32"]], classic: f[column["nacl64"]],
			vex: get("vex"), prefix: strings.Fields(get("prefix")), opcode: strings.Fields(get("opcode")),
			imm: strings.Fields(get("imm")), operands: strings.Fields(get("operands")),
			name:    strings.Join(strings.Fields(get("mnemonic")), " "),
			feature: get("cpuid"), zx: get("zx64"),
		}
		if m := get("modrm"); m != "" {
			m, suffix, _ := strings.Cut(m, " ")
			form, field, ok := strings.Cut(m, "/")
			if !ok {
				return nil, fmt.Errorf("line %d: modrm %q", n+2, m)
			}
			if field == "sreg" {
				field = "r"
			}
			r.form, r.modrm, r.suffix = form, "/"+field, suffix
		}
		if r.w = get("rexW"); r.w == "ig" {
			r.w = "*"
		}
		for _, c := range []string{"optprefix", "flags"} {
			if s := get(c); s != "" {
				r.flags = append(r.flags, strings.Split(s, ",")...)
			}
		}
		rows = append(rows, r)
	}
	rules, err := parsePolicy(policyText)
	if err != nil {
		return nil, err
	}
	used := make([]bool, len(rules))
	for _, r := range rows {
		if r.classic == "-" {
			r.halite = "-"
			continue
		}
		for i := range rules {
			if rules[i].matches(r) {
				r.halite, used[i] = rules[i].verdict, true
				break
			}
		}
		if r.halite == "" && r.classic == "yes" {
			r.halite = "yes"
		}
		if r.halite == "" {
			return nil, fmt.Errorf("policy.txt decides nothing about %s (%s), which classic answers with %q", r.name, r.encoding(), r.classic)
		}
	}
	for i, u := range used {
		if !u {
			return nil, fmt.Errorf("policy.txt: line %d matches no row", rules[i].line)
		}
	}
	extra, err := parseRows(strings.NewReader(extraText))
	if err != nil {
		return nil, fmt.Errorf("extra.txt: %w", err)
	}
	rows = append(rows, extra...)
	sort.SliceStable(rows, func(i, j int) bool { return rows[i].name < rows[j].name })
	var b strings.Builder
	b.WriteString(header)
	for _, r := range rows {
		b.WriteString(r.String())
		b.WriteByte('\n')
	}
	return []byte(b.String()), nil
}

// A policyRule is one line of policy.txt.
type policyRule struct {
	line    int
	when    []condition
	verdict string
}

type condition struct {
	column string
	globs  []string
}

func parsePolicy(text string) ([]policyRule, error) {
	var rules []policyRule
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		left, right, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("policy.txt: line %d: no verdict", n+1)
		}
		p := policyRule{line: n + 1, verdict: strings.TrimSpace(right)}
		for _, c := range strings.Fields(left) {
			col, globs, ok := strings.Cut(c, "=")
			if !ok {
				return nil, fmt.Errorf("policy.txt: line %d: %q is no condition", n+1, c)
			}
			p.when = append(p.when, condition{col, strings.Split(globs, ",")})
		}
		rules = append(rules, p)
	}
	return rules, nil
}

func (p *policyRule) matches(r *row) bool {
	for _, c := range p.when {
		var have []string
		switch c.column {
		case "name":
			have = []string{r.name}
		case "prefix":
			have = []string{strings.Join(r.prefix, " ")}
		case "vex":
			have = []string{r.vex}
		case "opcode":
			have = []string{strings.Join(r.opcode, " ")}
		case "modrm":
			have = []string{r.form + r.modrm}
		case "imm":
			have = []string{strings.Join(r.imm, " ")}
		case "rexW":
			have = []string{r.w}
		case "cpuid":
			have = []string{r.feature}
		case "has":
			have = r.operands
		default:
			panic("policy.txt: unknown column " + c.column)
		}
		found := false
		for _, h := range have {
			for _, g := range c.globs {
				// The names hold slashes ("nop/reserved"), which path.Match
				// treats as separators; none of the globs minds.
				if ok, err := path.Match(strings.ReplaceAll(g, "/", "|"), strings.ReplaceAll(h, "/", "|")); err == nil && ok {
					found = true
				}
			}
		}
		if !found {
			return false
		}
	}
	return true
}
