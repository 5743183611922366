package libcshim

import (
	"os"
	"path/filepath"
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

// TestBehaviours: every row of the table in docs/classic.md names tests, or gives a
// reason, and the tests exist.
func TestBehaviours(t *testing.T) {
	text, err := os.ReadFile("../docs/classic.md")
	check(t, err)
	_, rest, _ := strings.Cut(string(text), "<!-- behaviours -->")
	block, _, ok := strings.Cut(rest, "<!-- end -->")
	if !ok {
		t.Fatal("docs/classic.md has no table of behaviours")
	}
	sources := map[string]string{} // of the tests in a folder
	tests := func(dir string) string {
		if _, ok := sources[dir]; !ok {
			files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
			check(t, err)
			var all strings.Builder
			for _, name := range files {
				b, err := os.ReadFile(name)
				check(t, err)
				all.Write(b)
			}
			sources[dir] = all.String()
		}
		return sources[dir]
	}
	named := regexp.MustCompile("`([a-z/-]+)\\.((?:Test|Fuzz)\\w+)(?:/(\\w+))?`")
	rows := 0
	for _, line := range strings.Split(block, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || cells[0] == "Behaviour" {
			continue
		}
		rows++
		if len(cells) != 2 || cells[0] == "" {
			t.Errorf("no row of two cells: %s", line)
			continue
		}
		names := named.FindAllStringSubmatch(cells[1], -1)
		if len(names) == 0 && !regexp.MustCompile("^none: .{10}").MatchString(cells[1]) {
			t.Errorf("neither a test nor a reason: %s", cells[0])
		}
		if strings.Count(cells[1], "Test")+strings.Count(cells[1], "Fuzz") != len(names) {
			t.Errorf("a test whose name can't be read: %s", cells[1])
		}
		for _, m := range names {
			dir, test, part := m[1], m[2], m[3]
			if !strings.Contains(tests(dir), "\nfunc "+test+"(t *testing.T) {") && !strings.Contains(tests(dir), "\nfunc "+test+"(f *testing.F) {") {
				t.Errorf("there is no %s in %s", test, dir)
			}
			if part == "" {
				continue
			}
			// The parts are programs.
			found, err := filepath.Glob(filepath.Join("..", dir, "testdata", part+"*"))
			check(t, err)
			if !slices.ContainsFunc(found, func(f string) bool { b := filepath.Base(f); return b == part || b == part+".c" }) {
				t.Errorf("%s has no program %s", dir, part)
			}
		}
	}
	if rows < 80 {
		t.Errorf("only %d rows", rows)
	}
}
