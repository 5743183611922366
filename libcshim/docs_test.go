package libcshim

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumented: docs/libcshim.md lists exactly the calls of the table.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/libcshim.md")
	check(t, err)
	_, rest, _ := strings.Cut(string(text), "<!-- calls -->")
	block, _, ok := strings.Cut(rest, "<!-- end -->")
	if !ok {
		t.Fatal("docs/libcshim.md has no list of calls")
	}
	var listed, served []string
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(block, -1) {
		listed = append(listed, m[1])
	}
	for nr := range uint64(0x5000) {
		if c := lookup(nr); c != nil {
			served = append(served, c.name)
		}
	}
	slices.Sort(served)
	for _, name := range served {
		if !slices.Contains(listed, name) {
			t.Errorf("not in the list: %s", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(served, name) {
			t.Errorf("in the list, but not served: %s", name)
		}
	}
	if t.Failed() {
		t.Logf("the table has: `%s`", strings.Join(served, "` `"))
	}
}
