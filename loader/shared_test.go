package loader

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
)

// readShared reads a file of the tests with a revision of its own.
func (t *testFile) readShared(tb testing.TB, revision func() (Revision, bool)) *File {
	tb.Helper()
	f, err := ReadShared(revision, bytes.NewReader(t.b), int64(len(t.b)), "test.so")
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// is a revision that stays.
func is(tf *testFile, ino uint64) func() (Revision, bool) {
	return func() (Revision, bool) { return Revision{Ino: ino, Size: int64(len(tf.b))}, true }
}

// A file is kept from the second reading on, as long as its revision is known to be the
// same.
func TestReadShared(t *testing.T) {
	FlushFiles()
	defer FlushFiles()
	tf := newTestFile()
	first, second, third := tf.readShared(t, is(tf, 1)), tf.readShared(t, is(tf, 1)), tf.readShared(t, is(tf, 1))
	if first.Shared() || !second.Shared() || first == second || second != third {
		t.Errorf("shared: %v, %v; same: %v, %v", first.Shared(), second.Shared(), first == second, second == third)
	}
	if first.Serial() == second.Serial() || second.Serial() == 0 {
		t.Errorf("serial numbers %d and %d", first.Serial(), second.Serial())
	}
	second.ReleaseContents()
	first.ReleaseContents()
	if _, ok := second.Bytes(0x2400, 8); !ok {
		t.Error("the contents of a shared file are gone")
	}
	if _, ok := first.Bytes(0x2400, 8); ok {
		t.Error("the contents of another file are kept")
	}
	if other := tf.readShared(t, is(tf, 2)); other == second {
		t.Error("another revision is the same file")
	}
	// What has no revision, or another size than it has, or changes while it is read.
	n := 0
	for name, revision := range map[string]func() (Revision, bool){
		"none": func() (Revision, bool) { return Revision{Ino: 3, Size: int64(len(tf.b))}, false },
		"size": func() (Revision, bool) { return Revision{Ino: 4, Size: int64(len(tf.b)) + 1}, true },
		"changes": func() (Revision, bool) {
			n++
			return Revision{Ino: 5, Size: int64(len(tf.b)), Mtime: unix.Timespec{Sec: int64(n % 2)}}, true
		},
		"fresh when read": func() (Revision, bool) {
			n++
			return Revision{Ino: 6, Size: int64(len(tf.b))}, n%2 == 1
		},
	} {
		n = 0
		for range 4 {
			if f := tf.readShared(t, revision); f.Shared() {
				t.Errorf("%s: it is shared", name)
			}
		}
	}
	// An error is an error each time.
	broken := newTestFile()
	broken.u32("ehdr", 0, 0)
	for range 3 {
		var e *FormatError
		if _, err := ReadShared(is(broken, 7), bytes.NewReader(broken.b), int64(len(broken.b)), "test.so"); !errors.As(err, &e) {
			t.Error(err)
		}
	}
}

// Many read at once, and get a file that all may use.
func TestReadSharedAtOnce(t *testing.T) {
	FlushFiles()
	defer FlushFiles()
	tf := newTestFile()
	tf.readShared(t, is(tf, 1))
	var mu sync.Mutex
	seen := map[*File]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				f := tf.readShared(t, is(tf, 1))
				c := newCage(t)
				if _, err := new(Loader).Map(c, f, Anywhere); err != nil {
					t.Error(err)
				}
				f.ReleaseContents()
				f.Dynamic.Nearest(0x1010, SymFunc)
				c.Close()
				mu.Lock()
				seen[f] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	shared := 0
	for f := range seen {
		if f.Shared() {
			shared++
		}
	}
	if shared != 1 {
		t.Errorf("%d shared files, want one", shared)
	}
}

func TestFileCacheLimits(t *testing.T) {
	tf := newTestFile()
	c := newFileCache()
	for i := range 3 * maxCachedFiles {
		key := fileKey{Revision{Ino: uint64(i)}, "x"}
		c.get(key)
		f, err := tf.read()
		if err != nil {
			t.Fatal(err)
		}
		c.put(key, f)
		if got, _ := c.get(key); got != f {
			t.Fatal("not kept")
		}
	}
	if n := c.m.Len(); n > maxCachedFiles || n == 0 || c.m.Bytes() > maxCachedFileBytes {
		t.Errorf("%d files, %d bytes", n, c.m.Bytes())
	}
	c.m.Flush()
	if n := c.m.Bytes(); n != 0 {
		t.Errorf("%d bytes of nothing", n)
	}
	big := &File{Segments: []Segment{{FileSize: maxCachedFileBytes/4 + 1}}}
	if c.put(fileKey{}, big); big.Shared() {
		t.Error("a file that would push out all others is kept")
	}
}

// Only what the kernel says of a regular file counts, and only when its times have had
// time to tell.
func TestRevisionOf(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	stat := func(name string) *unix.Stat_t {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil {
			t.Fatal(err)
		}
		return &st
	}
	st := stat(name)
	if _, ok := RevisionOf(st); ok {
		t.Error("a file that was written just now")
	}
	old := unix.NsecToTimespec(time.Now().Add(-time.Minute).UnixNano())
	st.Mtim = old
	if _, ok := RevisionOf(st); ok {
		t.Error("a file whose time of change was set back")
	}
	st.Ctim = old
	r, ok := RevisionOf(st)
	if !ok || r != (Revision{st.Dev, st.Ino, 1, old, old}) {
		t.Errorf("%+v, %v", r, ok)
	}
	st.Ctim = unix.NsecToTimespec(time.Now().Add(time.Hour).UnixNano())
	if _, ok := RevisionOf(st); ok {
		t.Error("a file of the future")
	}
	d := stat(dir)
	d.Mtim, d.Ctim = old, old
	if _, ok := RevisionOf(d); ok {
		t.Error("a directory")
	}
}

// What an image becomes by Use is what it was when Link was called: contents, access
// rights and zeroes, whatever its segments look like.
func TestLinked(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	compared := 0
	newCage(t).Close() // the trampolines are there
	before := descriptors(t)
	for round := range 200 {
		tf := newTestFile()
		memsz := uint64(0x510) + rnd.Uint64N(0x4000)
		tf.u64("ph2", phMemSz, max(memsz, uint64(len(tf.b)-0x2000)))
		if round > 0 {
			lo := rnd.Uint64N(0x1000)
			tf.u64("ph6", phAddr, 0x2000+lo)
			tf.u64("ph6", phMemSz, rnd.Uint64N((memsz+0xfff)&^0xfff-lo)+1)
			if rnd.IntN(3) == 0 {
				tf.u64("ph6", phAddr, 0x2000)
				tf.u64("ph6", phMemSz, (memsz+0xfff)&^0xfff)
			}
		}
		f, err := tf.read()
		if err != nil {
			continue // a range that the reader refuses
		}
		var l Loader
		c1, c2 := newCage(t), newCage(t)
		m := l.Stage(c1, f)
		if err := m.Place(Anywhere); err != nil {
			t.Fatal(err)
		}
		if b, ok := m.Data(0x2400, 8); ok {
			copy(b, "relocate")
		}
		if b, ok := m.Data(0x2000+memsz-8, 8); ok && rnd.IntN(2) == 0 {
			copy(b, "far away")
		}
		linked, err := m.Link()
		if err != nil {
			t.Fatal(err)
		}
		again := l.Stage(c2, f)
		if err := again.Place(Anywhere); err != nil {
			t.Fatal(err)
		}
		again.Use(linked.Retain())
		set := 0x2000 + rnd.Uint64N(0x4f8)
		for _, x := range []*Image{m, again} {
			if !x.Set(set, []byte("set last")) {
				t.Fatal("it can't be set")
			}
			for _, at := range []uint64{0x100, 0x1000, 0x1ffc, ^uint64(0), 0x2000 + memsz} {
				if at != 0x2000+memsz && x.Set(at, []byte("set last")) {
					t.Errorf("it can be set at %#x", at)
				}
			}
			if err := x.CheckText(); err != nil {
				t.Fatal(err)
			}
			if err := x.Commit(true); err != nil {
				t.Fatal(err)
			}
			if err := x.InstallText(); err != nil {
				t.Fatal(err)
			}
		}
		lo, size := m.Extent()
		if a, b := access(c1, lo, size), access(c2, lo, size); a != b {
			t.Fatalf("%s, linked %s", a, b)
		}
		a, b := make([]byte, size), make([]byte, size)
		if err := safemem.New(c1.Base()).Read(lo, a); err != nil {
			t.Fatal(err)
		}
		if err := safemem.New(c2.Base()).Read(lo, b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Fatal("other contents")
		}
		linked.Release()
		c1.Close()
		c2.Close()
		compared++
	}
	if compared < 100 {
		t.Errorf("%d compared", compared)
	}
	FlushTextCache()
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// access is a letter for each page.
func access(c *cage.Cage, lo uint32, size uint64) string {
	b := bytes.Repeat([]byte{'-'}, int(size/PageSize))
	for _, m := range c.Mappings() {
		for at := uint64(m.Offset); at < uint64(m.Offset)+m.Len; at += PageSize {
			if at >= uint64(lo) && at < uint64(lo)+size {
				b[(at-uint64(lo))/PageSize] = "-rwb-x--"[m.Prot]
			}
		}
	}
	return string(b)
}

func TestUseOfAnother(t *testing.T) {
	f, g := goodFile(t), goodFile(t)
	c := newCage(t)
	var l Loader
	m := l.Stage(c, f)
	if err := m.Place(Anywhere); err != nil {
		t.Fatal(err)
	}
	linked, err := m.Link()
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]*Image{"another file": l.Stage(c, g), "another place": l.Stage(c, f)} {
		if err := x.Place(Anywhere); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: it is accepted", name)
				}
			}()
			x.Use(linked)
		}()
	}
}

// Nearest finds what a search through all symbols finds.
func TestNearest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		n := rnd.IntN(40)
		d := &Dynamic{strtab: "\x00name\x00", symbols: n + rnd.IntN(3)}
		for range n {
			var b [symbolSize]byte
			le.PutUint32(b[:], uint32(rnd.IntN(8)))
			b[4] = byte(rnd.IntN(3))<<4 | []byte{SymNone, SymFunc, SymObject, SymTLS}[rnd.IntN(4)]
			le.PutUint16(b[6:], []uint16{ShnUndef, 1, 2, ShnAbs}[rnd.IntN(4)])
			le.PutUint64(b[8:], rnd.Uint64N(64)+uint64(rnd.IntN(50)/49)<<40)
			le.PutUint64(b[16:], rnd.Uint64N(16)*uint64(rnd.IntN(2)))
			d.symtab = append(d.symtab, b[:]...)
		}
		for addr := range uint32(80) {
			for _, typ := range []uint8{SymNone, SymFunc, SymObject} {
				var want Symbol
				index, ok := uint32(0), false
				for i := range min(n, d.symbols) {
					s, _ := d.Symbol(uint32(i))
					if s.Section == ShnUndef || s.Section == ShnAbs || s.Value > uint64(addr) || ok && s.Value <= want.Value ||
						s.Type() == SymTLS || typ != SymNone && s.Type() != typ || s.Bind() == BindLocal ||
						s.Size != 0 && uint64(addr)-s.Value >= s.Size || int(s.NameOffset) >= len(d.strtab) || d.strtab[s.NameOffset] == 0 {
						continue
					}
					index, want, ok = uint32(i), s, true
				}
				for _, asked := range []uint32{0, fewQuestions} { // one by one, sorted
					d.asked.Store(asked)
					i, s, found := d.Nearest(addr, typ)
					if i != index || s != want || found != ok {
						t.Fatalf("%#x, type %d, after %d questions: %d %+v %v, want %d %+v %v", addr, typ, asked, i, s, found, index, want, ok)
					}
				}
			}
		}
	}
}
