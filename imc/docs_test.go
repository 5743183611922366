package imc

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedTests: every test that docs/imc.md names for a behaviour is there, and so
// is every part of one.
func TestDocumentedTests(t *testing.T) {
	text, err := os.ReadFile("../docs/imc.md")
	must(t, err)
	_, section, _ := strings.Cut(string(text), "\n# Behaviours and their tests\n")
	section, _, there := strings.Cut(section, "\n# ")
	if !there {
		t.Fatal("docs/imc.md has no list of behaviours")
	}
	read := func(patterns ...string) string {
		var all strings.Builder
		for _, p := range patterns {
			names, err := filepath.Glob(p)
			must(t, err)
			for _, name := range names {
				b, err := os.ReadFile(name)
				must(t, err)
				all.Write(b)
			}
		}
		return all.String()
	}
	tests := read("*_test.go", "*/*_test.go", "../libcshim/*_test.go", "../toolchain/sysroot/*_test.go")
	parts := read("internal/suite/*.go", "../libcshim/testdata/imc/*.c")
	names := regexp.MustCompile("`(Test\\w+)(?:/([^`]+))?`").FindAllStringSubmatch(section, -1)
	if len(names) < 50 {
		t.Fatalf("only %d tests are named", len(names))
	}
	for _, m := range names {
		if !strings.Contains(tests, "func "+m[1]+"(t *testing.T)") {
			t.Errorf("there is no %s", m[1])
		}
		if m[2] != "" && !strings.Contains(parts, `t.Run("`+m[2]+`"`) && !strings.Contains(parts, "static void "+m[2]+"(") {
			t.Errorf("%s has no part %q", m[1], m[2])
		}
	}
}
