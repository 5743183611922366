package validator

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// LLVM's disassembler is the oracle for what instructions.txt says about
// lengths and about which fields name general registers: it has its own
// tables, made by other people.

const llvmMC = "llvm-mc-19"

func needLLVM(t testing.TB) {
	if _, err := exec.LookPath(llvmMC); err != nil {
		t.Skipf("%s is not installed; install the package llvm-19", llvmMC)
	}
}

// llvmDisassemble returns for each code, padded with nops to 15 bytes, the
// text of the first instruction ("" when LLVM knows none) and its length.
func llvmDisassemble(t testing.TB, codes [][]byte) (texts []string, lengths []int) {
	needLLVM(t)
	var in bytes.Buffer
	for i, c := range codes {
		// A marker in front of each: movl $i, %eax.
		fmt.Fprintf(&in, "[0xb8 %#x %#x %#x %#x]\n[", byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
		for j := 0; j < 15; j++ {
			b := byte(0x90)
			if j < len(c) {
				b = c[j]
			}
			fmt.Fprintf(&in, "%#x ", b)
		}
		in.WriteString("]\n")
	}
	cmd := exec.Command(llvmMC, "-triple=x86_64", "-disassemble")
	cmd.Stdin = &in
	var stderr bytes.Buffer
	cmd.Stderr = &stderr // what it can't decode it mentions here
	out, err := cmd.Output()
	if _, ok := err.(*exec.ExitError); err != nil && !(ok && len(out) > 0) {
		t.Fatalf("%s: %v: %.300s", llvmMC, err, &stderr)
	}
	texts, lengths = make([]string, len(codes)), make([]int, len(codes))
	marker := regexp.MustCompile(`^movl\t\$(-?\d+), %eax$`)
	cur, nops := -1, 0
	flush := func() {
		if cur >= 0 {
			lengths[cur] = 15 - nops
		}
	}
	for _, line := range strings.Split(string(out), "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if m := marker.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			if n == cur+1 {
				flush()
				cur, nops = n, 0
				continue
			}
		}
		switch {
		case line == "" || line == ".text" || cur < 0:
		case texts[cur] == "":
			texts[cur] = line
		case line == "nop":
			nops++
		default:
			nops = -100 // more than one instruction: not the length that we think
		}
	}
	flush()
	if cur != len(codes)-1 {
		t.Fatalf("%s answered %d of %d", llvmMC, cur+1, len(codes))
	}
	return texts, lengths
}

var (
	namesRSP = regexp.MustCompile(`%(rsp|esp|sp|spl)\b`)
	isR15    = regexp.MustCompile(`^%r15[dwb]?$`)
	readOnly = regexp.MustCompile(`^(cmp|test|bt|nop)[bwlq]$`)
	oneRead  = regexp.MustCompile(`^(i?mul|i?div)[bwlq]$`)
)

// writesR15 reads AT&T syntax: the destination is the last operand.
func writesR15(text string) bool {
	name, args, _ := strings.Cut(text, "\t")
	if name == "lock" {
		name, args, _ = strings.Cut(strings.TrimSpace(args), "\t")
	}
	var ops []string
	depth, from := 0, 0
	for i, c := range args + "," {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			ops = append(ops, strings.TrimSpace(args[from:i]))
			from = i + 1
		}
	}
	if len(ops) == 1 && oneRead.MatchString(name) || readOnly.MatchString(name) {
		return false
	}
	if len(ops) > 0 && isR15.MatchString(ops[len(ops)-1]) {
		return true
	}
	switch {
	case strings.HasPrefix(name, "xchg"), strings.HasPrefix(name, "xadd"), strings.HasPrefix(name, "mulx"):
		return len(ops) > 1 && isR15.MatchString(ops[len(ops)-2])
	}
	return false
}

// registerForms lists instructions in which each field in turn names rsp or
// r15, over all opcodes, prefixes and ModRM digits.
func registerForms() [][]byte {
	var l [][]byte
	maps := [][]byte{{}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}}
	modrms := func(f func(m byte)) {
		for d := byte(0); d < 8; d++ {
			for _, rm := range []byte{3, 4, 7} {
				f(0xc0 | d<<3 | rm)
			}
			f(0x03 | d<<3)
		}
	}
	for _, p := range [][]byte{{}, {0x66}, {0xf3}, {0xf2}, {0x66, 0xf3}, {0x66, 0xf2}, {0xf0}} {
		for _, rex := range []byte{0, 0x40, 0x41, 0x44, 0x45, 0x48, 0x49, 0x4c, 0x4d} {
			for mi, m := range maps {
				for op := 0; op < 256; op++ {
					if mi == 0 && (op == 0x0f || op == 0xc4 || op == 0xc5 || isLegacyPrefix(byte(op)) || op&0xf0 == 0x40) || mi == 1 && (op == 0x38 || op == 0x3a) {
						continue
					}
					modrms(func(mr byte) {
						var c []byte
						if mr < 0xc0 {
							c = append(c, 0x65, 0x67)
						}
						c = append(c, p...)
						if rex != 0 {
							c = append(c, rex)
						}
						c = append(append(c, m...), byte(op), mr)
						l = append(l, c)
					})
				}
			}
		}
	}
	for m := byte(1); m <= 3; m++ {
		for wlpp := byte(0); wlpp < 16; wlpp++ {
			for op := 0; op < 256; op++ {
				for _, rxb := range []byte{7, 3, 6, 2} {
					for _, vvvv := range []byte{15, 11, 0} {
						modrms(func(mr byte) {
							var c []byte
							if mr < 0xc0 {
								c = append(c, 0x65, 0x67)
							}
							l = append(l, append(c, 0xc4, rxb<<5|m, wlpp>>3<<7|vvvv<<3|wlpp&7, byte(op), mr))
						})
					}
				}
			}
		}
	}
	return l
}

// TestLLVMRegisters: what is accepted names no rsp and writes no r15, by
// LLVM's account, has the length that LLVM finds, and what is refused for
// naming rsp or r15 does name them.
func TestLLVMRegisters(t *testing.T) {
	needLLVM(t)
	c := newChecker(0x20000, 0x10)
	var codes [][]byte
	var verdicts []ruleID
	var sizes []int
	for _, code := range registerForms() {
		n, why := c.stepOne(code)
		if why != ruleNone && why != ruleRSP && why != ruleR15 {
			continue
		}
		// Rest of the ModRM-less opcodes: one of them is enough.
		codes = append(codes, append([]byte{}, c.text[:15]...))
		verdicts, sizes = append(verdicts, why), append(sizes, n)
	}
	// Leave out doubles: instructions without ModRM came once for each byte.
	seen := map[string]bool{}
	k := 0
	for i, code := range codes {
		key := string(code[:sizes[i]])
		if seen[key] {
			continue
		}
		seen[key] = true
		short := append([]byte{}, code[:sizes[i]]...)
		codes[k], verdicts[k], sizes[k] = short, verdicts[i], sizes[i]
		k++
	}
	codes, verdicts, sizes = codes[:k], verdicts[:k], sizes[:k]
	if !thorough() {
		// A third, another one each time the table changes.
		k = 0
		for i := range codes {
			if i%3 == len(forms)%3 || verdicts[i] != ruleNone {
				codes[k], verdicts[k], sizes[k] = codes[i], verdicts[i], sizes[i]
				k++
			}
		}
		codes, verdicts, sizes = codes[:k], verdicts[:k], sizes[:k]
	}
	texts, lengths := llvmDisassemble(t, codes)
	bad := 0
	for i, text := range texts {
		var complaint string
		switch {
		case text == "":
			complaint = "LLVM knows no such instruction"
		case lengths[i] != sizes[i] && !strings.HasPrefix(text, "nop") && !(lengths[i] > 15 || sizes[i] == 15):
			complaint = fmt.Sprintf("length %d, LLVM says %d", sizes[i], lengths[i])
		case verdicts[i] == ruleNone && namesRSP.MatchString(text):
			complaint = "accepted, but names rsp"
		case verdicts[i] == ruleNone && writesR15(text):
			complaint = "accepted, but writes r15"
		case verdicts[i] == ruleRSP && !namesRSP.MatchString(text):
			complaint = "refused as naming rsp, but does not"
		case verdicts[i] == ruleR15 && !strings.Contains(text, "%r15"):
			complaint = "refused as writing r15, but does not name it"
		}
		if complaint != "" {
			t.Errorf("% x  %s: %s", codes[i], text, complaint)
			if bad++; bad > 30 {
				t.Fatal("and more")
			}
		}
	}
	t.Logf("%d instructions compared", len(codes))
}
