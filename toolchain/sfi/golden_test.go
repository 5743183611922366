package sfi

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output of TestGolden")

// TestGolden compares the output for the files of testdata/golden with what
// stands beside them.
func TestGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/golden/*.s")
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := rewrite(src, Options{Name: filepath.Base(f)})
			if err != nil {
				t.Fatal(err)
			}
			wantFile := strings.TrimSuffix(f, ".s") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("output differs from %s (go test -update rewrites it):\n%s", wantFile, firstDiff(string(got), string(want)))
			}
		})
	}
}

func firstDiff(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			x := ""
			if i < len(w) {
				x = w[i]
			}
			return "got  " + g[i] + "\nwant " + x
		}
	}
	return "got is shorter"
}

// TestGoldenValid takes the golden inputs through assembler, linker and
// validator.
func TestGoldenValid(t *testing.T) {
	need(t, "llvm-mc-19", "ld.lld-19")
	files, _ := filepath.Glob("testdata/golden/*.s")
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			src = append(src, "\n\t.section .tdata,\"awT\",@progbits\n\t.globl x, y\nx:\ny:\t.zero 64\n"...)
			if err := check(t.TempDir(), src, Options{Name: f}, "-static"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLineMarkers: the marked output is the plain one with markers between.
func TestLineMarkers(t *testing.T) {
	files, _ := filepath.Glob("testdata/golden/*.s")
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := rewrite(src, Options{Name: "x.s"})
		if err != nil {
			t.Fatal(err)
		}
		marked, err := rewrite(src, Options{Name: "x.s", LineMarkers: true})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		n := 0
		for _, l := range strings.SplitAfter(string(marked), "\n") {
			if strings.HasPrefix(l, "# ") {
				n++
				continue
			}
			b.WriteString(l)
		}
		if b.String() != string(plain) || n == 0 {
			t.Errorf("%s: %s", f, firstDiff(b.String(), string(plain)))
		}
	}
}
