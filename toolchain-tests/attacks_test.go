package toolchaintests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAttacksAreTested: every test that docs/loading.md names for an attack exists and says
// that it is for that attack.
func TestAttacksAreTested(t *testing.T) {
	doc, err := os.ReadFile("../docs/loading.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "| attack | stopped by | tests |\n|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	rows := strings.Split(table, "\n")
	if len(rows) < 6 {
		t.Fatalf("%d attacks in docs/loading.md", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(row, " | ")
		name, _, _ := strings.Cut(strings.TrimPrefix(cells[0], "| "), ":")
		tests := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(tests) == 0 {
			t.Errorf("%s: no tests", name)
		}
		for _, m := range tests {
			file, test, _ := strings.Cut(m[1], " ")
			b, err := os.ReadFile(filepath.Join("..", file))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			text := string(b)
			if test != "" {
				// The comment right before the function.
				before, _, ok := strings.Cut(text, "\nfunc "+test+"(")
				if !ok {
					t.Errorf("%s: there is no %s in %s", name, test, file)
					continue
				}
				text = before[strings.LastIndex(before, "\n\n")+1:]
			}
			if !strings.Contains(text, "// Attack: "+name+".") {
				t.Errorf("%s: %s does not say so", m[1], name)
			}
		}
	}
}
