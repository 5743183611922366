package cage

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLayout(t *testing.T) {
	c := newCage(t, Config{})
	if c.Base()%Size != 0 || c.Base() == 0 {
		t.Errorf("base %#x", c.Base())
	}
	m := c.Mappings()
	if len(m) != 1 || m[0].Offset != TrampolineStart || m[0].Len != TrampolineEnd-TrampolineStart || m[0].Kind != KindTrampolines {
		t.Errorf("a new cage holds %+v", m)
	}
	c.check(t)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wantErr(t, c.Close(), ErrClosed)
	_, err := c.Map(0, 1, ProtRead, Hint)
	wantErr(t, err, ErrClosed)
}

func TestMap(t *testing.T) {
	c := newCage(t, Config{})
	a, err := c.Map(0, 3*PageSize, ProtRead|ProtWrite, Hint)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(a)+3*PageSize != Size-TopGuard {
		t.Errorf("first mapping at 0x%x, want the top", a)
	}
	*c.byteAt(a + 2*PageSize + 5) = 7
	b, err := c.Map(0x40000123, 1, ProtRead|ProtWrite, Hint)
	if err != nil || b != 0x40000000 {
		t.Errorf("hint 0x40000123: 0x%x, %v", b, err)
	}
	if b, err = c.Map(0x40000000, 1, ProtRead, Hint); err != nil || b == 0x40000000 {
		t.Errorf("a hint that is taken: 0x%x, %v", b, err)
	}
	_, err = c.Map(0x40000000, 1, ProtRead, FixedNoReplace)
	wantErr(t, err, ErrExists)
	if b, err = c.Map(a, 2*PageSize, ProtRead|ProtWrite, Fixed); err != nil || b != a {
		t.Errorf("fixed: 0x%x, %v", b, err)
	}
	if *c.byteAt(a + 2*PageSize + 5) != 7 || *c.byteAt(a + 5) != 0 {
		t.Error("fixed replaced the wrong pages")
	}
	c.check(t)
}

// TestRefusals: C-EDGE, C-WX, C-TEXT and C-BOUND for each call.
//
// Attack: writable code.
// Attack: growing over the edge.
func TestRefusals(t *testing.T) {
	c := newCage(t, Config{})
	text := newText(t, 0x100000, 2, 0x90)
	if err := c.MapText(0x100000, text); err != nil {
		t.Fatal(err)
	}
	f := tempFile(t, page("x"))
	for _, test := range []struct {
		off  uint32
		n    uint64
		prot Prot
		want error
	}{
		{0x40000000, PageSize, ProtExec, ErrExec},
		{0x40000000, PageSize, rw | ProtExec, ErrExec},
		{0x40000000, PageSize, ProtRead | ProtExec, ErrExec},
		{0x40000000, 0, rw, ErrInvalid},
		{0x40000000, PageSize, 8, ErrInvalid},
		{0x40000001, PageSize, rw, ErrInvalid},
		{0x40000000, ^uint64(0), rw, ErrNoSpace},
		{0x40000000, ^uint64(0) - PageSize + 2, rw, ErrNoSpace},
		{0x40000000, Size + 1, rw, ErrNoSpace},
		{0x40000000, Size, rw, ErrNoSpace},
		{0, PageSize, rw, ErrNoSpace},
		{NullSize - PageSize, PageSize, rw, ErrNoSpace},
		{NullSize - PageSize, 2 * PageSize, rw, ErrText},
		{TrampolineStart, PageSize, rw, ErrText},
		{TrampolineEnd - PageSize, 2 * PageSize, rw, ErrText},
		{0, Size, rw, ErrText},
		{0xffff0000, PageSize, rw, ErrNoSpace},
		{0xfffff000, PageSize, rw, ErrNoSpace},
		{0xfffef000, 2 * PageSize, rw, ErrNoSpace},
		{0x100000, PageSize, rw, ErrText},
		{0x101000, PageSize, ProtNone, ErrText},
		{0x0ff000, 2 * PageSize, rw, ErrText},
		{0x0ff000, 5 * PageSize, rw, ErrText},
	} {
		if _, err := c.Map(test.off, test.n, test.prot, Fixed); !errors.Is(err, test.want) {
			t.Errorf("Map(0x%x, 0x%x, %v) = %v, want %v", test.off, test.n, test.prot, err, test.want)
		}
		if _, err := c.MapFile(test.off, test.n, test.prot, Fixed, f, 0, false); err == nil {
			t.Errorf("MapFile(0x%x, 0x%x, %v) is accepted", test.off, test.n, test.prot)
		}
		c.check(t)
	}
	for _, r := range []struct {
		off uint32
		n   uint64
	}{
		{0x100000, PageSize}, {0x101000, PageSize}, {0xff000, 0x10000}, {TrampolineStart, 1}, {0, Size},
		{TrampolineEnd - PageSize, PageSize}, {0x100000, ^uint64(0)}, {0x100001, 1}, {0xfffff000, 2 * PageSize},
	} {
		if err := c.Unmap(r.off, r.n); err == nil {
			t.Errorf("Unmap(0x%x, 0x%x) is accepted", r.off, r.n)
		}
		for _, p := range []Prot{ProtNone, ProtRead, rw, rw | ProtExec} {
			if err := c.Protect(r.off, r.n, p); err == nil {
				t.Errorf("Protect(0x%x, 0x%x, %v) is accepted", r.off, r.n, p)
			}
		}
		if err := c.Discard(r.off, r.n); err == nil {
			t.Errorf("Discard(0x%x, 0x%x) is accepted", r.off, r.n)
		}
		if _, err := c.Remap(r.off, r.n, 0x20000, true); err == nil {
			t.Errorf("Remap(0x%x, 0x%x) is accepted", r.off, r.n)
		}
		c.check(t)
	}
	if *c.byteAt(0x100000) != 0x90 {
		t.Error("the text has changed")
	}
	for _, off := range []int64{-1, -PageSize, 1, 1<<63 - 1, 1<<63 - PageSize} {
		if _, err := c.MapFile(0, PageSize, ProtRead, Hint, f, off, false); err == nil {
			t.Errorf("file offset %d is accepted", off)
		}
	}
}

func TestUnmapProtect(t *testing.T) {
	c := newCage(t, Config{})
	const at = 0x40000000
	if _, err := c.Map(at, 10*PageSize, ProtRead|ProtWrite, Fixed); err != nil {
		t.Fatal(err)
	}
	*c.byteAt(at) = 1
	if err := c.Unmap(at+3*PageSize, 2*PageSize); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	if got := c.MemoryInUse(); got != 8*PageSize {
		t.Errorf("memory in use: %d", got)
	}
	wantErr(t, c.Protect(at, 10*PageSize, ProtRead), ErrNotMapped)
	if err := c.Protect(at+PageSize, PageSize, ProtRead); err != nil {
		t.Fatal(err)
	}
	if got := c.MemoryInUse(); got != 8*PageSize {
		t.Errorf("read-only memory left the account: %d", got)
	}
	c.check(t)
	if err := c.Protect(at, 2*PageSize, ProtNone); err != nil {
		t.Fatal(err)
	}
	if err := c.Protect(at, 2*PageSize, ProtRead|ProtWrite); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	if *c.byteAt(at) != 1 {
		t.Error("contents lost by Protect")
	}
	if err := c.Discard(at, PageSize); err != nil {
		t.Fatal(err)
	}
	if *c.byteAt(at) != 0 {
		t.Error("contents kept by Discard")
	}
	if err := c.Unmap(0x20000, 0x90000000); err != nil { // gaps are no error
		t.Fatal(err)
	}
	if n := len(c.Mappings()); n != 1 || c.MemoryInUse() != 0 {
		t.Errorf("%d entries, %d bytes left", n, c.MemoryInUse())
	}
	c.check(t)
}

func TestFiles(t *testing.T) {
	c := newCage(t, Config{})
	f := tempFile(t, page("a")+page("b")+page("c"))
	private, err := c.MapFile(0, 2*PageSize, ProtRead|ProtWrite, Hint, f, PageSize, false)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := c.MapFile(0, 3*PageSize, ProtRead|ProtWrite, Hint, f, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	c.check(t)
	if *c.byteAt(private) != 'b' || *c.byteAt(private + PageSize) != 'c' || *c.byteAt(shared) != 'a' {
		t.Error("wrong contents")
	}
	*c.byteAt(private + 1) = 'P'
	*c.byteAt(shared + 1) = 'S'
	b := make([]byte, 2)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "aS" {
		t.Errorf("file begins with %q, %v", b, err)
	}
	if _, err := f.ReadAt(b, PageSize); err != nil || string(b) != "bb" {
		t.Errorf("private write reached the file: %q, %v", b, err)
	}
	ro, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	if _, err := c.MapFile(0, PageSize, ProtRead|ProtWrite, Hint, ro, 0, true); !isErrno(err, syscall.EACCES) {
		t.Errorf("shared writable mapping of a read-only file: %v", err)
	}
	at, err := c.MapFile(0, PageSize, ProtRead, Hint, ro, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Protect(at, PageSize, ProtRead|ProtWrite); !isErrno(err, syscall.EACCES) {
		t.Errorf("making it writable: %v", err)
	}
	// Of a descriptor that may do more, a frozen view keeps to reading, in each part
	// of it, and shows what others write.
	if _, err := c.MapFrozen(0, PageSize, ProtRead|ProtWrite, Hint, f, 0); !isErrno(err, syscall.EACCES) {
		t.Errorf("a frozen view that is writable: %v", err)
	}
	frozen, err := c.MapFrozen(0, 3*PageSize, ProtRead, Hint, f, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Protect(frozen+PageSize, PageSize, ProtNone); err != nil {
		t.Error(err)
	}
	for i := range uint32(3) {
		if err := c.Protect(frozen+i*PageSize, PageSize, ProtRead|ProtWrite); !isErrno(err, syscall.EACCES) {
			t.Errorf("page %d of a frozen view becomes writable: %v", i, err)
		}
	}
	*c.byteAt(shared + 2) = 'z'
	if got := *c.byteAt(frozen + 2); got != 'z' {
		t.Errorf("the frozen view shows %q", got)
	}
	if _, err := c.Map(frozen, PageSize, ProtRead, Fixed); err != nil {
		t.Fatal(err)
	}
	if err := c.Protect(frozen, PageSize, ProtRead|ProtWrite); err != nil {
		t.Errorf("what is mapped in a frozen view's place: %v", err)
	}
	c.check(t)
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := c.MapFile(shared, PageSize, ProtRead, Fixed, dir, 0, false); err == nil {
		t.Error("a directory was mapped")
	}
	if *c.byteAt(shared) != 'a' {
		t.Error("a refused mapping took the old one away")
	}
	c.check(t)
}

// Attack: growing over the edge.
func TestRemap(t *testing.T) {
	c := newCage(t, Config{MaxMemory: 1 << 20})
	const at = 0x40000000
	if _, err := c.Map(at, 4*PageSize, ProtRead|ProtWrite, Fixed); err != nil {
		t.Fatal(err)
	}
	for i := range uint32(4) {
		*c.byteAt(at + i*PageSize) = byte(i + 1)
	}
	contents := func(at uint32, n uint32) {
		t.Helper()
		for i := range n {
			want := byte(0)
			if i < 4 {
				want = byte(i + 1)
			}
			if got := *c.byteAt(at + i*PageSize); got != want {
				t.Errorf("page %d at 0x%x holds %d, want %d", i, at, got, want)
			}
		}
		c.check(t)
	}
	a, err := c.Remap(at, 4*PageSize, 6*PageSize, false)
	if err != nil || a != at {
		t.Fatalf("in place: 0x%x, %v", a, err)
	}
	contents(at, 6)
	if _, err := c.Map(at+6*PageSize, PageSize, ProtRead, Fixed); err != nil {
		t.Fatal(err)
	}
	_, err = c.Remap(at, 6*PageSize, 7*PageSize, false)
	wantErr(t, err, ErrNoSpace)
	// Make it several mappings for the kernel, one for us.
	for _, p := range []Prot{ProtRead, ProtRead | ProtWrite} {
		if err := c.Protect(at+PageSize, PageSize, p); err != nil {
			t.Fatal(err)
		}
	}
	a, err = c.Remap(at, 6*PageSize, 20*PageSize, true)
	if err != nil || a == at {
		t.Fatalf("moved: 0x%x, %v", a, err)
	}
	contents(a, 20)
	if a, err = c.Remap(a, 20*PageSize, 4*PageSize, false); err != nil {
		t.Fatal(err)
	}
	contents(a, 4)
	_, err = c.Remap(a, 4*PageSize, 2<<20, true)
	wantErr(t, err, ErrLimit)
	_, err = c.Remap(a, 5*PageSize, 6*PageSize, true)
	if !isErrno(err, syscall.EFAULT) {
		t.Errorf("more than one mapping: %v", err)
	}
	contents(a, 4)

	f := tempFile(t, page("a")+page("b")+page("c"))
	for _, shared := range []bool{false, true} {
		a, err := c.MapFile(0, PageSize, ProtRead|ProtWrite, Hint, f, 0, shared)
		if err != nil {
			t.Fatal(err)
		}
		*c.byteAt(a + 1) = 'W'
		if a, err = c.Remap(a, PageSize, 3*PageSize, true); err != nil {
			t.Fatal(err)
		}
		if *c.byteAt(a) != 'a' || *c.byteAt(a + 1) != 'W' || *c.byteAt(a + PageSize) != 'b' || *c.byteAt(a + 2*PageSize) != 'c' {
			t.Error("wrong contents of a file after Remap")
		}
		c.check(t)
	}
}

func TestReserve(t *testing.T) {
	c := newCage(t, Config{})
	a, err := c.Reserve(0x123456, 0x200000)
	if err != nil || a%0x200000 != 0 {
		t.Fatalf("0x%x, %v", a, err)
	}
	c.check(t)
	if _, err := c.Map(a, PageSize, ProtRead|ProtWrite, Fixed); err != nil {
		t.Fatal(err)
	}
	if err := c.MapText(a+PageSize, newText(t, a+PageSize, 2, 0x90)); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	wantErr(t, c.ReserveAt(a, PageSize), ErrExists)
	if err := c.ReserveAt(0x400000, 5*PageSize); err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]uint64{{0, 0}, {Size + 1, 0}, {^uint64(0), 0}, {PageSize, 3}, {PageSize, 1 << 33}, {Size, 0}} {
		if a, err := c.Reserve(r[0], r[1]); err == nil && r[1] != 3 {
			t.Errorf("Reserve(0x%x, 0x%x) = 0x%x", r[0], r[1], a)
		}
	}
	c.check(t)
}

// Attack: writable code.
func TestText(t *testing.T) {
	c := newCage(t, Config{})
	text := newText(t, 0x200000, 2, 0x90)
	wantErr(t, c.MapText(0x300000, text), ErrInvalid)
	wantErr(t, c.MapText(0x200000, nil), ErrInvalid)
	if err := c.MapText(0x200000, text); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	if *c.byteAt(0x200000) != 0x90 || *c.byteAt(0x200000 + 2*PageSize - 1) != hlt {
		t.Error("wrong contents")
	}
	wantErr(t, c.MapText(0x200000, text), ErrExists)
	d := newCage(t, Config{})
	if err := d.MapText(0x200000, text); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	// The memfd refuses every way to change it.
	fd := text.fd()
	if _, err := unix.Pwrite(fd, []byte{1}, 0); err == nil {
		t.Error("sealed text was written")
	}
	if err := unix.Ftruncate(fd, 1); err == nil {
		t.Error("sealed text was cut off")
	}
	if b, err := unix.Mmap(fd, 0, PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		unix.Munmap(b)
		t.Error("sealed text was mapped writable")
	}
	if b, err := unix.Mmap(fd, 0, PageSize, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		t.Error(err)
	} else {
		if unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE) == nil {
			t.Error("sealed text was made writable")
		}
		unix.Munmap(b)
	}

	// Unmapping retires; the same code may come back, nothing else.
	wantErr(t, c.ReleaseText(0x200000), ErrNotMapped)
	wantErr(t, c.UnmapText(0x201000), ErrNotMapped)
	wantErr(t, c.UnmapText(TrampolineStart), ErrNotMapped)
	if err := c.UnmapText(0x200000); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	_, err := c.Map(0x200000, PageSize, ProtRead|ProtWrite, Fixed)
	wantErr(t, err, ErrText)
	wantErr(t, c.Protect(0x200000, PageSize, ProtRead), ErrText)
	wantErr(t, c.MapText(0x200000, newText(t, 0x200000, 2, 0xcc)), ErrExists)
	wantErr(t, c.MapText(0x200000, newText(t, 0x200000, 1, 0x90)), ErrExists)
	if err := c.MapText(0x200000, newText(t, 0x200000, 2, 0x90)); err != nil {
		t.Fatal(err)
	}
	if err := c.UnmapText(0x200000); err != nil {
		t.Fatal(err)
	}
	if err := c.ReleaseText(0x200000); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Map(0x200000, PageSize, ProtRead|ProtWrite, Fixed); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	for _, bad := range []struct {
		n  int
		at uint32
	}{{0, 0x20000}, {1, 0x20001}} {
		if _, err := NewText("bad", make([]byte, bad.n), bad.at); err == nil {
			t.Errorf("text of %d bytes at 0x%x", bad.n, bad.at)
		}
	}
	for _, at := range []uint32{0, TrampolineStart, 0xffff0000, 0xfffff000} {
		if err := c.MapText(at, newText(t, at, 1, 0x90)); err == nil {
			t.Errorf("text at 0x%x", at)
		}
	}
}

func TestTextReferences(t *testing.T) {
	c := newCage(t, Config{})
	text, err := NewText("short-lived", []byte{0x90}, 0x200000)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.MapText(0x200000, text); err != nil {
		t.Fatal(err)
	}
	text.Release()
	if *c.byteAt(0x200000) != 0x90 {
		t.Error("text is gone")
	}
	d := newCage(t, Config{})
	if err := d.MapText(0x200000, text); err != nil {
		t.Errorf("the cage's own reference is not enough: %v", err)
	}
	c.Close()
	d.Close()
	if text.retain() {
		t.Error("text outlives its last cage")
	}
}

func TestLimits(t *testing.T) {
	c := newCage(t, Config{MaxMemory: 10 * PageSize, MaxMappings: 8})
	if _, err := c.Map(0, 11*PageSize, ProtRead|ProtWrite, Hint); !errors.Is(err, ErrLimit) {
		t.Errorf("over the limit: %v", err)
	}
	a, err := c.Map(0, 100*PageSize, ProtRead, Hint)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, c.Protect(a, 11*PageSize, ProtRead|ProtWrite), ErrLimit)
	if err := c.Protect(a, 10*PageSize, ProtRead|ProtWrite); err != nil {
		t.Fatal(err)
	}
	wantErr(t, c.Protect(a+50*PageSize, PageSize, ProtRead|ProtWrite), ErrLimit)
	if err := c.Protect(a, 10*PageSize, ProtRead); err != nil {
		t.Fatal(err)
	}
	wantErr(t, c.Protect(a+50*PageSize, PageSize, ProtRead|ProtWrite), ErrLimit)
	if err := c.Unmap(a, PageSize); err != nil {
		t.Fatal(err)
	}
	if err := c.Protect(a+50*PageSize, PageSize, ProtRead|ProtWrite); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	// Entries: the bound holds, and what is there can always be unmapped.
	var err2 error
	for i := uint32(1); i < 40 && err2 == nil; i++ {
		err2 = c.Protect(a+i*2*PageSize, PageSize, ProtNone)
	}
	wantErr(t, err2, ErrMappings)
	for _, m := range c.Mappings() {
		if m.Kind == KindAnon {
			if err := c.Unmap(m.Offset, m.Len); err != nil {
				t.Errorf("at the bound, unmapping 0x%x: %v", m.Offset, err)
			}
		}
	}
	c.check(t)
}

// TestBudget: all cages together leave the process room for its own mappings.
func TestBudget(t *testing.T) {
	c := newCage(t, Config{MaxMappings: 1 << 20})
	vmaBudget.once.Do(func() { vmaBudget.limit = int64(maxMapCount()) / 4 * 3 })
	old := vmaBudget.limit
	used := vmaBudget.used.Load()
	vmaBudget.limit = used + 100
	defer func() { vmaBudget.limit = old }()
	var err error
	n := 0
	for ; n < 1000 && err == nil; n++ {
		_, err = c.Map(uint32(0x1000000+n*2*PageSize), PageSize, ProtRead, Fixed)
	}
	wantErr(t, err, ErrMappings)
	if n > 60 {
		t.Errorf("%d mappings on a budget of 100", n)
	}
	c.check(t)
	vmaBudget.limit = vmaBudget.used.Load()
	text, _ := testTrampolines()
	_, err = New(Config{Trampolines: text})
	wantErr(t, err, ErrMappings)
	vmaBudget.limit = old
	c.Close()
	if vmaBudget.used.Load() != used-baseVMAs {
		t.Errorf("budget in use: %d, before %d", vmaBudget.used.Load(), used)
	}
}

// TestMany: cages come and go without a trace.
func TestMany(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 300
	}
	text := newText(t, 0x20000, 4, 0x90)
	warm := newCage(t, Config{})
	warm.Close()
	before, fds := len(readMaps(t)), countFDs(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				c := newCage(t, Config{})
				if err := c.MapText(0x20000, text); err != nil {
					t.Error(err)
				}
				if _, err := c.Map(0, 1<<20, ProtRead|ProtWrite, Hint); err != nil {
					t.Error(err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if after := len(readMaps(t)); after > before+20 {
		t.Errorf("%d mappings before, %d after", before, after)
	}
	if after := countFDs(t); after > fds {
		t.Errorf("%d files before, %d after", fds, after)
	}
}

// TestNeighbours: many cages at once do not touch each other.
func TestNeighbours(t *testing.T) {
	n := 500
	cages := make([]*Cage, n)
	seen := map[uintptr]bool{}
	for i := range cages {
		cages[i] = newCage(t, Config{})
		if seen[cages[i].Base()] {
			t.Fatalf("two cages at %#x", cages[i].Base())
		}
		seen[cages[i].Base()] = true
		if _, err := cages[i].Map(0x40000000, PageSize, ProtRead|ProtWrite, Fixed); err != nil {
			t.Fatal(err)
		}
		*cages[i].byteAt(0x40000000) = byte(i)
	}
	for i, c := range cages {
		if *c.byteAt(0x40000000) != byte(i) {
			t.Errorf("cage %d holds %d", i, *c.byteAt(0x40000000))
		}
	}
}

func countFDs(t *testing.T) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// TestConcurrent: one cage, many goroutines; the map stays true.
func TestConcurrent(t *testing.T) {
	c := newCage(t, Config{MaxMemory: 64 << 20})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 400 {
				off := uint32(0x40000000 + r.IntN(64)*PageSize)
				n := uint64(r.IntN(16)+1) * PageSize
				switch r.IntN(6) {
				case 0, 1:
					c.Map(off, n, Prot(r.IntN(4)), MapMode(r.IntN(3)))
				case 2:
					c.Unmap(off, n)
				case 3:
					c.Protect(off, n, Prot(r.IntN(4)))
				case 4:
					c.Remap(off, n, uint64(r.IntN(32)+1)*PageSize, r.IntN(2) == 0)
				case 5:
					c.Mappings()
				}
			}
		})
	}
	wg.Wait()
	c.check(t)
}

// TestAddressSpaceLimit: a process with little address space gets an error
// that says so, and leaks nothing.
func TestAddressSpaceLimit(t *testing.T) {
	if os.Getenv("HALITE_CHILD") != "" {
		text, err := testTrampolines()
		if err != nil {
			t.Fatal(err)
		}
		lim := syscall.Rlimit{Cur: 4 << 30, Max: 4 << 30}
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &lim); err != nil {
			t.Fatal(err)
		}
		// Go's own threads may map something meanwhile; a leak is there each time.
		var before, after int
		for range 4 {
			before = len(readMaps(t))
			for range 100 {
				_, err := New(Config{Trampolines: text})
				if err == nil || !strings.Contains(err.Error(), "RLIMIT_AS is 4096 MiB") || !isErrno(err, syscall.ENOMEM) {
					t.Fatalf("error: %v", err)
				}
			}
			if after = len(readMaps(t)); after <= before+3 {
				return
			}
		}
		t.Errorf("%d mappings before, %d after", before, after)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAddressSpaceLimit$")
	cmd.Env = append(os.Environ(), "HALITE_CHILD=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestFallback: the second way to find an aligned place.
func TestFallback(t *testing.T) {
	for range 20 {
		p, err := reserveTrimmed(Size)
		if err != nil {
			t.Fatal(err)
		}
		if p%Size != 0 {
			t.Errorf("at %#x", p)
		}
		if err := munmap(p, Size); err != nil {
			t.Error(err)
		}
	}
}

func TestErrno(t *testing.T) {
	if Errno(nil) != 0 || Errno(ErrExec) != syscall.EACCES || Errno(errors.New("x")) != syscall.EINVAL {
		t.Error("Errno is wrong")
	}
}

// TestTextLimit: text is memory too. A range that was retired still holds its
// code, so that a guest can't pile up libraries by closing them again.
func TestTextLimit(t *testing.T) {
	c := newCage(t, Config{MaxMemory: 4 * PageSize})
	a, b := newText(t, 0x200000, 3, 0x90), newText(t, 0x400000, 2, 0xf4)
	if err := c.MapText(0x200000, a); err != nil {
		t.Fatal(err)
	}
	if got := c.MemoryInUse(); got != 3*PageSize {
		t.Errorf("%d bytes in use after mapping 3 pages of text", got)
	}
	if err := c.MapText(0x400000, b); !errors.Is(err, ErrLimit) {
		t.Errorf("text beyond the limit: %v", err)
	}
	if err := c.UnmapText(0x200000); err != nil {
		t.Fatal(err)
	}
	if err := c.MapText(0x400000, b); !errors.Is(err, ErrLimit) {
		t.Errorf("text beyond the limit, with another retired: %v", err)
	}
	if err := c.MapText(0x200000, a); err != nil { // the same again
		t.Error(err)
	}
	if got := c.MemoryInUse(); got != 3*PageSize {
		t.Errorf("%d bytes in use after mapping the same text again", got)
	}
	if err := c.UnmapText(0x200000); err != nil {
		t.Fatal(err)
	}
	if err := c.ReleaseText(0x200000); err != nil {
		t.Fatal(err)
	}
	if got := c.MemoryInUse(); got != 0 {
		t.Errorf("%d bytes in use after the text was released", got)
	}
	if err := c.MapText(0x400000, b); err != nil {
		t.Error(err)
	}
}
