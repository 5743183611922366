package cage

import (
	"errors"
	"os"
	"testing"
)

// TestClone: the copy has the same map and contents, and nothing but what is
// shared is one.
func TestClone(t *testing.T) {
	budget := NewBudget(1 << 30)
	text, err := testTrampolines()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Trampolines: text, MaxMemory: 16 << 20, Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	code := newText(t, 0x200000, 2, 0x90)
	if err := c.MapText(0x200000, code); err != nil {
		t.Fatal(err)
	}
	gone := newText(t, 0x300000, 1, 0x90)
	if err := c.MapText(0x300000, gone); err != nil {
		t.Fatal(err)
	}
	if err := c.UnmapText(0x300000); err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 3*PageSize)); err != nil {
		t.Fatal(err)
	}
	at := func(off uint32, n uint64, p Prot) {
		if _, err := c.Map(off, n, p, Fixed); err != nil {
			t.Fatal(err)
		}
	}
	at(0x1000000, 100*PageSize, rw)
	at(0x2000000, 2*PageSize, rw)
	at(0x3000000, 2*PageSize, rw)
	for _, m := range []struct {
		off    uint32
		shared bool
	}{{0x4000000, true}, {0x5000000, false}} {
		if _, err := c.MapFile(m.off, 3*PageSize, rw, Fixed, f, 0, m.shared); err != nil {
			t.Fatal(err)
		}
	}
	for i, off := range []uint32{0x1000000 + 7*PageSize, 0x1000000 + 99*PageSize + 4095, 0x2000000, 0x3000000, 0x4000000, 0x5000000 + 2*PageSize} {
		*c.byteAt(off) = byte(i + 1)
	}
	for off, p := range map[uint32]Prot{0x2000000: ProtNone, 0x3000000: ProtRead} {
		if err := c.Protect(off, 2*PageSize, p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Reserve(5*PageSize, PageSize); err != nil {
		t.Fatal(err)
	}
	n, err := c.Clone()
	if err != nil {
		t.Fatal(err)
	}
	n.check(t)
	c.check(t)
	a, b := c.Mappings(), n.Mappings()
	if len(a) != len(b) {
		t.Fatalf("%d mappings, %d in the copy", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("%+v, in the copy %+v", a[i], b[i])
		}
	}
	if n.MemoryInUse() != c.MemoryInUse() || budget.Used() != 2*c.MemoryInUse() {
		t.Errorf("%d bytes in use, %d in the copy, %d of the budget", c.MemoryInUse(), n.MemoryInUse(), budget.Used())
	}
	if err := n.Protect(0x2000000, 2*PageSize, ProtRead); err != nil {
		t.Fatal(err)
	}
	for i, off := range []uint32{0x1000000 + 7*PageSize, 0x1000000 + 99*PageSize + 4095, 0x2000000, 0x3000000, 0x4000000, 0x5000000 + 2*PageSize} {
		if got := *n.byteAt(off); got != byte(i+1) {
			t.Errorf("at 0x%x: %d", off, got)
		}
	}
	*n.byteAt(0x1000000 + 7*PageSize) = 100
	*n.byteAt(0x4000000) = 100
	*n.byteAt(0x5000000 + PageSize) = 100
	if *c.byteAt(0x1000000 + 7*PageSize) != 1 || *c.byteAt(0x4000000) != 100 || *c.byteAt(0x5000000 + PageSize) != 0 {
		t.Error("what was written to the copy is in the wrong places")
	}
	if *n.byteAt(0x200000) != 0x90 {
		t.Error("no text")
	}
	// What can't be done to the original can't be done to the copy.
	wantErr(t, n.Unmap(0x200000, PageSize), ErrText)
	wantErr(t, n.Unmap(0x300000, PageSize), ErrText)
	if err := n.MapText(0x300000, gone); err != nil {
		t.Errorf("the same code, where it was: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if budget.Used() != c.MemoryInUse() {
		t.Errorf("%d bytes of the budget are used for %d", budget.Used(), c.MemoryInUse())
	}
}

// TestCloneRefused: a copy that can't be made leaves nothing behind.
func TestCloneRefused(t *testing.T) {
	c := newCage(t, Config{Budget: NewBudget(100 * PageSize)})
	if _, err := c.Map(0x1000000, 60*PageSize, ProtRead|ProtWrite, Fixed); err != nil {
		t.Fatal(err)
	}
	before := len(readMaps(t))
	if _, err := c.Clone(); !errors.Is(err, ErrLimit) {
		t.Errorf("beyond the budget: %v", err)
	}
	if used := c.budget.Used(); used != 60*PageSize {
		t.Errorf("%d bytes of the budget in use", used)
	}
	if _, err := NewDynamic(c, 0x2000000, DynamicUnit); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clone(); !errors.Is(err, ErrDynamic) {
		t.Errorf("with dynamic code: %v", err)
	}
	d := newCage(t, Config{})
	d.Close()
	if _, err := d.Clone(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if after := len(readMaps(t)); after > before+5 {
		t.Errorf("%d mappings before, %d after", before, after)
	}
}

// TestSharedBudget: cages share a budget; failures and unmapping give back.
func TestSharedBudget(t *testing.T) {
	b := NewBudget(10 * PageSize)
	x, y := newCage(t, Config{Budget: b}), newCage(t, Config{Budget: b})
	if _, err := x.Map(0x1000000, 6*PageSize, rw, Fixed); err != nil {
		t.Fatal(err)
	}
	_, err := y.Map(0x1000000, 5*PageSize, rw, Fixed)
	wantErr(t, err, ErrLimit)
	if _, err := y.Map(0x1000000, 100*PageSize, ProtRead, Fixed); err != nil {
		t.Fatal(err)
	}
	wantErr(t, y.Protect(0x1000000, 5*PageSize, rw), ErrLimit)
	if err := y.Protect(0x1000000, 4*PageSize, rw); err != nil {
		t.Fatal(err)
	}
	_, err = x.Remap(0x1000000, 6*PageSize, 7*PageSize, true)
	wantErr(t, err, ErrLimit)
	if b.Used() != 10*PageSize {
		t.Errorf("%d in use", b.Used())
	}
	if err := y.Unmap(0x1000000, 100*PageSize); err != nil {
		t.Fatal(err)
	}
	if _, err = x.Remap(0x1000000, 6*PageSize, 7*PageSize, true); err != nil {
		t.Error(err)
	}
	if b.Used() != 7*PageSize {
		t.Errorf("%d in use", b.Used())
	}
	x.Close()
	if b.Used() != 0 {
		t.Errorf("%d in use", b.Used())
	}
}

// TestShared: a place in shared memory is known under every address that it has, in the
// cage and in its copies, and nothing else is taken for it.
func TestShared(t *testing.T) {
	budget := NewBudget(1 << 30)
	c := newCage(t, Config{Budget: budget})
	at, err := c.MapShared(0, 8*PageSize, ProtNone, Hint)
	if err != nil {
		t.Fatal(err)
	}
	if used := c.MemoryInUse(); used != 8*PageSize || budget.Used() != used {
		t.Errorf("shared memory without access counts %d, of the budget %d", used, budget.Used())
	}
	if err := c.Protect(at, 8*PageSize, rw); err != nil {
		t.Fatal(err)
	}
	other, err := c.MapShared(0, 8*PageSize, rw, Hint)
	if err != nil {
		t.Fatal(err)
	}
	want := func(c *Cage, off uint32, like Object, place uint64) {
		t.Helper()
		if o, p, ok := c.Shared(off); !ok || o != like || p != place {
			t.Errorf("at 0x%x: %v 0x%x %v, want %v 0x%x", off, o, p, ok, like, place)
		}
	}
	o, _, _ := c.Shared(at)
	p, _, _ := c.Shared(other)
	if o == p {
		t.Error("two pieces of memory are one")
	}
	// The map splits, and one part moves.
	if err := c.Unmap(at+2*PageSize, PageSize); err != nil {
		t.Fatal(err)
	}
	if err := c.Protect(at+5*PageSize, PageSize, ProtRead); err != nil {
		t.Fatal(err)
	}
	moved, err := c.Remap(at+6*PageSize, PageSize, 2*PageSize, true)
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, c := range []*Cage{c, n} {
		want(c, at+4, o, 4)
		want(c, at+2*PageSize-4, o, 2*PageSize-4)
		want(c, at+3*PageSize, o, 3*PageSize)
		want(c, at+5*PageSize+8, o, 5*PageSize+8)
		want(c, moved+4, o, 6*PageSize+4)
		want(c, moved+PageSize, o, 7*PageSize)
		want(c, other, p, 0)
		for _, off := range []uint32{0, at + 2*PageSize, at + 6*PageSize, 0xffffffff} {
			if _, _, ok := c.Shared(off); ok {
				t.Errorf("something is shared at 0x%x", off)
			}
		}
	}
	*c.byteAt(at + 4) = 7
	if *n.byteAt(at + 4) != 7 {
		t.Error("the copy has memory of its own")
	}
	small := newCage(t, Config{MaxMemory: 4 * PageSize})
	_, err = small.MapShared(0, 5*PageSize, ProtRead, Hint)
	wantErr(t, err, ErrLimit)
	if _, err := small.Map(0, 4*PageSize, rw, Hint); err != nil {
		t.Error("what was refused is counted:", err)
	}
}
