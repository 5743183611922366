// Command mutate weakens the validator one rule at a time and checks that the
// named vectors, or the recorded corpora of the repository, notice.
//
//	go run ./internal/mutate                  in validator/; takes a while
//	go run ./internal/mutate -only 'nacl.go'  a part of it
//	go run ./internal/mutate -list            what there is
//
// decode.go, the tables and validate.go are weakened by a list and by deleting each
// refusal; nacl.go, replace.go and rewrite.go by deleting each refusal and each
// side of every && and ||; fast.go by deleting each property that it knows and
// each condition for leaving something to the slow path.
//
// Nothing in the source tree is changed: each mutant is built through the go
// command's -overlay. A mutant that survives is a rule that a mistake could
// delete unseen; the exit status is then 1.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// A mutant is one change of one file.
type mutant struct {
	file, what string
	text       string
}

// weakenings are changes of conditions, beyond the deletion of each refusal.
// Every occurrence of the text becomes a mutant of its own.
var weakenings = map[string][][2]string{
	"decode.go": {
		// The unit.
		{` || n == 7 {`, ` {`},
		{` || n == 4 {`, ` {`},
		{`w>>48&7 != n || `, ``},
		{`w>>40&7 != n || `, ``},
		{`w>>56&7 != n || `, ``},
		// Prefixes.
		{`next>>4 <= x>>4`, `next>>4 < x>>4`},
		{`next>>4 <= x>>4`, `next == x`},
		// Registers.
		{`rm |= ext << 3 & 8`, `_ = rm`},
		{`reg |= ext << 1 & 8`, `_ = reg`},
		{` | ext<<3&8`, ``},
		{`vvvv = ^v >> 3 & 15`, `vvvv = 0`},
		{`vvvv = ^v2 >> 3 & 15`, `vvvv = 0`},
		{`(flags&fReg8 == 0 || rex != 0)`, `flags&fReg8 == 0`},
		{`(flags&fRm8 == 0 || rex != 0)`, `flags&fRm8 == 0`},
		{`(flags&fOp8 == 0 || rex != 0)`, `flags&fOp8 == 0`},
		// Memory.
		{`pfx&(pGS|pFS) != 0 || pfx&pAddr`, `pfx&pFS != 0 || pfx&pAddr`},
		{`pfx&(pGS|pFS) != 0 || pfx&pAddr`, `pfx&pGS != 0 || pfx&pAddr`},
		{`(flags&fLea == 0 || ripRelative)`, `flags&fLea == 0`},
		{`(flags&fLea == 0 || ripRelative)`, `ripRelative`},
		{`pfx&(pGS|pAddr) != 0`, `pfx&pGS != 0`},
		{`pfx&(pGS|pAddr) != 0`, `pfx&pAddr != 0`},
		{`pfx&(pGS|pAddr) != pGS|pAddr`, `pfx&pGS == 0`},
		{`pfx&(pGS|pAddr) != pGS|pAddr`, `pfx&pAddr == 0`},
		{`t < SandboxStart || t > SandboxEnd-ripSlack`, `t > SandboxEnd-ripSlack`},
		{`t < SandboxStart || t > SandboxEnd-ripSlack`, `t < SandboxStart`},
		{`t > SandboxEnd-ripSlack`, `t > SandboxEnd-1`},
		{`sib&7 == 4 && ext&1 == 0`, `false`},
		{`pfx&(pGS|pFS|pAddr) != 0`, `pfx&(pFS|pAddr) != 0`},
		{`pfx&(pGS|pFS|pAddr) != 0`, `pfx&(pGS|pAddr) != 0`},
		{`pfx&(pGS|pFS|pAddr) != 0`, `pfx&(pGS|pFS) != 0`},
		// The thread pointer.
		{`rex&^4 != 0x40`, `rex&^5 != 0x40`},
		{`rex&^4 != 0x40`, `rex&^12 != 0x40`},
		{`c.buf[q&63] != 0x8b || `, ``},
		{`&0xc7 != 0x04`, `&0x07 != 0x04`},
		{` || c.buf[(q+2)&63] != 0x25`, ``},
		// Bits without a use.
		{`ext&^allowed != 0 || vvvv`, `vvvv`},
		{` || vvvv != 0 && flags&fVexUsed == 0`, ``},
		{`ext&^allowed != 0 || flags`, `flags`},
		{`fNoREX|fRel8`, `fRel8`},
		{`fRel8|fRel32|fRet`, `fRel32|fRet`},
		{`fRel8|fRel32|fRet`, `fRel8|fRet`},
		{`fRel8|fRel32|fRet`, `fRel8|fRel32`},
		{`rex != 0 || pfx&(p66|pF3|pF2|pLock) != 0`, `rex != 0`},
		{`rex != 0 || pfx&(p66|pF3|pF2|pLock) != 0`, `pfx&(p66|pF3|pF2|pLock) != 0`},
		{`m-1 > 2`, `m > 3`},
		// Branches and ends.
		{`s%BundleSize != 0 || `, ``},
		{`s < SandboxStart || `, ``},
		{` || s >= SandboxEnd`, ``},
		{`q > BundleSize`, `q > BundleSize+1`},
		{`uint(len(s)) <= BundleSize-p && `, ``},
	},
	"validate.go": {
		{`c.findBadBranches(r, o)`, `_ = r`},
		{`j&^c.starts[i] != 0`, `j&^c.starts[i] > 1<<30`},
		{`o.Offset%BundleSize != 0`, `false`},
		{`len(text)%BundleSize != 0`, `false && len(text)%BundleSize != 0`},
		{`> 1<<32:`, `> 1<<33:`},
		{`o.ABI > X86_32`, `false`},
		{` && broken == ruleNone {`, ` {`},
	},
}

// Flags of forms whose loss would let something through.
var formFlags = []string{
	"fRegGPR", "fRegWritten", "fRmGPR", "fRmWritten", "fOpGPR", "fOpWritten", "fVexGPR", "fVexWritten",
	"fRel8", "fRel32", "fIs4", "fRet", "fNoREX",
}

func mutants(read func(string) string) ([]mutant, error) {
	var l []mutant
	for _, file := range []string{"decode.go", "validate.go"} {
		src := read(file)
		line := func(at int) int { return strings.Count(src[:at], "\n") + 1 }
		if file == "decode.go" {
			// Every refusal, deleted.
			for _, m := range regexp.MustCompile(`return (?:(?:n|0), )?(rule[A-Z]\w*|v|r)\n`).FindAllStringSubmatchIndex(src, -1) {
				if name := src[m[2]:m[3]]; name != "ruleNone" {
					l = append(l, mutant{file, fmt.Sprintf("line %d: no %s", line(m[0]), strings.TrimSpace(src[m[0]:m[1]])),
						src[:m[0]] + "_ = 0\n" + src[m[1]:]})
				}
			}
		}
		for _, w := range weakenings[file] {
			found := false
			for at := 0; ; {
				i := strings.Index(src[at:], w[0])
				if i < 0 {
					break
				}
				i += at
				found = true
				l = append(l, mutant{file, fmt.Sprintf("line %d: %s -> %s", line(i), w[0], w[1]), src[:i] + w[1] + src[i+len(w[0]):]})
				at = i + len(w[0])
			}
			if !found {
				return nil, fmt.Errorf("%s holds no %q any more: bring the list of weakenings up to date", file, w[0])
			}
		}
	}
	for _, file := range []string{"nacl.go", "replace.go", "rewrite.go", "fast.go", "automaton.go", "heads.go"} {
		more, err := operators(file, read(file))
		if err != nil {
			return nil, err
		}
		l = append(l, more...)
	}
	// Every refusal and every property that the tables know.
	src := read("tables_gen.go")
	rules := map[string]bool{}
	for _, m := range regexp.MustCompile(`\[3\]ruleID\{(rule\w+),`).FindAllStringSubmatch(src, -1) {
		if r := m[1]; !rules[r] && r != "ruleOpcode" && r != "ruleNaCl" {
			rules[r] = true
			l = append(l, mutant{"tables_gen.go", r + " accepts", strings.ReplaceAll(src, "[3]ruleID{"+r+",", "[3]ruleID{0,")})
		}
	}
	for _, f := range formFlags {
		re := regexp.MustCompile(`\b` + f + `\b`)
		if !re.MatchString(src) {
			return nil, fmt.Errorf("no form has %s", f)
		}
		l = append(l, mutant{"tables_gen.go", "no form has " + f, re.ReplaceAllString(src, "0")})
	}
	return l, nil
}

// refusals are statements whose loss lets something through.
var refusals = map[string]*regexp.Regexp{
	"nacl.go":      regexp.MustCompile(`(?m)^\t+return (?:(?:n|0), )?(rule[A-Z]\w*(?: \+ .*)?|why|broken)$|^\t+broken = rule\w+$|^\t+why = rule\w+$|^\t+c\.(?:zx|inner) (?:\|?=) .*$|^\t+return 0$`),
	"replace.go":   regexp.MustCompile(`(?m)^\t+c\.report\(.*$|^\t+return false$|^\t+units \|= .*$|^\t+starts (?:\||&\^)= .*$`),
	"rewrite.go":   regexp.MustCompile(`(?m)^\t+c\.report\(.*$|^\t+return false$|^\t+starts (?:\||&\^)= .*$`),
	"fast.go":      regexp.MustCompile(`(?m)^\t+(?:stop|zx, zxAt|before, beforeAt|c\.inner|c\.jumped\[.*\]|ends|labelled|known) (?:\||&\^)?= .*$|^\t+return false$`),
	"automaton.go": regexp.MustCompile(`(?m)^\t+return rowSlow.*$|^\t+(?:r|segment)\[\w+\] (?:\|?=) .*$|^\t+label\(.*$|^\t+s \|= .*$|^\t+(?:then|x|zx|key|page) (?:[&|^]*=) .*$|^\t+i \|= .*$`),
	"heads.go":     regexp.MustCompile(`(?m)^\t+set\(.*$|^\t+return eSlow$|^\t+g(?:\[\w+\])? (?:\|?=) (?:xUseless|slow|eSlow|eUnit)\b.*$|^\t+f \|= s\w+$`),
}

// tests are those that must notice, quick ones first: those of a file, or else of "".
var tests = map[string][]string{
	"":             {"TestVectors$|TestErrors|TestMisuse|TestThreadPointerLoads", "TestOwnCorpus"},
	"nacl.go":      {"TestVectors$|TestReplacement$|TestRewrite|TestFeatures", "TestFastPath|FuzzFastPath", "TestOwnCorpus"},
	"fast.go":      {"TestVectors$|TestAutomaton|TestFeatures", "TestFastPath", "TestOwnCorpus"},
	"automaton.go": {"TestVectors$|TestAutomaton|TestFeatures", "TestFastPath", "TestOwnCorpus"},
	"heads.go":     {"TestVectors$|TestAutomaton|TestFeatures", "TestFastPath", "TestOwnCorpus"},
	"replace.go":   {"TestReplacement$|TestReplacementCPU|TestThreadPointerLoads", "TestReplacementReference"},
	"rewrite.go":   {"TestRewrite|TestFeatures|TestThreadPointerLoads", "TestVectors$"},
}

// equivalent are mutants that change no verdict, without their lines, and why.
var equivalent = map[string]string{
	"nacl.go no return 0 if end > BundleSize":                                     "what is behind the bundle reads as zeros, which are no string instruction",
	"nacl.go without q >= BundleSize":                                             "likewise",
	"nacl.go without q == p":                                                      "padding and the thread pointer are compared from the first byte on, where q is p or they do not fit",
	"nacl.go without c.abi == Classic":                                            "in 32-bit mode only 83 brings one here",
	"nacl.go without (m == 0xf6 || m == 0xff)":                                    "all bytes of the unit are looked at again",
	"nacl.go without op&^2 == 0x89":                                               "likewise",
	"nacl.go without op&^2 == 0x89 && (m == 0xf6 || m == 0xff)":                   "likewise",
	"nacl.go without !mem":                                                        "rows of memory do not have fRmExt",
	"nacl.go without op <= 0xaf":                                                  "no other instruction has a repetition among its flags",
	"nacl.go without pfx&^pREX != pHint":                                          "the pages of the other prefixes hold no branches",
	"nacl.go without pfx&^pREX == 0":                                              "with REX.W, mov takes no other prefix",
	"nacl.go without x == p66":                                                    "no instruction that takes lock takes another prefix but 66",
	"replace.go no starts |= ^uint32(0) << p":                                     "behind an error that is reported already",
	"replace.go no c.report(r, o, BundleSize, 0, ruleSPAlone+ruleID(c.zx-regSP))": "what may change in classic code leaves no register half written that the old code did not",
	"replace.go without c.zx == regBP":                                            "likewise",
	"replace.go without c.zx == regSP":                                            "likewise",
	"replace.go without units != oldUnits":                                        "a unit that changes is refused where it stands",
	"replace.go without broken != ruleNone && broken != ruleJumpRange":            "old code is a piece of an accepted text",
	"replace.go without n == 0":                                                   "then broken is not ruleNone either",
	"replace.go without q < len(b)-1":                                             "an instruction that was accepted has an opcode",
	"rewrite.go no starts |= ^uint32(0) << p":                                     "behind an error that is reported already",
	"rewrite.go no return false":                                                  "the result is validated again",
	"rewrite.go without plain":                                                    "what is not changed is validated once more",
	"rewrite.go without r.OK()":                                                   "no text is known that can be rewritten and is refused then",
	"rewrite.go without err == nil":                                               "prepare has found the same arguments good",
	"rewrite.go without c.abi == Classic":                                         "the result is validated again",
	"rewrite.go without !data16":                                                  "the result is validated again",
	"rewrite.go without op == 0xc3 && !data16":                                    "the result is validated again",
	"rewrite.go without op == 0xc3":                                               "the result is validated again",
	"automaton.go without len(padding) > 0":                                       "a row in front of no sequence leads to rowSlow",
	"automaton.go without someNeed && e&eNeed != 0":                               "there is no such group",
	"automaton.go without e&eNeed != 0":                                           "there is no such group",
	"automaton.go no return rowSlow // none is known":                             "there is no such form",
	"automaton.go without labels > 1 || e>>eZx&3 == 1":                            "likewise",
	"automaton.go without labels > 1":                                             "likewise",
	"automaton.go without e>>eZx&3 == 1":                                          "likewise",
	"automaton.go without e>>eZx&3 == 2":                                          "likewise",
	"nacl.go no return n, broken if vvvv":                                         "classic accepts no instruction that writes a general register by VEX.vvvv",
}

var assignment = regexp.MustCompile(`^([\w.,\[\]/% ]+?) ([|&^]*)= (.*)$`)

// What makes one side of a condition count for nothing, and still be there for the
// compiler: x || false && (y), x && (true || (y)).
var (
	neutral = map[token.Token]string{token.LOR: "false", token.LAND: "true"}
	other   = map[token.Token]token.Token{token.LOR: token.LAND, token.LAND: token.LOR}
)

// operators makes mutants of a file: each refusal lost, each side of every && and
// || alone.
func operators(file, src string) ([]mutant, error) {
	var l []mutant
	line := func(at int) int { return strings.Count(src[:at], "\n") + 1 }
	for _, m := range refusals[file].FindAllStringIndex(src, -1) {
		what := strings.TrimSpace(src[m[0]:m[1]])
		// Which of several, where the statement alone does not tell.
		if before := strings.Split(strings.TrimRight(src[:m[0]], "\n"), "\n"); file == "nacl.go" {
			switch last := strings.TrimSpace(before[len(before)-1]); {
			case strings.HasPrefix(last, "if end > BundleSize"):
				what += " if end > BundleSize"
			case strings.Contains(last, "writes(vvvv"):
				what += " if vvvv"
			}
		}
		if what == "r[i] = state" {
			continue // constant, without which nothing is left
		}
		to := "_ = 0"
		if a := assignment.FindStringSubmatch(what); a != nil && (file == "fast.go" || file == "automaton.go" || file == "heads.go") {
			// What it uses stays used.
			to = "_" + strings.Repeat(", _", strings.Count(a[1], ",")) + " = " + a[3]
			if a[2] == "|" {
				rhs, _, _ := strings.Cut(a[3], " //")
				to = a[1] + " |= 0 & (" + rhs + ")"
			}
		}
		switch {
		case strings.HasPrefix(what, "return false"):
			to = "return true"
		case strings.HasPrefix(what, "return n, broken"):
			to = "_ = broken"
		}
		l = append(l, mutant{file, fmt.Sprintf("line %d: no %s", line(m[0]), what), src[:m[0]] + to + src[m[1]:]})
	}
	if file == "nacl.go" {
		// A return that ends a function can't be deleted.
		l = slices.DeleteFunc(l, func(m mutant) bool {
			return strings.Contains(m.what, "no return ruleNone") || strings.HasSuffix(m.what, "return n, ruleNone")
		})
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	ast.Inspect(f, func(n ast.Node) bool {
		e, ok := n.(*ast.BinaryExpr)
		if !ok || e.Op != token.LAND && e.Op != token.LOR {
			return true
		}
		from, to := at(e.Pos()), at(e.End())
		for _, side := range []ast.Expr{e.X, e.Y} {
			keep := src[at(side.Pos()):at(side.End())]
			lost := e.Y
			if side == e.Y {
				lost = e.X
			}
			gone := src[at(lost.Pos()):at(lost.End())]
			if file == "heads.go" && e.Op == token.LAND {
				continue // leaves more to step, which is no defect
			}
			l = append(l, mutant{file, fmt.Sprintf("line %d: without %s", line(from), strings.Join(strings.Fields(gone), " ")), src[:from] + fmt.Sprintf("((%s) %s (%s %s (%s)))", keep, e.Op, neutral[e.Op], other[e.Op], gone) + src[to:]})
		}
		return true
	})
	return l, nil
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("mutate: ")
	dir := flag.String("dir", ".", "the validator package's directory")
	run := flag.String("run", "", "the tests that must notice; by default those that are about the file")
	only := flag.String("only", "", "mutants whose file or description matches this regular expression")
	show := flag.Bool("list", false, "name the mutants and test nothing")
	jobs := flag.Int("j", max(1, runtime.NumCPU()/2), "mutants at a time")
	verbose := flag.Bool("v", false, "name the mutants that are noticed, too")
	flag.Parse()

	abs, err := filepath.Abs(*dir)
	if err != nil {
		log.Fatal(err)
	}
	list, err := mutants(func(name string) string {
		b, err := os.ReadFile(filepath.Join(abs, name))
		if err != nil {
			log.Fatal(err)
		}
		return string(b)
	})
	if err != nil {
		log.Fatal(err)
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		log.Fatal(err)
	}
	chosen := list[:0]
	for _, m := range list {
		_, what, _ := strings.Cut(m.what, ": ")
		if pattern.MatchString(m.file+" "+m.what) && equivalent[m.file+" "+what] == "" {
			chosen = append(chosen, m)
		}
	}
	list = chosen
	if *show {
		for _, m := range list {
			fmt.Println(m.file, m.what)
		}
		return
	}
	tmp, err := os.MkdirTemp("", "mutate")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(tmp)

	var mu sync.Mutex
	survived, broken := 0, 0
	todo := make(chan int)
	var wg sync.WaitGroup
	for range *jobs {
		wg.Go(func() {
			for i := range todo {
				m := list[i]
				noticed, out, err := judge(tmp, abs, *run, i, m)
				mu.Lock()
				switch {
				case err != nil:
					broken++
					fmt.Printf("DOES NOT BUILD  %s %s\n%s\n", m.file, m.what, out)
				case !noticed:
					survived++
					fmt.Printf("SURVIVES  %s %s\n", m.file, m.what)
				case *verbose:
					fmt.Printf("noticed   %s %s\n", m.file, m.what)
				}
				mu.Unlock()
			}
		})
	}
	for i := range list {
		todo <- i
	}
	close(todo)
	wg.Wait()
	fmt.Printf("%d mutants, %d noticed, %d survive, %d do not build\n", len(list), len(list)-survived-broken, survived, broken)
	if survived+broken > 0 {
		os.RemoveAll(tmp)
		os.Exit(1)
	}
}

// judge builds and tests one mutant.
func judge(tmp, dir, run string, i int, m mutant) (noticed bool, out string, err error) {
	changed := filepath.Join(tmp, fmt.Sprintf("%d.go", i))
	if err := os.WriteFile(changed, []byte(m.text), 0o644); err != nil {
		return false, "", err
	}
	overlay := filepath.Join(tmp, fmt.Sprintf("%d.json", i))
	spec, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(dir, m.file): changed}})
	if err != nil {
		return false, "", err
	}
	if err := os.WriteFile(overlay, spec, 0o644); err != nil {
		return false, "", err
	}
	bin := filepath.Join(tmp, fmt.Sprintf("%d.test", i))
	defer os.Remove(bin)
	build := exec.Command("go", "test", "-overlay", overlay, "-vet=off", "-c", "-o", bin, ".")
	build.Dir = dir
	if b, err := build.CombinedOutput(); err != nil {
		return false, string(b), err
	}
	patterns := tests[m.file]
	if run != "" {
		patterns = []string{run}
	} else if patterns == nil {
		patterns = tests[""]
	}
	for _, p := range patterns {
		test := exec.Command(bin, "-test.run", p, "-test.timeout", "120s", "-test.failfast")
		test.Dir = dir
		if test.Run() != nil {
			return true, "", nil
		}
	}
	return false, "", nil
}
