package ld

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/loader"
)

// steady is a file of the tests whose revision counts although it was just made.
type steady struct{ *os.File }

func (f steady) Identity() any { return identity(f.File) }

func (f steady) Revision() (loader.Revision, bool) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return loader.Revision{}, false
	}
	return loader.Revision{Dev: st.Dev, Ino: st.Ino, Size: st.Size, Mtime: st.Mtim, Ctime: st.Ctim}, true
}

// linksIn is an empty cache of links, and a way to make linkers for a directory, each with
// a cage of its own, that remember.
func linksIn(t *testing.T, dir string) func(change ...func(*Config)) *Linker {
	t.Helper()
	flush := func() {
		loader.FlushFiles()
		FlushLinks()
	}
	flush()
	t.Cleanup(flush)
	open := openIn(dir)
	return func(change ...func(*Config)) *Linker {
		t.Helper()
		cfg := Config{Cage: newCage(t), LibraryPath: []string{"/"}, Open: func(name string) (File, int64, error) {
			f, size, err := open(name)
			if err != nil {
				return nil, 0, err
			}
			return steady{f.(*os.File)}, size, nil
		}}
		for _, f := range change {
			f(&cfg)
		}
		l := New(cfg)
		l.withoutText = true
		return l
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// shared builds a library. The same length of text makes files of the same size.
func shared(t *testing.T, dir, name, text string, args ...string) {
	t.Helper()
	write(t, dir, name+".c", text)
	gcc(t, dir, append([]string{"-fPIC", "-shared", "-nostdlib", "-Wl,--build-id=none", "-L.", "-o", name + ".so", name + ".c", "-Wl,-soname," + name + ".so"}, args...)...)
}

// program builds one that needs libraries.
func program(t *testing.T, dir, text string, args ...string) {
	t.Helper()
	write(t, dir, "main.c", text+"\nvoid _start(void) {}\n")
	gcc(t, dir, append([]string{"-nostdlib", "-nostartfiles", "-rdynamic", "-o", "guest", "main.c", "-L.", "-Wl,--no-as-needed", "-Wl,-z,now"}, args...)...)
}

func started(t *testing.T, l *Linker) *Linker {
	t.Helper()
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	return l
}

func mustOpen(t *testing.T, l *Linker, name string, flags int) uint32 {
	t.Helper()
	h, err := l.Open(thread1, name, RTLDNow|flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	for {
		addr, err := l.NextInit(thread1, h)
		if err != nil {
			t.Fatal(err)
		}
		if addr == 0 {
			return h
		}
	}
}

func mustClose(t *testing.T, l *Linker, h uint32) {
	t.Helper()
	token, err := l.Close(h)
	if err != nil {
		t.Fatal(err)
	}
	if token == 0 {
		return
	}
	for l.NextFini(token) != 0 {
	}
	if err := l.Unload(token); err != nil {
		t.Fatal(err)
	}
}

// word is what a variable of 8 bytes holds.
func word(t *testing.T, l *Linker, h uint32, name string) uint64 {
	t.Helper()
	v, err := l.mem.Load64(addressOf(t, l, h, name))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func addressOf(t *testing.T, l *Linker, h uint32, name string) uint32 {
	t.Helper()
	a, err := l.Sym(h, name, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return a.Addr
}

// pointsTo fails unless p of a library holds the address of a symbol.
func pointsTo(t *testing.T, l *Linker, h, of uint32, symbol string) {
	t.Helper()
	if got, want := word(t, l, h, "p"), addressOf(t, l, of, symbol); got != uint64(want) {
		t.Fatalf("p is %#x; %s is at %#x", got, symbol, want)
	}
}

// remembered tells whether there are links for objects as they are.
func remembered(l *Linker, list ...*object) bool {
	keys := l.linkKeys(list)
	for _, k := range keys {
		x := links.get(k)
		if x == nil {
			return false
		}
		x.image.Release()
	}
	return keys != nil
}

// TestLinks: a library that comes back has the data of the last time, in this domain and in
// another, and what one writes there nobody else sees. When its file was replaced, or
// rewritten in place, it is another.
func TestLinks(t *testing.T) {
	dir := compilerDir(t)
	shared(t, dir, "base", "int x = 1, y = 2;")
	shared(t, dir, "a", "extern int x; int *p = &x; long own = 5;")
	program(t, dir, "", "-l:base.so")
	linker := linksIn(t, dir)
	l := started(t, linker())
	for i := range 5 {
		h := mustOpen(t, l, "a.so", 0)
		pointsTo(t, l, h, HandleDefault, "x")
		if got := remembered(l, l.handles[h]); got != (i >= 1) {
			t.Fatalf("opened %d times before, remembered: %v", i, got)
		}
		if v := word(t, l, h, "own"); v != 5 {
			t.Fatalf("own is %d: what was written the last time is there", v)
		}
		if err := l.mem.Store64(addressOf(t, l, h, "own"), 6); err != nil {
			t.Fatal(err)
		}
		if i < 4 {
			mustClose(t, l, h)
		}
	}
	if len(l.retired) != 0 {
		t.Fatalf("%d places are left", len(l.retired))
	}
	other := started(t, linker())
	h := mustOpen(t, other, "a.so", 0)
	if pointsTo(t, other, h, HandleDefault, "x"); word(t, other, h, "own") != 5 {
		t.Error("a domain sees what another has written")
	}
	mustClose(t, other, h)

	shared(t, dir, "new", "extern int y; int *p = &y; long own = 5;")
	files := map[string][]byte{}
	for _, name := range []string{"a", "new"} {
		b, err := os.ReadFile(filepath.Join(dir, name+".so"))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	for i, name := range []string{"new", "a", "new", "a"} {
		if i%2 == 0 {
			write(t, dir, "a.so", string(files[name]))
		} else {
			write(t, dir, "a.tmp", string(files[name]))
			if err := os.Rename(filepath.Join(dir, "a.tmp"), filepath.Join(dir, "a.so")); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			h := mustOpen(t, other, "a.so", 0)
			pointsTo(t, other, h, HandleDefault, map[string]string{"a": "x", "new": "y"}[name])
			mustClose(t, other, h)
		}
	}
}

// TestLinksUsed: what comes out is what is remembered, so that the other tests of links
// test something.
func TestLinksUsed(t *testing.T) {
	dir := compilerDir(t)
	shared(t, dir, "base", "int x = 1, y = 2;")
	shared(t, dir, "a", "extern int x; int *p = &x;")
	program(t, dir, "", "-l:base.so")
	l := started(t, linksIn(t, dir)())
	h := mustOpen(t, l, "a.so", 0)
	mustClose(t, l, h)
	h = mustOpen(t, l, "a.so", 0)
	o := l.handles[h]
	key := l.linkKeys([]*object{o})[0]
	p, y := addressOf(t, l, h, "p")-o.bias, addressOf(t, l, HandleDefault, "y")
	mustClose(t, l, h)
	m := l.loader.Stage(newCage(t), o.file)
	if err := m.Place(o.bias); err != nil {
		t.Fatal(err)
	}
	b, ok := m.Data(uint64(p), 8)
	if !ok {
		t.Fatal("p is not in its data")
	}
	le.PutUint64(b, uint64(y))
	doctored, err := m.Link()
	if err != nil {
		t.Fatal(err)
	}
	x, _ := links.m.Get(key)
	x.image = doctored
	h = mustOpen(t, l, "a.so", 0)
	pointsTo(t, l, h, HandleDefault, "y")
	mustClose(t, l, h)
	// Nothing but the cache holds a descriptor for it, and what is given up is closed.
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	n := links.m.Len()
	for range 3 { // failures give back what they took
		if err := os.Rename(filepath.Join(dir, "base.so"), filepath.Join(dir, "b.so")); err != nil {
			t.Fatal(err)
		}
		if _, err := loadGuest(t, linksAgain(l), "/guest"); err == nil {
			t.Fatal("started without its library")
		}
		if err := os.Rename(filepath.Join(dir, "b.so"), filepath.Join(dir, "base.so")); err != nil {
			t.Fatal(err)
		}
	}
	before := open()
	FlushLinks()
	if closed := before - open(); closed != n || n == 0 {
		t.Errorf("%d of %d links closed", closed, n)
	}
}

// linksAgain is another linker for the same files.
func linksAgain(l *Linker) *Linker {
	cfg := l.cfg
	again := New(cfg)
	again.withoutText = true
	return again
}

// TestLinksScope: other definitions, other places, other modules of thread-local storage,
// and other functions of the host make other data.
func TestLinksScope(t *testing.T) {
	dir := compilerDir(t)
	shared(t, dir, "base", "int x = 1;")
	program(t, dir, "void *__tls_get_addr(void *p) { return p; }", "-l:base.so")
	shared(t, dir, "g1", "int z = 1;")
	shared(t, dir, "g2", "int other = 1, z = 2;")
	shared(t, dir, "a", "extern int z; int *p = &z;")
	shared(t, dir, "weak", "extern int z __attribute__((weak)); int *p = &z;")
	shared(t, dir, "t1", "__thread int t1 = 1; int *f1(void) { return &t1; }")
	shared(t, dir, "t2", "__thread int t2 = 1; int *f2(void) { return &t2; }")
	shared(t, dir, "host", "extern char function[]; char *p = function;")
	linker := linksIn(t, dir)

	l := started(t, linker())
	for range 2 {
		for _, name := range []string{"g1.so", "g2.so"} {
			g := mustOpen(t, l, name, RTLDGlobal)
			for _, name := range []string{"a.so", "weak.so"} {
				for range 3 {
					a := mustOpen(t, l, name, 0)
					pointsTo(t, l, a, g, "z")
					mustClose(t, l, a)
				}
			}
			mustClose(t, l, g)
			for range 3 {
				w := mustOpen(t, l, "weak.so", 0)
				if v := word(t, l, w, "p"); v != 0 {
					t.Errorf("what is undefined is %#x", v)
				}
				mustClose(t, l, w)
			}
			if _, err := l.Open(thread1, "a.so", RTLDNow, 0); err == nil {
				t.Error("bound to a library that is gone")
			}
		}
	}
	// The order in which they come decides where they are, and their modules' numbers.
	for i, order := range [][]string{{"t1.so", "t2.so"}, {"t2.so", "t1.so"}, {"t1.so", "t2.so"}, {"t2.so", "t1.so"}} {
		l := started(t, linker())
		for k, name := range order {
			h := mustOpen(t, l, name, 0)
			o := l.handles[h]
			if o.tlsID != k+1 {
				t.Fatalf("module %d", o.tlsID)
			}
			found := false
			for j := range o.dyn.Rela.Len() {
				if r := o.dyn.Rela.At(j); r.Type == relDTPMod64 {
					v, err := l.mem.Load64(uint32(r.Offset) + o.bias)
					if found = true; err != nil || v != uint64(k+1) {
						t.Errorf("round %d, %s: module %d, %v; it is %d", i, name, v, err, k+1)
					}
				}
			}
			if !found {
				t.Fatal("no relocation for its module")
			}
		}
	}
	for _, addr := range []uint32{0x1000, 0x2000, 0x1000, 0x2000, 0} {
		l := started(t, linker(func(c *Config) {
			if addr != 0 {
				c.HostSymbols = map[string]uint32{"function": addr, "another": 7}
			}
		}))
		for range 2 {
			h, err := l.Open(thread1, "host.so", RTLDNow, 0)
			if addr == 0 {
				if err == nil {
					t.Error("bound to a function of another domain's host")
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if v := word(t, l, h, "p"); v != uint64(addr) {
				t.Errorf("the host's function is at %#x, want %#x", v, addr)
			}
			mustClose(t, l, h)
		}
	}
}

// TestLinksBound: what a library refers to stays as long as it does, whether that was found
// by relocation or remembered, and whether it could have gone the last time or not.
func TestLinksBound(t *testing.T) {
	dir := compilerDir(t)
	shared(t, dir, "g", "int z = 1;")
	shared(t, dir, "a", "extern int z; int *p = &z;")
	program(t, dir, "")
	linker := linksIn(t, dir)
	l := started(t, linker())
	for i := range 5 {
		g := mustOpen(t, l, "g.so", RTLDGlobal)
		a := mustOpen(t, l, "a.so", 0)
		if got := remembered(l, l.handles[a]); got != (i >= 1) {
			t.Errorf("opened %d times before, remembered: %v", i, got)
		}
		mustClose(t, l, g)
		if len(l.objects) != 3 {
			t.Fatalf("%d objects: what is referred to is gone", len(l.objects))
		}
		pointsTo(t, l, a, HandleDefault, "z")
		mustClose(t, l, a)
		if len(l.objects) != 1 {
			t.Fatalf("%d objects are left", len(l.objects))
		}
	}
}

// TestLinksUnique: what depends on the order of loading is found anew.
func TestLinksUnique(t *testing.T) {
	dir := compilerDir(t)
	text := `__asm__(".type u, @gnu_unique_object"); int u = 1; int *p = &u;`
	shared(t, dir, "u1", text)
	shared(t, dir, "u2", text)
	program(t, dir, "")
	linker := linksIn(t, dir)
	for i, order := range [][]string{{"u1.so", "u2.so"}, {"u2.so", "u1.so"}, {"u1.so", "u2.so"}, {"u2.so", "u1.so"}} {
		l := started(t, linker())
		first := mustOpen(t, l, order[0], 0)
		second := mustOpen(t, l, order[1], 0)
		if word(t, l, first, "p") != word(t, l, second, "p") {
			t.Errorf("round %d: two definitions", i)
		}
		if remembered(l, l.handles[first]) || !l.handles[first].nodelete {
			t.Errorf("round %d: remembered: %v, stays: %v", i, remembered(l, l.handles[first]), l.handles[first].nodelete)
		}
	}
}

// TestLinksStart: a program that is started again comes out the same: copies of variables,
// what debuggers look for, preloaded libraries.
func TestLinksStart(t *testing.T) {
	dir := compilerDir(t)
	shared(t, dir, "base", "int x = 1; int *copied = &x; int **p = &copied;")
	shared(t, dir, "pre", "int x = 9;")
	program(t, dir, "extern int *copied; int **use(void) { return &copied; }", "-O1", "-fno-pie", "-no-pie", "-l:base.so")
	linker := linksIn(t, dir)
	var before []byte
	for i := range 8 {
		preload := i%4 >= 2
		l := started(t, linker(func(c *Config) {
			if preload {
				c.Preload = []string{"pre.so"}
			}
		}))
		copies := 0
		for j := range l.main.dyn.Rela.Len() {
			if l.main.dyn.Rela.At(j).Type == relCopy {
				copies++
			}
		}
		if copies != 1 {
			t.Fatalf("%d copy relocations", copies)
		}
		if got := remembered(l, l.objects...); got != (i != 0 && i != 2) {
			t.Errorf("started %d times before, remembered: %v", i, got)
		}
		x := addressOf(t, l, HandleDefault, "x")
		if got := word(t, l, HandleDefault, "copied"); got != uint64(x) {
			t.Errorf("round %d: the copy is %#x, x is at %#x", i, got, x)
		}
		if p := word(t, l, HandleDefault, "p"); p != uint64(addressOf(t, l, HandleDefault, "copied")) {
			t.Errorf("round %d: the library does not use the copy", i)
		}
		if v, err := l.mem.Load64(x); err != nil || uint32(v) != map[bool]uint32{true: 9, false: 1}[preload] {
			t.Errorf("round %d: x is %d, %v", i, uint32(v), err)
		}
		debug, err := l.mem.Load64(l.main.dyn.Debug + l.main.bias)
		if err != nil || debug == 0 || debug != uint64(l.debug) {
			t.Errorf("round %d: DT_DEBUG is %#x, %v", i, debug, err)
		}
		// The writable data of the library, whole.
		o := l.objects[len(l.objects)-1]
		lo, size := o.image.Extent()
		now := make([]byte, 0, size)
		for at := lo; at < lo+uint32(size); at += 8 {
			if v, err := l.mem.Load64(at); err == nil {
				now = le.AppendUint64(now, v)
			}
		}
		if i%4 == 0 {
			if before != nil && !slices.Equal(before, now) {
				t.Errorf("round %d: the library is another", i)
			}
			before = now
		}
	}
}

func TestLinkCacheLimits(t *testing.T) {
	c := newLinkCache()
	dir := compilerDir(t)
	shared(t, dir, "a", "int x = 1;")
	f, size, err := openIn(dir)("a.so")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, err := loader.ReadELF(f, size, "a.so")
	if err != nil {
		t.Fatal(err)
	}
	m := new(loader.Loader).Stage(newCage(t), file)
	if err := m.Place(loader.Anywhere); err != nil {
		t.Fatal(err)
	}
	image, err := m.Link()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxLinks {
		key, x := linkKey{byte(i), byte(i >> 8)}, &link{image: image.Retain()}
		c.put(key, x)
		c.put(key, &link{image: image.Retain()})
		if c.get(key) != x {
			t.Fatal("not kept")
		}
		image.Release()
	}
	if n := c.m.Len(); n > maxLinks || c.m.Bytes() != uint64(n)*image.Size() || c.m.Bytes() > maxLinkBytes {
		t.Errorf("%d links, %d bytes", n, c.m.Bytes())
	}
}

// TestLinksWithoutDescriptors: when there is nothing to remember with, everything works as
// before.
func TestLinksWithoutDescriptors(t *testing.T) {
	dir := compilerDir(t)
	shared(t, dir, "base", "int x = 1;")
	shared(t, dir, "a", "extern int x; int *p = &x;")
	program(t, dir, "", "-l:base.so")
	l := started(t, linksIn(t, dir)())
	mustClose(t, l, mustOpen(t, l, "a.so", 0))
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	probe, err := os.Open(os.DevNull) // the lowest number that is free
	if err != nil {
		t.Fatal(err)
	}
	least := probe.Fd()
	probe.Close()
	open := l.cfg.Open
	l.cfg.Open = func(name string) (File, int64, error) {
		// One more can be opened, and that is the library.
		f, size, err := open(name)
		if err == nil {
			err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(least), Max: old.Max})
		}
		return keptOpen{f}, size, err
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	h := mustOpen(t, l, "a.so", 0)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	pointsTo(t, l, h, HandleDefault, "x")
	if n := links.m.Len(); n != 0 {
		t.Errorf("%d links without a descriptor to make one", n)
	}
	l.cfg.Open = open
	mustClose(t, l, h)
	for i := range 2 {
		h := mustOpen(t, l, "a.so", 0)
		pointsTo(t, l, h, HandleDefault, "x")
		if n := links.m.Len(); n != 1 {
			t.Errorf("round %d: %d links, want one", i, n)
		}
		mustClose(t, l, h)
	}
}

// keptOpen is a file whose number stays in use.
type keptOpen struct{ File }

func (f keptOpen) Close() error { return nil }

func (f keptOpen) Revision() (loader.Revision, bool) { return f.File.(Revisioner).Revision() }
