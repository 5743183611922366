package cage

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestGuard: C-GUARD. 40 GiB on either side belong to the cage and stay
// inaccessible, whatever is mapped at its edges, and are given back.
//
// Attack: growing over the edge.
func TestGuard(t *testing.T) {
	c := newCage(t, Config{Guard: ClassicGuard})
	lo, hi := uint64(c.Base())-ClassicGuard, uint64(c.Base())+Size+ClassicGuard
	guarded := func() {
		t.Helper()
		next := lo
		for _, m := range readMaps(t) {
			if m.end <= lo || m.start >= hi {
				continue
			}
			if m.start > next {
				t.Fatalf("nothing is mapped at %#x", next)
			}
			next = m.end
			inside := m.start >= uint64(c.Base()) && m.end <= uint64(c.Base())+Size
			if !inside && m.perms[:3] != "---" {
				t.Errorf("%#x-%#x of the guard is %s", m.start, m.end, m.perms)
			}
		}
		if next < hi {
			t.Errorf("the guard ends at %#x, want %#x", next, hi)
		}
	}
	guarded()
	top := uint32(Size - TopGuard - 2*PageSize)
	if _, err := c.Map(top, 2*PageSize, ProtRead|ProtWrite, Fixed); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Remap(top, 2*PageSize, 64*PageSize, true); err != nil {
		t.Fatal(err)
	}
	_, err := c.Map(top, 4*TopGuard, ProtRead|ProtWrite, Fixed)
	wantErr(t, err, ErrNoSpace)
	wantErr(t, c.Unmap(top, Size), ErrInvalid)
	guarded()
	c.check(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, at := range []uint64{lo, uint64(c.Base()), hi - PageSize} {
		if err := munmapped(at); err != nil {
			t.Errorf("%#x after Close: %v", at, err)
		}
	}
	if _, err := New(Config{Trampolines: mustTrampolines(t), Guard: PageSize}); err == nil {
		t.Error("a guard of one page is accepted")
	}
}

// munmapped is nil if nothing is mapped at addr.
func munmapped(addr uint64) error {
	p, err := mmap(uintptr(addr), PageSize, 0, anonymous|0x100000, -1, 0) // MAP_FIXED_NOREPLACE
	if err != nil {
		return err
	}
	if uint64(p) != addr {
		return syscall.EEXIST
	}
	return munmap(p, PageSize)
}

func mustTrampolines(t *testing.T) *Text {
	text, err := testTrampolines()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestGuardTrimmed: where the usual place can't be had, the guards are as large.
func TestGuardTrimmed(t *testing.T) {
	const n = Size + 2*ClassicGuard
	p, err := reserveTrimmed(n)
	if err != nil {
		t.Fatal(err)
	}
	defer munmap(p, n)
	if p%Size != 0 {
		t.Errorf("%#x is not aligned", p)
	}
	if err := munmapped(uint64(p) + n - PageSize); err == nil {
		t.Error("the end is not reserved")
	}
}

// TestBehind: what lies behind a sandbox without guards belongs to nobody else. A
// masked move of 32 bytes whose address is 4 GiB - 12 accesses 4 GiB + 12 and
// nothing before; nobody may have mapped anything there.
func TestBehind(t *testing.T) {
	c := newCage(t, Config{})
	end := uint64(c.Base()) + Size
	for _, at := range []uint64{end, end + Behind - PageSize} {
		if munmapped(at) == nil {
			t.Errorf("%#x, behind the sandbox, is free for others", at)
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var prot string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &prot); err != nil {
			t.Fatal(err)
		}
		if from < end+Behind && to > end && prot != "---p" {
			t.Errorf("mapped behind the sandbox: %s", line)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := munmapped(end); err != nil {
		t.Errorf("behind a closed sandbox: %v", err)
	}
}
