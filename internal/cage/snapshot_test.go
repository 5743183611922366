package cage

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/safemem"
)

const rw = ProtRead | ProtWrite

// templateCage has one of everything that can be in a snapshot.
func templateCage(t testing.TB, conf Config) *Cage {
	t.Helper()
	c := newCage(t, conf)
	for _, at := range []uint32{0x200000, 0x300000} {
		if err := c.MapText(at, newText(t, at, 2, byte(at>>20))); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.UnmapText(0x300000); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		off   uint32
		pages uint64
	}{{0x1000000, 100}, {0x2000000, 2}, {0x3000000, 2}, {0x4000000, 4096}, {0x6000000, 3}} {
		if _, err := c.Map(m.off, m.pages*PageSize, rw, Fixed); err != nil {
			t.Fatal(err)
		}
	}
	f := tempFile(t, page("a")+page("b")+page("c"))
	if _, err := c.MapFile(0x5000000, 3*PageSize, rw, Fixed, f, 0, false); err != nil {
		t.Fatal(err)
	}
	for i, off := range templateBytes {
		*c.byteAt(off) = byte(i + 1)
	}
	for off, p := range map[uint32]Prot{0x2000000: ProtNone, 0x3000000: ProtRead} {
		if err := c.Protect(off, 2*PageSize, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.ReserveAt(0x7000000, 5*PageSize); err != nil {
		t.Fatal(err)
	}
	return c
}

// templateBytes have their index and 1 in templateCage.
var templateBytes = []uint32{
	0x1000000 + 7*PageSize, 0x1000000 + 99*PageSize + 4095, 0x2000000, 0x3000000,
	0x4000000 + 2048*PageSize, 0x4000000 + 2060*PageSize, 0x4000000 + 4095*PageSize, 0x5000000 + PageSize,
}

func takeSnapshot(t testing.TB, c *Cage) *Snapshot {
	t.Helper()
	s, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func fromSnapshot(t testing.TB, s *Snapshot, conf Config) *Cage {
	t.Helper()
	c, err := s.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.check(t)
	return c
}

// contents reads all that can be read of a cage, by page.
func contents(t testing.TB, c *Cage) map[uint32][]byte {
	t.Helper()
	all := map[uint32][]byte{}
	mem := safemem.New(c.base)
	for _, m := range c.Mappings() {
		if m.Kind == KindTrampolines || m.Prot&ProtRead == 0 {
			continue
		}
		for off := uint64(m.Offset); off < uint64(m.Offset)+m.Len; off += PageSize {
			b := make([]byte, PageSize)
			if err := mem.Read(uint32(off), b); err != nil {
				t.Fatal(err)
			}
			if !isZero(b) {
				all[uint32(off)] = b
			}
		}
	}
	return all
}

func sameContents(t testing.TB, got, want map[uint32][]byte) {
	t.Helper()
	for off, b := range want {
		if g, ok := got[off]; !ok || !bytes.Equal(g, b) {
			t.Errorf("the page at 0x%x differs", off)
		}
	}
	for off := range got {
		if _, ok := want[off]; !ok {
			t.Errorf("the page at 0x%x has something", off)
		}
	}
}

// merged is a cage's map as a guest sees it.
func merged(c *Cage) []Mapping {
	var out []Mapping
	for _, m := range c.Mappings() {
		if n := len(out); n > 0 && out[n-1].Kind == m.Kind && (m.Kind == KindAnon || m.Kind == KindDynamic) && out[n-1].Prot == m.Prot && uint64(out[n-1].Offset)+out[n-1].Len == uint64(m.Offset) {
			out[n-1].Len += m.Len
			continue
		}
		out = append(out, m)
	}
	return out
}

func sameMap(t testing.TB, a, b *Cage) {
	t.Helper()
	x, y := merged(a), merged(b)
	if len(x) != len(y) {
		t.Fatalf("%d mappings, not %d\n%v\n%v", len(x), len(y), x, y)
	}
	for i := range x {
		if x[i] != y[i] {
			t.Errorf("%+v, not %+v", x[i], y[i])
		}
	}
	if a.MemoryInUse() != b.MemoryInUse() {
		t.Errorf("%d bytes in use, not %d", a.MemoryInUse(), b.MemoryInUse())
	}
}

// TestSnapshot: cages made from one have its map and contents, and nothing that one
// writes is seen by another or by those that are made later.
func TestSnapshot(t *testing.T) {
	budget := NewBudget(1 << 30)
	c := templateCage(t, Config{})
	want := contents(t, c)
	s := takeSnapshot(t, c)
	if s.Size() == 0 || s.Size() > 512*PageSize {
		t.Errorf("the snapshot takes %d bytes; %d pages were touched", s.Size(), len(templateBytes))
	}
	a := fromSnapshot(t, s, Config{Budget: budget, MaxMemory: 64 << 20})
	sameMap(t, a, c)
	sameContents(t, contents(t, a), want)
	if budget.Used() != a.MemoryInUse() {
		t.Errorf("%d bytes of the budget for %d", budget.Used(), a.MemoryInUse())
	}
	for _, off := range templateBytes[4:] {
		*a.byteAt(off) = 100
	}
	*a.byteAt(0x6000000) = 100
	*c.byteAt(0x4000000) = 100
	b := fromSnapshot(t, s, Config{})
	sameContents(t, contents(t, b), want)
	if *b.byteAt(0x200000) != 2 {
		t.Error("no text")
	}
	wantErr(t, b.Unmap(0x200000, PageSize), ErrText)
	wantErr(t, b.Unmap(0x300000, PageSize), ErrText)
	if err := b.Protect(0x2000000, 2*PageSize, rw); err != nil {
		t.Fatal(err)
	}
	if *b.byteAt(0x2000000) != 3 {
		t.Error("what can't be accessed was lost")
	}
	// One of one of one.
	next := takeSnapshot(t, fromSnapshot(t, takeSnapshot(t, fromSnapshot(t, s, Config{})), Config{}))
	sameContents(t, contents(t, fromSnapshot(t, next, Config{})), want)
	// A copy, as fork makes it, of one that was not touched.
	d, err := fromSnapshot(t, s, Config{}).Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	sameContents(t, contents(t, d), want)
}

// TestSnapshotChanges: what a guest does to its memory does not show that it came
// from a snapshot.
func TestSnapshotChanges(t *testing.T) {
	s := takeSnapshot(t, templateCage(t, Config{}))
	c := fromSnapshot(t, s, Config{})
	if err := c.Discard(0x1000000+5*PageSize, 10*PageSize); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	if *c.byteAt(templateBytes[0]) != 0 || *c.byteAt(templateBytes[1]) != 2 {
		t.Error("what was discarded is there still, or something else is not")
	}
	// A file's pages are the file's again.
	*c.byteAt(0x5000000) = 'x'
	if err := c.Discard(0x5000000, PageSize); err != nil {
		t.Fatal(err)
	}
	if *c.byteAt(0x5000000) != 'a' {
		t.Errorf("discarded file memory reads %q", *c.byteAt(0x5000000))
	}
	// All of it, with and without images, is one mapping to mremap.
	to, err := c.Remap(0x4000000, 4096*PageSize, 5000*PageSize, true)
	if err != nil {
		t.Fatal(err)
	}
	c.check(t)
	moved := func(i int) uint32 { return to + templateBytes[i] - 0x4000000 }
	for _, i := range []int{4, 5, 6} {
		if *c.byteAt(moved(i)) != byte(i+1) {
			t.Errorf("byte %d was lost by mremap", i)
		}
	}
	for p := uint32(4096); p < 5000; p++ {
		if *c.byteAt(to + p*PageSize) != 0 {
			t.Fatal("what was added is not zero")
		}
	}
	// And again, a part of it.
	from := to + 2000*PageSize
	again, err := c.Remap(from, 100*PageSize, 200*PageSize, true)
	if err != nil {
		t.Fatal(err)
	}
	c.check(t)
	if *c.byteAt(again + moved(4) - from) != 5 || *c.byteAt(again + moved(5) - from) != 6 {
		t.Error("lost")
	}
	if err := c.Discard(again, 200*PageSize); err != nil {
		t.Fatal(err)
	}
	if *c.byteAt(again + moved(4) - from) != 0 {
		t.Error("discarded, but there")
	}
	_, err = c.Remap(0x5000000, 3*PageSize, 8*PageSize, true)
	wantErr(t, err, ErrNoSpace)
	if _, err := c.Map(0x1000000+90*PageSize, 5*PageSize, rw, Fixed); err != nil {
		t.Fatal(err)
	}
	if err := c.Unmap(0x1000000+20*PageSize, 10*PageSize); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	if *c.byteAt(templateBytes[1]) != 2 {
		t.Error("lost")
	}
	if err := c.Reset(s, nil); err != nil {
		t.Fatal(err)
	}
	c.check(t)
	sameMap(t, c, fromSnapshot(t, s, Config{}))
}

// TestSnapshotReset: whatever was done, Reset brings back the snapshot.
func TestSnapshotReset(t *testing.T) {
	c, code := codeCage(t)
	want := contents(t, c)
	s := takeSnapshot(t, c)
	budget := NewBudget(1 << 30)
	n := fromSnapshot(t, s, Config{Budget: budget})
	f := tempFile(t, page("x"))
	r := rand.New(rand.NewPCG(1, 2))
	places := []uint32{0x400000, 0x1000000, 0x2000000, 0x3000000, 0x4000000, 0x4000000 + 2000*PageSize, 0x5000000, 0x6000000, 0x7000000, 0x8000000}
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for round := range rounds {
		for range r.IntN(12) {
			off := places[r.IntN(len(places))] + uint32(r.IntN(20))*PageSize
			size := uint64(1+r.IntN(40)) * PageSize
			switch r.IntN(10) {
			case 0:
				_, _ = n.Map(off, size, Prot(r.IntN(4)), Fixed)
			case 1:
				_ = n.Unmap(off, size)
			case 2, 3:
				_ = n.Protect(off, size, Prot(r.IntN(4)))
			case 4:
				_ = n.Discard(off, size)
			case 5:
				_, _ = n.Remap(off, size, uint64(1+r.IntN(60))*PageSize, true)
			case 6:
				_, _ = n.MapFile(off, PageSize, rw, Fixed, f, 0, r.IntN(2) == 0)
			case 7:
				if r.IntN(4) == 0 {
					_ = n.UnmapText(0x200000)
					_ = n.ReleaseText(0x300000)
				}
			case 8:
				d := CopiedDynamic(n, code[r.IntN(len(code))].Offset())
				writeCode(t, d, r.Uint64N(d.Len()), byte(round))
			case 9:
				for _, e := range n.maps {
					if e.prot == rw && (e.kind == KindAnon || e.image != 0) { // no page behind a file's end
						*n.byteAt(uint32(e.start + r.Uint64N(e.len()))) = byte(round)
					}
				}
			}
		}
		n.check(t)
		last := budget
		budget = NewBudget(1 << 30)
		if err := n.Reset(s, budget); err != nil {
			t.Fatal(err)
		}
		n.check(t)
		if last.Used() != 0 {
			t.Errorf("%d bytes of the old budget are used", last.Used())
		}
		sameMap(t, n, c)
		sameContents(t, contents(t, n), want)
		if budget.Used() != n.MemoryInUse() {
			t.Errorf("%d bytes of the budget for %d", budget.Used(), n.MemoryInUse())
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// TestSnapshotRefused: what can't be done leaves nothing behind.
func TestSnapshotRefused(t *testing.T) {
	shared := newCage(t, Config{})
	if _, err := shared.MapFile(0x1000000, PageSize, rw, Fixed, tempFile(t, page("x")), 0, true); err != nil {
		t.Fatal(err)
	}
	_, err := shared.Snapshot()
	wantErr(t, err, ErrShared)
	c := templateCage(t, Config{})
	s := takeSnapshot(t, c)

	before := len(readMaps(t))
	budget := NewBudget(c.MemoryInUse() + PageSize)
	_, err = s.New(Config{MaxMemory: c.MemoryInUse() - PageSize})
	wantErr(t, err, ErrLimit)
	_, err = s.New(Config{MaxMappings: 3})
	wantErr(t, err, ErrMappings)
	a, err := s.New(Config{Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.New(Config{Budget: budget})
	wantErr(t, err, ErrLimit)
	a.Close()
	if budget.Used() != 0 {
		t.Errorf("%d bytes of the budget are used", budget.Used())
	}
	if after := len(readMaps(t)); after > before+5 {
		t.Errorf("%d mappings before, %d after", before, after)
	}
	wantErr(t, a.Reset(s, nil), ErrClosed)

	gone := takeSnapshot(t, c)
	b := fromSnapshot(t, gone, Config{})
	gone.retain() // the one that takeSnapshot gives back
	gone.Close()
	gone.Close()
	_, err = gone.New(Config{})
	wantErr(t, err, ErrClosed)
	wantErr(t, b.Reset(gone, nil), ErrClosed)
	if *b.byteAt(templateBytes[6]) != 7 {
		t.Error("what was there is gone with the snapshot")
	}
	gone.refs.Store(1)
	gone.file, _ = os.Open(os.DevNull)
	for _, e := range gone.maps { // given back already
		if e.text != nil {
			e.text.refs.Add(1)
		}
	}
}

// TestSnapshotSealed: nobody, the host included, can change what others share.
func TestSnapshotSealed(t *testing.T) {
	s := takeSnapshot(t, templateCage(t, Config{}))
	fd := s.file.Fd()
	if _, err := unix.Pwrite(int(fd), []byte{1}, int64(imageStart)); err != unix.EPERM {
		t.Errorf("write: %v", err)
	}
	if err := unix.Ftruncate(int(fd), 0); err != unix.EPERM {
		t.Errorf("truncate: %v", err)
	}
	if p, err := mmap(0, PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, int(fd), 0); err != unix.EPERM {
		munmap(p, PageSize)
		t.Errorf("a shared mapping: %v", err)
	}
}

// codeCage has two Dynamics side by side, of which the guest sees the edge, and one of
// which it sees nothing.
func codeCage(t testing.TB) (*Cage, []*Dynamic) {
	t.Helper()
	c := templateCage(t, Config{})
	var all []*Dynamic
	for i, units := range []uint64{4, 3, 2} {
		d, err := NewDynamic(c, []uint32{0x8000000, 0x8000000 + 4*DynamicUnit, 0x9000000}[i], units*DynamicUnit)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	writeCode(t, all[0], 3*DynamicUnit+5, 'a')
	writeCode(t, all[0], DynamicUnit, 'b')
	writeCode(t, all[1], 7, 'c')
	c.check(t)
	return c, all
}

// writeCode does what dyncode would.
func writeCode(t testing.TB, d *Dynamic, at uint64, b byte) {
	t.Helper()
	view, err := d.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Unlock()
	if err := d.Open(at, at+1); err != nil {
		t.Fatal(err)
	}
	view[at] = b
}

// TestSnapshotDynamic: what the guest sees of dynamic code is shared until somebody
// writes; nobody writes to what is shared; a Reset leaves nothing of what was written, and
// nobody who could write.
//
// Attack: code of others.
func TestSnapshotDynamic(t *testing.T) {
	c, all := codeCage(t)
	want := contents(t, c)
	s := takeSnapshot(t, c)
	for i, d := range all {
		if _, err := d.Lock(); err != ErrSnapshot || !d.Frozen() || d.view != nil {
			t.Errorf("%d: the code of a snapshot can be changed: %v", i, err)
		}
	}
	for _, x := range s.code {
		fd := int(x.file.Fd())
		if p, err := mmap(0, PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, fd, 0); err != unix.EPERM {
			munmap(p, PageSize)
			t.Errorf("a writable view: %v", err)
		}
		if _, err := unix.Pwrite(fd, []byte{1}, 0); err != unix.EPERM {
			t.Errorf("write: %v", err)
		}
		if err := unix.Ftruncate(fd, 0); err != unix.EPERM {
			t.Errorf("truncate: %v", err)
		}
	}
	sameContents(t, contents(t, fromSnapshot(t, takeSnapshot(t, c), Config{})), want) // once more
	a, b := fromSnapshot(t, s, Config{}), fromSnapshot(t, s, Config{})
	sameMap(t, a, c)
	sameContents(t, contents(t, a), want)
	wantErr(t, a.Unmap(0x8000000, DynamicUnit), ErrText)
	wantErr(t, a.Protect(0x8000000+DynamicUnit, DynamicUnit, rw), ErrText)
	if CopiedDynamic(a, 0x8000000+DynamicUnit) != nil {
		t.Error("a Dynamic in the middle of one")
	}
	of := func(c *Cage) (ds []*Dynamic) {
		for i, old := range all {
			d := CopiedDynamic(c, old.Offset())
			if d == nil || d.Len() != old.Len() || d.Frozen() {
				t.Fatalf("%d: %+v", i, d)
			}
			ds = append(ds, d)
		}
		return ds
	}
	change := func(c *Cage) []*Dynamic {
		t.Helper()
		ds := of(c)
		writeCode(t, ds[1], 7, 'x')
		c.check(t)
		writeCode(t, ds[1], DynamicUnit, 'y')
		writeCode(t, ds[0], 0, 'z')
		writeCode(t, ds[2], 2*DynamicUnit-1, 'u')
		c.check(t)
		for off, v := range map[uint32]byte{
			0x8000000 + 4*DynamicUnit + 7: 'x', 0x8000000 + 5*DynamicUnit: 'y', 0x8000000 + 5*DynamicUnit + 1: hlt,
			0x8000000: 'z', 0x8000000 + 3*DynamicUnit + 5: 'a', 0x9000000 + 2*DynamicUnit - 1: 'u',
		} {
			if got := *c.byteAt(off); got != v {
				t.Errorf("%q at 0x%x, want %q", got, off, v)
			}
		}
		return ds
	}
	// Without descriptors nobody can write, and nothing changes.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := of(a)[1].Lock()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	wantErr(t, err, unix.EMFILE)
	a.check(t)
	sameContents(t, contents(t, a), want)
	stale := change(a)
	for _, other := range []*Cage{b, c, fromSnapshot(t, s, Config{})} {
		sameContents(t, contents(t, other), want)
	}
	stale = append(stale, of(b)...) // written to and not
	before := len(readMaps(t))
	for _, n := range []*Cage{a, b} {
		if err := n.Reset(s, nil); err != nil {
			t.Fatal(err)
		}
		n.check(t)
		sameMap(t, n, c)
		sameContents(t, contents(t, n), want)
		of(n)
	}
	if after := len(readMaps(t)); after >= before {
		t.Errorf("%d mappings before the resets, %d after: the host's views are there still", before, after)
	}
	for i, d := range stale {
		if _, err := d.Lock(); err != ErrClosed {
			t.Errorf("%d: code of a cage that was reset can be changed: %v", i, err)
		}
	}
	// A snapshot of one that has its own, and of one that has not; and one that outlives
	// what it came from.
	change(a)
	own := contents(t, a)
	s2, s3 := takeSnapshot(t, a), takeSnapshot(t, b)
	c.Close()
	a.Close()
	b.Close()
	sameContents(t, contents(t, fromSnapshot(t, s2, Config{})), own)
	n := fromSnapshot(t, s3, Config{})
	sameContents(t, contents(t, n), want)
	// One that had none gets none, also when it has made one itself.
	plain := takeSnapshot(t, templateCage(t, Config{}))
	p := fromSnapshot(t, plain, Config{})
	d, err := NewDynamic(p, 0x8000000, DynamicUnit)
	if err != nil {
		t.Fatal(err)
	}
	writeCode(t, d, 0, 'p')
	if err := p.Reset(plain, nil); err != nil {
		t.Fatal(err)
	}
	p.check(t)
	if _, err := d.Lock(); err != ErrClosed {
		t.Errorf("code of a cage that was reset can be changed: %v", err)
	}
	if _, err := p.Map(0x8000000, PageSize, rw, FixedNoReplace); err != nil {
		t.Error(err)
	}
	// Code counts.
	_, err = s.New(Config{MaxMemory: n.MemoryInUse() - PageSize})
	wantErr(t, err, ErrLimit)
}

// BenchmarkSnapshot is a cage with an image of 64 MiB, of which four pages are written
// to: made and closed, and reset.
func BenchmarkSnapshot(b *testing.B) {
	c := newCage(b, Config{})
	if _, err := c.Map(0x1000000, 64<<20, rw, Fixed); err != nil {
		b.Fatal(err)
	}
	mem := safemem.New(c.base)
	for off := uint32(0); off < 64<<20; off += PageSize {
		if err := mem.Store32(0x1000000+off, off+1); err != nil {
			b.Fatal(err)
		}
	}
	s := takeSnapshot(b, c)
	write := func(c *Cage) {
		for i := range uint32(4) {
			if err := safemem.New(c.base).Store32(0x1000000+i<<20, 1); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("New", func(b *testing.B) {
		for b.Loop() {
			n, err := s.New(Config{})
			if err != nil {
				b.Fatal(err)
			}
			write(n)
			n.Close()
		}
	})
	b.Run("Reset", func(b *testing.B) {
		n := fromSnapshot(b, s, Config{})
		for b.Loop() {
			write(n)
			if err := n.Reset(s, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Clone", func(b *testing.B) {
		for b.Loop() {
			n, err := c.Clone()
			if err != nil {
				b.Fatal(err)
			}
			n.Close()
		}
	})
}

// TestSnapshotAdopt: a cage that was reset for nobody counts against who takes it.
func TestSnapshotAdopt(t *testing.T) {
	s := takeSnapshot(t, templateCage(t, Config{}))
	first, second := NewBudget(1<<30), NewBudget(1<<30)
	n := fromSnapshot(t, s, Config{Budget: first})
	if err := n.Reset(s, nil); err != nil {
		t.Fatal(err)
	}
	used := n.MemoryInUse()
	if first.Used() != 0 || used == 0 {
		t.Errorf("%d bytes of the first budget, %d in use", first.Used(), used)
	}
	if err := n.Adopt(used+PageSize, second); err != nil {
		t.Fatal(err)
	}
	if second.Used() != used {
		t.Errorf("%d bytes of the second budget for %d", second.Used(), used)
	}
	if _, err := n.Map(0, PageSize, rw, Hint); err != nil {
		t.Error(err)
	}
	if _, err := n.Map(0, PageSize, rw, Hint); !errors.Is(err, ErrLimit) {
		t.Errorf("beyond the new limit: %v", err)
	}
	if err := n.Reset(s, nil); err != nil {
		t.Fatal(err)
	}
	for _, refused := range []func() error{
		func() error { return n.Adopt(used-PageSize, nil) },
		func() error { return n.Adopt(0, NewBudget(used-1)) },
	} {
		if err := refused(); !errors.Is(err, ErrLimit) {
			t.Error(err)
		}
	}
	if n.Close(); second.Used() != 0 {
		t.Errorf("%d bytes of the second budget are used", second.Used())
	}
	if err := n.Adopt(0, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
