package libcshim

import "testing"

// TestTable: building the table panics when a number is defined twice; here only
// what is easy to get wrong by hand is looked at.
func TestTable(t *testing.T) {
	n := 0
	for nr := range uint64(0x5000) {
		c := lookup(nr)
		if c == nil {
			continue
		}
		n++
		if c.name == "" || c.serve == nil || len(c.args) > 6 {
			t.Errorf("%#x: %q with %d arguments", nr, c.name, len(c.args))
		}
		for i, kind := range c.args {
			if (kind == aInBuf || kind == aInVec) && i == 5 {
				t.Errorf("%s: the length of argument %d is behind the last register", c.name, i)
			}
			if kind == aOpenMode && (i == 0 || c.args[i-1] != aOpenFlags) {
				t.Errorf("%s: a mode without flags", c.name)
			}
		}
	}
	t.Logf("%d calls", n)
	if n < 150 {
		t.Errorf("only %d calls", n)
	}
}
