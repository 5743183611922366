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
