package loader

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRulesAreDocumentedAndTested: every rule of errors.go stands in
// docs/loading.md, and some test expects it.
func TestRulesAreDocumentedAndTested(t *testing.T) {
	src, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/loading.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	names, _ := filepath.Glob("*_test.go")
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(b)
	}
	rules := regexp.MustCompile(`(\w+) +Rule = "(L-[A-Z-]+)"`).FindAllStringSubmatch(string(src), -1)
	if len(rules) < 20 {
		t.Fatalf("only %d rules found", len(rules))
	}
	for _, r := range rules {
		if !strings.Contains(string(doc), "`"+r[2]+"`") {
			t.Errorf("%s is not in docs/loading.md", r[2])
		}
		if !strings.Contains(tests.String(), r[2]) {
			t.Errorf("no test expects %s", r[2])
		}
	}
}
