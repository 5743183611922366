package validator

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A vector is one line of testdata/vectors.txt.
type vector struct {
	line    int
	name    string
	text    []byte
	options Options
	rule    Rule // "" accepts
}

func readVectors(t testing.TB) []vector {
	f, err := os.Open("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var l []vector
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		col := strings.Split(line, "|")
		for i := range col {
			col[i] = strings.TrimSpace(col[i])
		}
		v := vector{line: n, name: col[0], options: Options{Offset: 0x20000, MaxErrors: 100}}
		switch verdict, rule, _ := strings.Cut(col[2], " "); {
		case verdict == "accept" && len(col) == 3:
		case verdict == "REJECT" && len(col) == 4 && col[3] != "" && ruleKnown(Rule(rule)):
			v.rule = Rule(rule)
		default:
			t.Fatalf("vectors.txt:%d: what is %q, or is there no reason?", n, col[2:])
		}
		for _, w := range strings.Fields(col[1]) {
			switch {
			case w[0] == '@':
				o, err := strconv.ParseUint(w[1:], 0, 32)
				if err != nil {
					t.Fatalf("vectors.txt:%d: %v", n, err)
				}
				v.options.Offset = uint32(o)
			case strings.HasPrefix(w, "fs="):
				d, err := strconv.ParseInt(w[3:], 0, 32)
				if err != nil {
					t.Fatalf("vectors.txt:%d: %v", n, err)
				}
				v.options.ThreadPointer = int32(d)
			case strings.HasPrefix(w, "abi="):
				abi, err := ParseABI(w[4:])
				if err != nil {
					t.Fatalf("vectors.txt:%d: %v", n, err)
				}
				v.options.ABI = abi
			case strings.HasPrefix(w, "cpu="):
				f, err := ParseFeatures(w[4:])
				if err != nil {
					t.Fatalf("vectors.txt:%d: %v", n, err)
				}
				v.options.Features = f
			default:
				h, times, many := strings.Cut(w, "*")
				b, err := hex.DecodeString(h)
				k := 1
				if err == nil && many {
					k, err = strconv.Atoi(times)
				}
				if err != nil {
					t.Fatalf("vectors.txt:%d: %q: %v", n, w, err)
				}
				v.text = append(v.text, bytes.Repeat(b, k)...)
			}
		}
		for len(v.text) == 0 || len(v.text)%BundleSize != 0 {
			v.text = append(v.text, 0x90)
		}
		l = append(l, v)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return l
}

func ruleKnown(r Rule) bool {
	for _, x := range Rules() {
		if x == r {
			return true
		}
	}
	return false
}

// TestVectors runs every named vector: accepted, or refused by the rule that
// the file names.
func TestVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range readVectors(t) {
		if seen[v.name] {
			t.Errorf("vectors.txt:%d: %s appears twice", v.line, v.name)
		}
		seen[v.name] = true
		r, err := Validate(v.text, v.options)
		switch {
		case err != nil:
			t.Errorf("vectors.txt:%d: %s: %v", v.line, v.name, err)
		case v.rule == "" && !r.OK():
			t.Errorf("vectors.txt:%d: %s is refused: %v", v.line, v.name, r.Err())
		case v.rule != "" && r.OK():
			t.Errorf("vectors.txt:%d: %s is accepted, want %s", v.line, v.name, v.rule)
		case v.rule != "" && r.Errors[0].Rule != v.rule:
			t.Errorf("vectors.txt:%d: %s: want %s, have %v", v.line, v.name, v.rule, r.Err())
		}
	}
}

// TestEveryRuleIsDocumented: docs/validator.md names each rule.
func TestEveryRuleIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/validator.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Rules() {
		if !bytes.Contains(doc, []byte("`"+string(r)+"`")) {
			t.Errorf("docs/validator.md does not name %s", r)
		}
	}
}

// TestEveryRuleHasVectors: a rule without a vector is a rule that could be
// deleted unnoticed.
func TestEveryRuleHasVectors(t *testing.T) {
	n := map[Rule]int{}
	for _, v := range readVectors(t) {
		n[v.rule]++
	}
	for _, c := range replacements {
		n[c.rule]++
	}
	for _, r := range Rules() {
		if n[r] == 0 {
			t.Errorf("no vector for %s", r)
		}
	}
	if n[""] < 50 {
		t.Errorf("only %d accepted vectors", n[""])
	}
}
