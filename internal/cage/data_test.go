package cage

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/safemem"
)

// Data is the same for all cages until one writes, and then for that one alone.
func TestData(t *testing.T) {
	d, err := NewData([]byte(page("a")+"tail"), nil, []byte(page("b")))
	if err != nil {
		t.Fatal(err)
	}
	if d.Len() != 3*PageSize {
		t.Fatalf("%d bytes", d.Len())
	}
	const at = 0x100000
	c1, c2 := newCage(t, Config{}), newCage(t, Config{})
	contents := func(c *Cage, off uint32) byte {
		t.Helper()
		v, err := safemem.New(c.Base()).Load8(off)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []*Cage{c1, c2} {
		before := c.MemoryInUse()
		if err := c.MapData(at, PageSize, ProtRead, d, 0); err != nil {
			t.Fatal(err)
		}
		if n := c.MemoryInUse() - before; n != 0 {
			t.Errorf("%d bytes of memory for what can't be written", n)
		}
		if err := c.MapData(at+PageSize, 2*PageSize, ProtRead|ProtWrite, d, PageSize); err != nil {
			t.Fatal(err)
		}
		if n := c.MemoryInUse() - before; n != 2*PageSize {
			t.Errorf("%d bytes of memory, want two pages", n)
		}
		c.check(t)
		for off, want := range map[uint32]byte{0: 'a', PageSize - 1: 'a', PageSize: 't', PageSize + 4: 0, 2 * PageSize: 'b'} {
			if got := contents(c, at+off); got != want {
				t.Errorf("at %#x: %q, want %q", off, got, want)
			}
		}
	}
	if err := safemem.New(c1.Base()).Store8(at+2*PageSize, 'x'); err != nil {
		t.Fatal(err)
	}
	// What a guest may make writable is its own copy.
	if err := c1.Protect(at, PageSize, ProtRead|ProtWrite); err != nil {
		t.Fatal(err)
	}
	if err := safemem.New(c1.Base()).Store8(at, 'y'); err != nil {
		t.Fatal(err)
	}
	c3 := newCage(t, Config{})
	if err := c3.MapData(at, 3*PageSize, ProtRead, d, 0); err != nil {
		t.Fatal(err)
	}
	for i, c := range []*Cage{c2, c3} {
		if contents(c, at) != 'a' || contents(c, at+2*PageSize) != 'b' {
			t.Errorf("cage %d sees what another wrote", i)
		}
	}
	// A copy, a snapshot and a cage made from it hold what was written.
	n, err := c1.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s, err := c1.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := s.New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []*Cage{n, m} {
		if contents(c, at) != 'y' || contents(c, at+PageSize) != 't' || contents(c, at+2*PageSize) != 'x' {
			t.Error("a copy has other contents")
		}
		c.check(t)
	}
	// Nobody can change it, and it is never code.
	if _, err := d.file.WriteAt([]byte("z"), 0); !isErrno(err, unix.EPERM) && !errors.Is(err, os.ErrPermission) {
		t.Errorf("writing to it: %v", err)
	}
	if err := d.file.Truncate(0); err == nil {
		t.Error("it can be made shorter")
	}
	if _, err := unix.FcntlInt(d.file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); !isErrno(err, unix.EPERM) {
		t.Errorf("its seals are not final: %v", err)
	}
}

func TestDataRefused(t *testing.T) {
	d, err := NewData(bytes.Repeat([]byte{1}, 2*PageSize))
	if err != nil {
		t.Fatal(err)
	}
	c := newCage(t, Config{MaxMemory: 0x40000})
	text := newText(t, 0x200000, 1, 0x90)
	if err := c.MapText(0x200000, text); err != nil {
		t.Fatal(err)
	}
	const max = ^uint64(0)
	for _, x := range []struct {
		off  uint32
		n    uint64
		prot Prot
		at   uint64
		want error
	}{
		{0x100000, PageSize, ProtRead | ProtExec, 0, ErrExec},
		{0x100000, PageSize, ProtRead | 8, 0, ErrInvalid},
		{0x100000, 0, ProtRead, 0, ErrInvalid},
		{0x100000, PageSize, ProtRead, 1, ErrInvalid},
		{0x100000, PageSize, ProtRead, 2 * PageSize, ErrInvalid},
		{0x100000, 2 * PageSize, ProtRead, PageSize, ErrInvalid},
		{0x100000, max, ProtRead, 0, ErrInvalid},
		{0x100000, max - PageSize + 1, ProtRead, 2 * PageSize, ErrInvalid},
		{0x100000, PageSize, ProtRead, max - PageSize + 1, ErrInvalid},
		{0x100001, PageSize, ProtRead, 0, ErrInvalid},
		{0, PageSize, ProtRead, 0, ErrNoSpace},
		{TrampolineStart, PageSize, ProtRead, 0, ErrText},
		{0xffff0000, PageSize, ProtRead, 0, ErrNoSpace},
		{0x200000, PageSize, ProtRead, 0, ErrText},
		{0x1ff000, 2 * PageSize, ProtRead, 0, ErrText},
	} {
		if err := c.MapData(x.off, x.n, x.prot, d, x.at); !errors.Is(err, x.want) {
			t.Errorf("%+v: %v", x, err)
		}
		c.check(t)
	}
}

// Retire takes away a library as a whole: its code comes back as the same code or not at
// all, and nothing else gets the place.
func TestRetire(t *testing.T) {
	c := newCage(t, Config{})
	const at, size = 0x100000, 8 * PageSize
	before := c.MemoryInUse()
	load := func() (texts []uint32) {
		t.Helper()
		for _, off := range []uint32{at + PageSize, at + 5*PageSize} {
			if err := c.MapText(off, newText(t, off, 2, 0x90)); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, off)
		}
		for _, off := range []uint32{at, at + 3*PageSize, at + 4*PageSize, at + 7*PageSize} {
			prot := ProtRead
			if off%(2*PageSize) == 0 {
				prot |= ProtWrite
			}
			if _, err := c.Map(off, PageSize, prot, Fixed); err != nil {
				t.Fatal(err)
			}
		}
		c.check(t)
		return texts
	}
	if err := c.ReserveAt(at, size); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		texts := load()
		if err := c.Retire(at, size, texts); err != nil {
			t.Fatal(err)
		}
		c.check(t)
		if n := c.MemoryInUse() - before; n != 4*PageSize {
			t.Errorf("%d bytes in use, want the texts' four pages", n)
		}
		if _, err := c.Map(at, PageSize, ProtRead, FixedNoReplace); !errors.Is(err, ErrExists) {
			t.Errorf("the place of data is free: %v", err)
		}
		if err := c.MapText(texts[0], newText(t, texts[0], 2, 0xcc)); !errors.Is(err, ErrExists) {
			t.Errorf("other code in its place: %v", err)
		}
		if err := c.Retire(at, size, nil); err != nil { // again: nothing is there
			t.Error(err)
		}
		c.check(t)
	}
	// Other code in between, and what is cut, is left alone with all the rest.
	texts := load()
	if err := c.Unmap(at+3*PageSize, 2*PageSize); err != nil {
		t.Fatal(err)
	}
	other := newText(t, at+3*PageSize, 2, 0x90)
	if err := c.MapText(at+3*PageSize, other); err != nil {
		t.Fatal(err)
	}
	was := c.Mappings()
	for _, r := range []struct {
		off  uint32
		n    uint64
		want error
	}{
		{at, size, ErrText},
		{at, 2 * PageSize, ErrText}, {at + 2*PageSize, PageSize, ErrText}, {TrampolineStart, PageSize, ErrText},
		{at + 1, size, ErrInvalid}, {at, 0, ErrInvalid}, {at, Size, ErrInvalid}, {at, ^uint64(0), ErrInvalid},
	} {
		if err := c.Retire(r.off, r.n, texts); !errors.Is(err, r.want) {
			t.Errorf("%#x, %#x bytes: %v, want %v", r.off, r.n, err, r.want)
		}
		c.check(t)
	}
	if now := c.Mappings(); len(now) != len(was) {
		t.Errorf("%v, was %v", now, was)
	}
	c.Close()
	if err := c.Retire(at, size, texts); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
