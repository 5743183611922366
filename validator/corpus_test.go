package validator

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// The corpora hold machine code and the verdicts that the published NaCl
// validator gave it. They are too large for this repository; where they are at
// hand, every line is compared.

const corpora = "../../shared/corpus/validator"

// eachCorpusLine calls f with the fields of every line of a corpus, from
// several goroutines.
func eachCorpusLine(t *testing.T, name string, f func(fields []string)) {
	t.Helper()
	file, err := os.Open(filepath.Join(corpora, name+".txt.gz"))
	if err != nil {
		t.Skipf("the corpora are not here: %v", err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	batches := make(chan []string, 4)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for b := range batches {
				for _, line := range b {
					f(strings.Split(line, " "))
				}
			}
		})
	}
	var batch []string
	sc := bufio.NewScanner(z)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		if batch = append(batch, sc.Text()); len(batch) == 1000 {
			batches <- batch
			batch = nil
		}
	}
	batches <- batch
	close(batches)
	wg.Wait()
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
}

// corpusText turns the hex of a corpus into whole bundles.
func corpusText(t *testing.T, s string) []byte {
	if s == "-" {
		return bytes.Repeat([]byte{0x90}, BundleSize)
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Errorf("%q: %v", s, err)
	}
	for len(b)%BundleSize != 0 {
		b = append(b, 0x90)
	}
	return b
}

// verdictLine is the verdict in the words of the corpora, without the errors.
func verdictLine(r Result) string {
	letter := "V"
	switch {
	case r.NonTemporal():
		letter = "N"
	case !r.OK():
		return "I"
	}
	var b strings.Builder
	b.WriteString(letter + " ")
	for _, w := range r.Targets {
		fmt.Fprintf(&b, "%08x", w)
	}
	return b.String()
}

// extendsNop tells whether a text that we refuse holds the defect of the
// original: 90 behind 40, 42, 44 or 46, taken for an exchange that extends
// %rax, whose use we then refuse.
func extendsNop(text []byte, r Result) bool {
	for _, e := range r.Errors {
		o := int(e.Offset)
		if e.Rule != "V-MEM-INDEX" || o < 2 || text[o-1] != 0x90 || text[o-2]&^6 != 0x40 {
			return false
		}
	}
	return len(r.Errors) > 0
}

func TestCorpus(t *testing.T) {
	for _, c := range []struct {
		name   string
		abi    ABI
		cases  int
		defect int // lines where the original takes a nop for an extension
	}{
		{"testdata32", X86_32, 114, 0}, {"testdata64", Classic, 428, 0},
		{"insn32", X86_32, 461755, 0}, {"insn64", Classic, 817780, 18},
		{"multi32", X86_32, 100000, 0}, {"multi64", Classic, 100000, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			cases, defects, wrong := 0, 0, 0
			eachCorpusLine(t, c.name, func(f []string) {
				if f[0] != "V" && f[0] != "N" && f[0] != "I" {
					f = f[1:] // testdata: a name
				}
				text := corpusText(t, f[1])
				r, err := Validate(text, Options{ABI: c.abi, CollectTargets: true})
				if err != nil {
					t.Error(err)
				}
				want := f[0]
				if want != "I" {
					want += " " + f[2]
				}
				got := verdictLine(r)
				mu.Lock()
				defer mu.Unlock()
				cases++
				switch {
				case got == want:
				case f[0] == "V" && extendsNop(text, r):
					defects++
				default:
					if wrong++; wrong <= 40 {
						t.Errorf("%s: %s, want %v\n%v", f[1], got, f[0:1], r.Err())
						if got[0] == want[0] {
							t.Errorf("want %s", want)
						} else if len(f) > 2 {
							t.Error(f[2:])
						}
					}
				}
			})
			if wrong > 40 {
				t.Errorf("%d lines differ", wrong)
			}
			if cases != c.cases || defects != c.defect {
				t.Errorf("%d cases, %d with the defect of the original; want %d and %d", cases, defects, c.cases, c.defect)
			}
		})
	}
}

// TestCorpusCPUFeatures: valid texts are refused without the features that
// they need, and with them accepted, and need no others.
func TestCorpusCPUFeatures(t *testing.T) {
	for _, c := range []struct {
		name  string
		abi   ABI
		cases int
	}{{"cpuid32", X86_32, 5066}, {"cpuid64", Classic, 3982}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			cases := 0
			eachCorpusLine(t, c.name, func(f []string) {
				mu.Lock()
				defer mu.Unlock()
				cases++
				text := corpusText(t, f[1])
				ok := func(have Features) bool {
					r, err := Validate(text, Options{ABI: c.abi, Features: have | 1<<63})
					if err != nil {
						t.Error(err)
					}
					return r.OK() || r.NonTemporal()
				}
				// a,b needs both, a|b one of the two.
				var need [][]Features
				if f[0] != "none" {
					for _, w := range strings.Split(f[0], ",") {
						var any []Features
						for _, x := range strings.Split(w, "|") {
							b, err := ParseFeatures(x)
							if err != nil {
								t.Fatal(err)
							}
							any = append(any, b)
						}
						need = append(need, any)
					}
				}
				all := AllFeatures
				for i := Features(1); i < featureEnd; i <<= 1 {
					want := true
					for _, any := range need {
						want = want && (len(any) > 1 || any[0] != i)
					}
					if ok(all&^i) != want {
						t.Errorf("%v: without %v: %v", f, i, !want)
					}
				}
				var least Features
				for _, any := range need {
					least |= any[len(any)-1]
					if len(any) == 2 && ok(all&^any[0]&^any[1]) {
						t.Errorf("%v: without %v: accepted", f, any)
					}
				}
				if !ok(least) {
					t.Errorf("%v: with nothing but %v: refused", f, least)
				}
			})
			if cases != c.cases {
				t.Errorf("%d cases, want %d", cases, c.cases)
			}
		})
	}
}

// TestCorpusRewrite: text that is loaded by copying.
func TestCorpusRewrite(t *testing.T) {
	for _, c := range []struct {
		name  string
		abi   ABI
		cases int
	}{{"rewrite32", X86_32, 8477}, {"rewrite64", Classic, 6895}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			cases := 0
			eachCorpusLine(t, c.name, func(f []string) {
				mu.Lock()
				cases++
				mu.Unlock()
				text := corpusText(t, f[1])
				was := string(text)
				r, err := Rewrite(text, Options{ABI: c.abi})
				if err != nil {
					t.Error(err)
				}
				want := was
				if f[0] == "V" {
					want = string(corpusText(t, f[2]))
				}
				if r.OK() != (f[0] == "V") || string(text) != want {
					t.Errorf("%v: %x %v", f, text, r.Err())
				}
			})
			if cases != c.cases {
				t.Errorf("%d cases, want %d", cases, c.cases)
			}
		})
	}
}

// TestCorpusReplace: text that takes the place of other text.
func TestCorpusReplace(t *testing.T) {
	for _, c := range []struct {
		name           string
		abi            ABI
		cases, defects int
	}{{"replace32", X86_32, 20000, 0}, {"replace64", Classic, 20000, 3}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			cases, defects := 0, 0
			eachCorpusLine(t, c.name, func(f []string) {
				new := corpusText(t, f[2])
				r, err := ValidateReplacement(corpusText(t, f[1]), new, Options{ABI: c.abi})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				cases++
				switch {
				case r.OK() == (f[0] == "V"):
				case f[0] == "V" && extendsNop(new, r):
					defects++
				default:
					t.Errorf("%v: %v", f, r.Err())
				}
			})
			if cases != c.cases || defects != c.defects {
				t.Errorf("%d cases, %d with the defect of the original; want %d and %d", cases, defects, c.cases, c.defects)
			}
		})
	}
}
