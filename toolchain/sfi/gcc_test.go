package sfi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var gccMatrix = [][]string{
	{"-O0"}, {"-O1"}, {"-O2"}, {"-O3"}, {"-Os"},
	{"-O2", "-g"}, {"-O0", "-g", "-fPIC"},
	{"-O2", "-fPIC"}, {"-O2", "-fno-pic", "-no-pie"}, {"-O2", "-fPIE"},
	{"-O2", "-fno-omit-frame-pointer"}, {"-O0", "-fomit-frame-pointer"},
	{"-O3", "-mavx2", "-mfma", "-mbmi2"},
	{"-O2", "-fcf-protection=none", "-fno-asynchronous-unwind-tables"},
	{"-O2", "-fno-plt", "-fPIC"},
	{"-O2", "-maccumulate-outgoing-args"},
	{"-Os", "-fno-asynchronous-unwind-tables", "-fPIC"},
}

// matrix is all of gccMatrix, or a part of it with -short.
func matrix() [][]string {
	if testing.Short() {
		return gccMatrix[2:8]
	}
	return gccMatrix
}

// TestGCC compiles every C and C++ file of testdata in many ways and wants the
// validator to accept what comes out.
func TestGCC(t *testing.T) {
	need(t, "gcc-12", "llvm-mc-19", "ld.lld-19")
	files, _ := filepath.Glob("testdata/c/*.c")
	more, _ := filepath.Glob("testdata/c/*.cc")
	files = append(files, more...)
	if len(files) == 0 {
		t.Fatal("no sources")
	}
	for _, f := range files {
		f, _ := filepath.Abs(f)
		t.Run(filepath.Base(f), func(t *testing.T) {
			t.Parallel()
			if strings.HasSuffix(f, ".cc") {
				need(t, "g++-12")
			}
			dir := t.TempDir()
			for _, flags := range matrix() {
				src, err := compile(dir, f, flags...)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range [][]string{{"-static"}, {"-shared", "-z", "now", "-z", "retpolineplt"}} {
					if l[0] == "-shared" && !contains(flags, "-fPIC") {
						continue
					}
					if err := check(dir, src, Options{Name: filepath.Base(f), checkCFI: true}, l...); err != nil {
						if k := os.Getenv("SFI_KEEP"); k != "" {
							os.WriteFile(k, src, 0o644)
						}
						t.Errorf("%v %v: %v", flags, l, err)
						break
					}
				}
			}
		})
	}
}

func contains(s []string, w string) bool {
	for _, x := range s {
		if x == w {
			return true
		}
	}
	return false
}
