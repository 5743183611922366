package ld

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/loader"
)

func TestMain(m *testing.M) {
	if err := engine.Init(); err != nil {
		os.Stderr.WriteString("engine: " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// tree is a name space made of files of a directory under other names.
type tree map[string]string

func (tr tree) open(name string) (File, int64, error) {
	at, ok := tr[path.Clean(name)]
	if !ok {
		return nil, 0, &os.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
	}
	f, err := os.Open(at)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	return f, st.Size(), nil
}

// loadTree loads /bin/prog of a tree.
func loadTree(t *testing.T, tr tree, change func(*Config)) (*Linker, error) {
	t.Helper()
	cfg := Config{Cage: newCage(t), Open: tr.open}
	if change != nil {
		change(&cfg)
	}
	l := New(cfg)
	l.withoutText = true
	f, size, err := tr.open("/bin/prog")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = l.LoadProgram("/bin/prog", f, size)
	return l, err
}

// TestSearchOrder: the same library in several places; which one is taken.
func TestSearchOrder(t *testing.T) {
	rpath := func(p string) []string { return []string{"-Wl,--disable-new-dtags,-rpath," + p} }
	runpath := func(p string) []string { return []string{"-Wl,--enable-new-dtags,-rpath," + p} }
	libs := func(args []string) []source {
		return []source{{"x", who("x"), nil}, {"a", "int a;", append([]string{"-Wl,--no-as-needed", "-l:x.so"}, args...)}}
	}
	for _, c := range []struct {
		name   string
		lib    []string // how a.so is linked
		main   []string
		places []string // where x.so is
		libs   []string // LD_LIBRARY_PATH
		want   string   // "" for not found
	}{
		{"default", nil, nil, []string{"/usr/lib", "/usr/local/lib"}, nil, "/usr/lib"},
		{"default first", nil, nil, []string{"/lib", "/usr/lib"}, nil, "/lib"},
		{"library path", nil, nil, []string{"/lib", "/opt"}, []string{"/none", "/opt"}, "/opt"},
		{"RUNPATH", runpath("/run"), nil, []string{"/lib", "/run"}, nil, "/run"},
		{"library path before RUNPATH", runpath("/run"), nil, []string{"/opt", "/run"}, []string{"/opt"}, "/opt"},
		{"RPATH before library path", rpath("/rp"), nil, []string{"/opt", "/rp"}, []string{"/opt"}, "/rp"},
		{"the program's RPATH counts", nil, rpath("/rp"), []string{"/lib", "/rp"}, nil, "/rp"},
		{"the program's RUNPATH does not", nil, runpath("/run"), []string{"/lib", "/run"}, nil, "/lib"},
		{"RUNPATH hides RPATH of the program", runpath("/run"), rpath("/rp"), []string{"/rp", "/lib"}, nil, "/lib"},
		{"origin", runpath("$ORIGIN/sub"), nil, []string{"/lib/sub"}, nil, "/lib/sub"},
		{"origin in braces", runpath("${ORIGIN}/../sub"), nil, []string{"/sub"}, nil, "/sub"},
		{"several directories", runpath("/r1:/r2"), nil, []string{"/r2", "/lib"}, nil, "/r2"},
		{"no default path", append(runpath("/run"), "-Wl,-z,nodefaultlib"), nil, []string{"/lib"}, nil, ""},
		{"nowhere", nil, nil, nil, []string{"/opt"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := build(t, libs(c.lib), "", append([]string{"-l:a.so"}, c.main...))
			tr := tree{"/bin/prog": dir + "/guest", "/lib/a.so": dir + "/a.so"}
			for _, p := range c.places {
				tr[p+"/x.so"] = dir + "/x.so"
			}
			l, err := loadTree(t, tr, func(cfg *Config) { cfg.LibraryPath = c.libs })
			if c.want == "" {
				var missing *NotFoundError
				if !errors.As(err, &missing) || missing.Name != "x.so" || missing.NeededBy != "/lib/a.so" {
					t.Fatalf("error %v", err)
				}
				if c.libs != nil && err.Error() != "x.so: not found, needed by /lib/a.so; searched: /opt (LD_LIBRARY_PATH), /lib, /usr/lib, /usr/local/lib" {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := path.Dir(l.objects[2].path); got != c.want {
				t.Errorf("found in %s, want %s", got, c.want)
			}
		})
	}
}

// TestOneFileOnce: a library under two names is loaded once.
func TestOneFileOnce(t *testing.T) {
	dir := build(t, []source{{"x", "INIT(x)" + who("x"), nil}, {"a", "int a;", []string{"-Wl,--no-as-needed", "-l:x.so"}}}, "", []string{"-l:a.so"})
	if err := os.Symlink("x.so", filepath.Join(dir, "y.so")); err != nil {
		t.Fatal(err)
	}
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	h1, err1 := l.Open(thread1, "/y.so", RTLDNow, 0)
	h2, err2 := l.Open(thread1, "x.so", RTLDNow, 0)
	h3, err3 := l.Open(thread1, "y.so", RTLDNow, 0)
	if err := errors.Join(err1, err2, err3); err != nil || h1 != h2 || h2 != h3 {
		t.Errorf("%#x %#x %#x %v", h1, h2, h3, err)
	}
	if len(l.objects) != 3 {
		t.Errorf("%d objects", len(l.objects))
	}
}

// TestForeignLibrary: a library for another machine on the path is passed over.
func TestForeignLibrary(t *testing.T) {
	dir := build(t, []source{{"x", who("x"), nil}}, "", []string{"-l:x.so"})
	b, err := os.ReadFile(dir + "/x.so")
	if err != nil {
		t.Fatal(err)
	}
	b[18] = 183 // AArch64
	if err := os.WriteFile(dir+"/foreign.so", b, 0o666); err != nil {
		t.Fatal(err)
	}
	tr := tree{"/bin/prog": dir + "/guest", "/lib/x.so": dir + "/foreign.so", "/usr/lib/x.so": dir + "/x.so"}
	l, err := loadTree(t, tr, nil)
	if err != nil || l.objects[1].path != "/usr/lib/x.so" {
		t.Fatal(err)
	}
	delete(tr, "/usr/lib/x.so")
	if _, err = loadTree(t, tr, nil); err == nil || !strings.Contains(err.Error(), "x.so: not found") || !strings.Contains(err.Error(), "machine 183") {
		t.Errorf("error %v", err)
	}
}

func TestPreload(t *testing.T) {
	dir := build(t, []source{{"x", "INIT(x)" + who("x"), nil}, {"p", "INIT(p)" + who("p"), nil}}, refWho, []string{"-l:x.so"})
	tr := tree{"/bin/prog": dir + "/guest", "/lib/x.so": dir + "/x.so", "/pre/p.so": dir + "/p.so"}
	var warned []string
	l, err := loadTree(t, tr, func(cfg *Config) {
		cfg.Preload = []string{"nothing.so", "/pre/p.so"}
		cfg.Warn = func(s string) { warned = append(warned, s) }
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "nothing.so: not found") {
		t.Errorf("warnings %q", warned)
	}
	g := &guest{t: t, l: l}
	g.inits(0)
	g.run([]string{"sym:default:who", "via:default:REF"})
	if got := strings.Join(g.out, ", "); got != "init_p, init_x, default:who = p, default:REF -> p, exit" {
		t.Error(got)
	}
}

// TestMessages: what the linker says when it refuses.
func TestMessages(t *testing.T) {
	libs := []source{
		{"dep", "const char *who = \"d\"; int f(void) { return 1; }", nil},
		{"undef", "extern int missing; int *p = &missing;", nil},
		{"needs", "int x;", []string{"-Wl,--no-as-needed", "-l:undef.so"}},
		{"gone", "int gone;", nil},
		{"wants", "int x;", []string{"-Wl,--no-as-needed", "-l:gone.so"}},
		{"ifunc", "static int one(void) { return 1; } static void *pick(void) { return one; } int f(void) __attribute__((ifunc(\"pick\"))); int (*pf)(void) = f;", nil},
		{"tlsdesc", "__thread int t; int *f(void) { return &t; }", []string{"-mtls-dialect=gnu2"}},
		{"noopen", "int n;", []string{"-Wl,-z,nodlopen"}},
	}
	dir := build(t, libs, "", nil)
	os.Remove(dir + "/gone.so")
	os.WriteFile(dir+"/text.so", []byte("GROUP ( /lib/libm.so )"), 0o666)
	prog, err := os.ReadFile(dir + "/guest")
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(dir+"/prog.so", prog, 0o666)
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(l.cfg.Cage.Mappings())
	for _, c := range []struct{ lib, want string }{
		{"none.so", "none.so: not found; searched: / (LD_LIBRARY_PATH), /lib, /usr/lib, /usr/local/lib"},
		{"/some/none.so", "/some/none.so: not found"},
		{"undef.so", "undefined symbol: missing, needed by /undef.so"},
		{"needs.so", "undefined symbol: missing, needed by /undef.so"},
		{"wants.so", "gone.so: not found, needed by /wants.so; searched: / (LD_LIBRARY_PATH), /lib"},
		{"ifunc.so", "IFUNC"},
		{"tlsdesc.so", "/tlsdesc.so: TLS descriptors (R_X86_64_TLSDESC) are not offered"},
		{"text.so", "too few for an ELF file"},
		{"/prog.so", "/prog.so: a program cannot be loaded as a library"},
		{"noopen.so", "DF_1_NOOPEN"},
	} {
		_, err := l.Open(thread1, c.lib, RTLDNow, 0)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.lib, err, c.want)
		}
	}
	if _, err := l.Open(thread1, "dep.so", 0, 0); err == nil || !strings.Contains(err.Error(), "RTLD_NOW or RTLD_LAZY") {
		t.Errorf("no mode: %v", err)
	}
	if after := fmt.Sprint(l.cfg.Cage.Mappings()); after != before {
		t.Errorf("failed loads left traces:\n%s\n%s", before, after)
	}
	if len(l.objects) != 1 || len(l.global) != 1 || len(l.handles) != 1 || len(l.tls) != 0 {
		t.Errorf("failed loads left objects: %v", l.objects)
	}
}

// patch changes a word of a library's relocation table.
func patch(t *testing.T, name string, change func(d *loader.Dynamic, b []byte, rela func(i int) []byte)) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := loader.ReadELF(bytes.NewReader(b), int64(len(b)), name)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, f.Dynamic.Rela)
	change(f.Dynamic, b, func(i int) []byte { return b[at+i*24 : at+i*24+24] })
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestHostileRelocations: relocations that aim where they must not, or compute
// what does not fit. Each is refused and leaves nothing behind.
//
// Attack: relocations and tables that lead astray.
func TestHostileRelocations(t *testing.T) {
	text := "extern const char *who; const char **a = &who; const char **b = &who; static int s; int *c = &s; int code(void) { return s; }"
	dir := build(t, []source{{"dep", who("dep"), nil}, {"x", text, []string{"-l:dep.so"}}}, "", nil)
	good, err := os.ReadFile(dir + "/x.so")
	if err != nil {
		t.Fatal(err)
	}
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Open(thread1, "dep.so", RTLDNow|RTLDGlobal, 0); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(l.cfg.Cage.Mappings())
	code := func(d *loader.Dynamic) uint64 {
		h, work := loader.HashOf("code"), int64(1000)
		i, _ := d.Lookup(&h, loader.Want{}, &work)
		s, _ := d.Symbol(i)
		return s.Value
	}
	for _, c := range []struct {
		name string
		do   func(d *loader.Dynamic, r []byte)
		want string
	}{
		{"into code", func(d *loader.Dynamic, r []byte) { le.PutUint64(r, code(d)) }, "not in a writable segment of the object"},
		{"into read-only data", func(d *loader.Dynamic, r []byte) { le.PutUint64(r, 0x40) }, "not in a writable segment"},
		{"before the image", func(d *loader.Dynamic, r []byte) { le.PutUint64(r, ^uint64(7)) }, "not in a writable segment"},
		{"another object", func(d *loader.Dynamic, r []byte) { le.PutUint64(r, 0x10000) }, "not in a writable segment"},
		{"far away", func(d *loader.Dynamic, r []byte) { le.PutUint64(r, 1<<48) }, "not in a writable segment"},
		{"unknown type", func(d *loader.Dynamic, r []byte) { le.PutUint32(r[8:], 99) }, "relocation of type 99"},
		{"symbol out of range", func(d *loader.Dynamic, r []byte) { le.PutUint32(r[8:], 1); le.PutUint32(r[12:], 1<<31) }, "symbol 2147483648 is beyond"},
		{"IRELATIVE", func(d *loader.Dynamic, r []byte) { le.PutUint32(r[8:], relIRelative) }, "indirect functions"},
		{"COPY in a library", func(d *loader.Dynamic, r []byte) { le.PutUint32(r[8:], relCopy) }, "a copy relocation outside the program"},
		{"32-bit overflow", func(d *loader.Dynamic, r []byte) { le.PutUint32(r[8:], rel32); le.PutUint64(r[16:], 1<<33) }, "does not fit 32 bits"},
		{"signed overflow", func(d *loader.Dynamic, r []byte) {
			le.PutUint32(r[8:], rel32S)
			le.PutUint32(r[12:], 0)
			le.PutUint64(r[16:], 1<<31)
		}, "does not fit 32 bits"},
		{"PC overflow", func(d *loader.Dynamic, r []byte) { le.PutUint32(r[8:], relPC32); le.PutUint64(r[16:], 1<<40) }, "does not fit 32 bits"},
		{"thread-local without storage", func(d *loader.Dynamic, r []byte) { le.PutUint32(r[8:], relDTPMod64); le.PutUint32(r[12:], 0) }, "which has no thread-local storage"},
		{"ordinary symbol as thread-local", func(d *loader.Dynamic, r []byte) { le.PutUint32(r[8:], relTPOff64) }, "is wanted thread-local"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(dir, "bad.so")
			if err := os.WriteFile(name, good, 0o666); err != nil {
				t.Fatal(err)
			}
			patch(t, name, func(d *loader.Dynamic, b []byte, rela func(int) []byte) {
				for i := range d.Rela.Len() {
					if r := d.Rela.At(i); r.Type == rel64 && r.Symbol != 0 {
						c.do(d, rela(i))
						return
					}
				}
				t.Fatal("no relocation to damage")
			})
			_, err := l.Open(thread1, "/bad.so", RTLDNow, 0)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if after := fmt.Sprint(l.cfg.Cage.Mappings()); after != before {
				t.Errorf("left behind:\n%s\n%s", before, after)
			}
		})
	}
}

// TestSyscalls: the private system calls, with structs and strings in the
// guest's memory.
func TestSyscalls(t *testing.T) {
	dir := build(t, []source{{"a", "INIT(a) FINI(a)" + who("a") + "__thread int ta; int fa(void) { return 3; }", nil}}, "__thread int tm = 1;", nil)
	l := testLinker(t, dir)
	prog, err := loadGuest(t, l, "/guest")
	if err != nil {
		t.Fatal(err)
	}
	page, err := l.cfg.Cage.Map(0, 0x10000, cage.ProtRead|cage.ProtWrite, cage.Hint)
	if err != nil {
		t.Fatal(err)
	}
	next := page
	str := func(s string) uint64 {
		at := next
		if err := l.mem.Write(at, append([]byte(s), 0)); err != nil {
			t.Fatal(err)
		}
		next += uint32(len(s)) + 1
		return uint64(at)
	}
	out := uint64(page + 0x8000)
	words := func(n int) []uint64 {
		b := make([]byte, n*8)
		if err := l.mem.Read(uint32(out), b); err != nil {
			t.Fatal(err)
		}
		w := make([]uint64, n)
		for i := range w {
			w[i] = le.Uint64(b[i*8:])
		}
		return w
	}
	call := func(nr uint64, a ...uint64) int64 {
		var six [6]uint64
		copy(six[:], a)
		return l.Syscall(thread1, nr, six)
	}
	expect := func(what string, got, want int64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	expect("init", call(SysNextInit, 0), 0)
	expect("tls 1", call(SysTLSModule, 1, out), 0)
	if w := words(6); w[1] != 4 || w[2] != 4 || w[4] == 0 || w[5] != 1 {
		t.Errorf("module 1: %#x", w)
	}
	expect("tls 0", call(SysTLSModule, 0, out), -int64(syscall.ENOENT))
	expect("tls 2", call(SysTLSModule, 2, out), -int64(syscall.ENOENT))
	expect("tls far", call(SysTLSModule, 1<<63, out), -int64(syscall.ENOENT))
	expect("tls, bad pointer", call(SysTLSModule, 1, 0x30), -int64(syscall.EFAULT))
	expect("open, bad pointer", call(SysOpen, 0x30, RTLDNow, 0), -int64(syscall.EFAULT))
	expect("open nothing", call(SysOpen, str("none.so"), RTLDNow, 0), -int64(syscall.ENOENT))
	if n := call(SysError, out, 20); n < 20 {
		t.Errorf("error of length %d", n)
	}
	if s, _ := l.mem.ReadString(uint32(out), 100); s != "none.so: not found;" {
		t.Errorf("error %q", s)
	}
	expect("second error", call(SysError, out, 100), 0)

	h := call(SysOpen, str("a.so"), RTLDNow, 0)
	if h <= 0 {
		t.Fatalf("open: %d", h)
	}
	init := call(SysNextInit, uint64(h))
	if n := (&guest{t: t, l: l}).named(uint32(init)); n != "init_a" {
		t.Errorf("constructor %s", n)
	}
	expect("no more constructors", call(SysNextInit, uint64(h)), 0)
	expect("again", call(SysNextInit, uint64(h)), 0)

	expect("sym", call(SysSym, uint64(h), str("fa"), 0, 0, out), 0)
	fa := words(3)[0]
	expect("sym next", call(SysSym, ^uint64(0), str("fa"), 0, uint64(prog.Entry), out), -int64(syscall.ENOENT))
	expect("sym default", call(SysSym, 0, str("fa"), 0, fa, out), 0)
	// What was found is remembered, for who asks the same.
	known := func(handle uint32, name string, caller uint64) bool {
		_, ok := l.foundBefore(handle, []byte(name), uint32(caller))
		return ok
	}
	if !known(uint32(h), "fa", 0) || !known(uint32(h), "fa", 77) || !known(HandleDefault, "fa", fa) ||
		known(HandleDefault, "fa", uint64(prog.Entry)) || known(uint32(h), "f", 0) || known(uint32(h), "", 0) || known(uint32(h)+1, "fa", 0) {
		t.Error("what is remembered is not what was found")
	}
	expect("sym again", call(SysSym, uint64(h), str("fa"), 0, 99, out), 0)
	if w := words(3); w[0] != fa || w[1] != 0 || w[2] != 0 {
		t.Errorf("fa again: %v", w)
	}
	expect("sym again, elsewhere", call(SysSym, 0, str("fa"), 0, uint64(prog.Entry), out), -int64(syscall.ENOENT))
	expect("sym again, of another handle", call(SysSym, 12345, str("fa"), 0, 0, out), -int64(syscall.EINVAL))
	expect("sym again, bad pointer", call(SysSym, uint64(h), str("fa"), 0, 0, 0x30), -int64(syscall.EFAULT))
	expect("sym, bad name", call(SysSym, uint64(h), 0x30, 0, 0, out), -int64(syscall.EFAULT))
	expect("sym, a long name", call(SysSym, uint64(h), str(strings.Repeat("f", 100)), 0, 0, out), -int64(syscall.ENOENT))
	expect("sym of nothing", call(SysSym, uint64(h), str("fb"), str("V9"), 0, out), -int64(syscall.ENOENT))
	call(SysError, out, 100)
	if s, _ := l.mem.ReadString(uint32(out), 100); s != "undefined symbol: fb, version V9" {
		t.Errorf("error %q", s)
	}
	expect("tls sym", call(SysSym, uint64(h), str("ta"), 0, 0, out), 0)
	if w := words(3); w[0] != 0 || w[1] != 2 || w[2] != 0 {
		t.Errorf("ta: %v", w)
	}
	expect("addr", call(SysAddr, fa+1, out), 1)
	w := words(4)
	file, _ := l.mem.ReadString(uint32(w[0]), 100)
	sym, _ := l.mem.ReadString(uint32(w[2]), 100)
	if file != "/a.so" || sym != "fa" || w[3] != fa {
		t.Errorf("dladdr: %q %q %#x", file, sym, w)
	}
	expect("addr of nothing", call(SysAddr, 0x20000, out), 0)

	names := []string{}
	for i := uint64(0); call(SysPhdr, i, out) == 0; i++ {
		w := words(8)
		n, _ := l.mem.ReadString(uint32(w[1]), 100)
		names = append(names, n)
		if w[3] != uint64(l.objects[i].file.PhdrNum) || w[4] != 2 || w[5] != 0 || w[6] != i+1 {
			t.Errorf("phdr %d: %#x", i, w)
		}
		if typ, err := l.mem.Load32(uint32(w[2])); err != nil || typ == 0 {
			t.Errorf("program header: %d %v", typ, err)
		}
	}
	if fmt.Sprint(names) != "[/guest /a.so]" {
		t.Errorf("names %q", names)
	}
	expect("info", call(SysInfo, uint64(h), DILinkMap, out), 0)
	link := words(1)[0]
	if link != uint64(h) {
		t.Errorf("link_map %#x, handle %#x", link, h)
	}
	// The list, walked as a guest would.
	prev, _ := l.mem.Load64(uint32(link) + 32)
	name, _ := l.mem.Load64(uint32(prev) + 8)
	ld, _ := l.mem.Load64(uint32(prev) + 16)
	back, _ := l.mem.Load64(uint32(prev) + 24)
	if s, _ := l.mem.ReadString(uint32(name), 100); s != "/guest" || back != link || ld != uint64(l.main.dyn.Addr+l.main.bias) {
		t.Errorf("link_map of the program: %q %#x %#x", s, back, ld)
	}
	expect("info of nonsense", call(SysInfo, 12345, DILinkMap, out), -int64(syscall.EINVAL))
	expect("close of nonsense", call(SysClose, 12345), -int64(syscall.EINVAL))
	token := call(SysClose, uint64(h))
	if token <= 0 {
		t.Fatalf("close: %d", token)
	}
	if known(uint32(h), "fa", 0) {
		t.Error("a symbol of a closed library is remembered")
	}
	expect("sym of a closing library", call(SysSym, uint64(h), str("fa"), 0, 0, out), -int64(syscall.EINVAL))
	expect("addr in a closing library", call(SysAddr, fa, out), 1)
	fini := call(SysNextFini, uint64(token))
	if n := (&guest{t: t, l: l}).named(uint32(fini)); n != "fini_a" {
		t.Errorf("destructor %s", n)
	}
	expect("no more destructors", call(SysNextFini, uint64(token)), 0)
	expect("unload", call(SysUnload, uint64(token)), 0)
	expect("unload twice", call(SysUnload, uint64(token)), -int64(syscall.EINVAL))
	expect("tls of the unloaded", call(SysTLSModule, 2, out), -int64(syscall.ENOENT))
	expect("exit", call(SysNextFini, 0), 0)
	expect("unknown", l.Syscall(thread1, 0x400e, [6]uint64{}), -int64(syscall.ENOSYS))
}

// TestReload: a library that comes and goes takes its old place again; others
// never do.
func TestReload(t *testing.T) {
	dir := build(t, []source{{"a", who("a") + "int f(void) { return 1; }", nil}, {"b", who("b") + "int f(void) { return 2; }", nil}}, "", nil)
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	base := map[string]uint32{}
	for range 50 {
		for _, name := range []string{"a.so", "b.so"} {
			h, err := l.Open(thread1, name, RTLDNow, 0)
			if err != nil {
				t.Fatal(err)
			}
			o := l.handles[h]
			if b, ok := base[name]; ok && b != o.bias {
				t.Fatalf("%s at %#x, was at %#x", name, o.bias, b)
			}
			base[name] = o.bias
			if addr, err := l.NextInit(thread1, h); addr != 0 || err != nil {
				t.Fatal(addr, err)
			}
			token, err := l.Close(h)
			if err != nil || token == 0 {
				t.Fatal(token, err)
			}
			if err := l.Unload(token); err != nil {
				t.Fatal(err)
			}
		}
	}
	if base["a.so"] == base["b.so"] {
		t.Error("different libraries at one place")
	}
	if len(l.retired) != 2 || len(l.objects) != 1 {
		t.Errorf("%d places kept, %d objects", len(l.retired), len(l.objects))
	}
}

// TestInitWaits: a thread that opens a library waits for the thread that runs
// its constructors, unless both would wait for each other.
func TestInitWaits(t *testing.T) {
	dir := build(t, []source{{"a", "INIT(a)", nil}, {"b", "INIT(b)", []string{"-Wl,--no-as-needed", "-l:a.so"}}}, "", nil)
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, l: l}
	done := make(chan struct{})
	t1, t2 := Thread{ID: 1}, Thread{ID: 2, Done: done}
	ha, err := l.Open(t1, "a.so", RTLDNow, 0)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := l.NextInit(t1, ha)
	if g.named(first) != "init_a" {
		t.Fatalf("%#x", first)
	}
	hb, err := l.Open(t2, "b.so", RTLDNow, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		addr, err := l.NextInit(t2, hb)
		got <- fmt.Sprint(g.named(addr), err)
	}()
	select {
	case s := <-got:
		t.Fatalf("did not wait: %s", s)
	case <-time.After(50 * time.Millisecond):
	}
	// Inside its constructor, thread 1 opens b: a is its own, so it does not
	// wait, and b is still to be done.
	if h, err := l.Open(t1, "b.so", RTLDNow, 0); err != nil || h != hb {
		t.Fatal(err)
	}
	if addr, _ := l.NextInit(t1, hb); g.named(addr) != "init_b" {
		t.Errorf("nested: %s", g.named(addr))
	}
	if addr, _ := l.NextInit(t1, hb); addr != 0 {
		t.Errorf("nested: %#x", addr)
	}
	if addr, _ := l.NextInit(t1, ha); addr != 0 {
		t.Errorf("outer: %#x", addr)
	}
	if s := <-got; s != "0x0<nil>" && s != "0x0 <nil>" {
		t.Errorf("thread 2: %s", s)
	}
	// Being interrupted.
	dir2 := build(t, []source{{"a", "INIT(a)", nil}}, "", nil)
	l = testLinker(t, dir2)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	ha, _ = l.Open(t1, "a.so", RTLDNow, 0)
	l.NextInit(t1, ha)
	l.Open(t2, "a.so", RTLDNow, 0)
	close(done)
	if _, err := l.NextInit(t2, ha); !errors.Is(err, ErrInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
	l.ThreadExit(1)
	if addr, err := l.NextInit(Thread{ID: 2}, ha); addr != 0 || err != nil {
		t.Errorf("after the thread's end: %#x %v", addr, err)
	}
}

// TestConcurrent: many threads open, look up and close at once.
func TestConcurrent(t *testing.T) {
	dir := build(t, []source{
		{"d", who("d") + "INIT(d) FINI(d)", nil}, {"a", ref("ref_a") + "INIT(a) FINI(a)", []string{"-l:d.so"}},
		{"b", ref("ref_b") + "INIT(b) FINI(b)", []string{"-l:d.so"}}}, "", nil)
	l := testLinker(t, dir)
	l.cfg.Trace = nil
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for id := 1; id <= 8; id++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			th := Thread{ID: id}
			for i := range 50 {
				name := []string{"a.so", "b.so"}[(i+id)%2]
				h, err := l.Open(th, name, RTLDNow, 0)
				if err != nil {
					t.Error(err)
					return
				}
				for {
					if addr, err := l.NextInit(th, h); err != nil {
						t.Error(err)
					} else if addr == 0 {
						break
					}
				}
				a, err := l.Sym(h, "ref_"+name[:1], "", 0)
				if err != nil {
					t.Error(err)
				}
				if p, err := l.mem.Load64(a.Addr); err != nil || p == 0 {
					t.Errorf("%#x: %#x %v", a.Addr, p, err)
				}
				token, err := l.Close(h)
				if err != nil {
					t.Error(err)
				}
				if token != 0 {
					for l.NextFini(token) != 0 {
					}
					if err := l.Unload(token); err != nil {
						t.Error(err)
					}
				}
			}
			l.ThreadExit(id)
		}()
	}
	wg.Wait()
	if len(l.objects) != 1 || len(l.batches) != 0 || len(l.closing) != 0 || len(l.waiting) != 0 {
		t.Errorf("%d objects, %d batches, %d closing, %d waiting", len(l.objects), len(l.batches), len(l.closing), len(l.waiting))
	}
	if len(l.finis) != 0 {
		t.Errorf("%d objects still to be finalised", len(l.finis))
	}
}

// TestGuestMemoryIsNotTrusted: a guest that overwrites or unmaps what the linker
// wrote harms itself only.
func TestGuestMemoryIsNotTrusted(t *testing.T) {
	dir := build(t, []source{{"a", "INIT(a) FINI(a)" + who("a"), nil}}, "", nil)
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	h, err := l.Open(thread1, "a.so", RTLDNow, 0)
	if err != nil {
		t.Fatal(err)
	}
	o := l.handles[h]
	page := h &^ 0xfff
	junk := bytes.Repeat([]byte{0xff}, 4096)
	if err := l.mem.Write(page, junk); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Sym(h, "who", "", 0); err != nil {
		t.Error(err)
	}
	// The constructors' array is the guest's as well.
	if err := l.cfg.Cage.Unmap(o.dyn.InitArray.Addr+o.bias&^0xfff, 4096); err != nil {
		t.Logf("unmap: %v", err)
	}
	for range 10 {
		if addr, err := l.NextInit(thread1, h); err != nil || addr == 0 {
			break
		}
	}
	if err := l.cfg.Cage.Unmap(page, 4096); err != nil {
		t.Fatal(err)
	}
	token, err := l.Close(h)
	if err != nil {
		t.Fatal(err)
	}
	for token != 0 && l.NextFini(token) != 0 {
	}
	if err := l.Unload(token); err != nil {
		t.Logf("unload: %v", err)
	}
	if _, err := l.Open(thread1, "a.so", RTLDNow, 0); err != nil {
		if !errors.Is(err, safemem.ErrFault) {
			t.Error(err)
		}
	}
}

func TestCloseOver(t *testing.T) {
	dir := build(t, []source{
		{"d", who("d"), nil}, {"gone", "int gone;", nil},
		{"a", ref("ref_a") + "extern int nobody; int *p = &nobody;", []string{"-Wl,--no-as-needed", "-l:d.so", "-l:gone.so"}}},
		"", []string{"-l:a.so", "-Wl,--allow-shlib-undefined"})
	os.Remove(dir + "/gone.so")
	cfg := Config{Open: openIn(dir), LibraryPath: []string{"/"}}
	f, size, err := cfg.Open("/guest")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := CloseOver(cfg, "/guest", f, size)
	if err != nil {
		t.Fatal(err)
	}
	if c.OK() || c.Static || len(c.Objects) != 3 || len(c.Missing) != 1 || len(c.Undefined) != 1 {
		t.Errorf("%+v", c)
	}
	want := "\ta.so => /a.so\n\td.so => /d.so\n\tgone.so: not found, needed by /a.so; searched: / (LD_LIBRARY_PATH), /lib, /usr/lib, /usr/local/lib\n" +
		"\tundefined symbol: nobody, needed by /a.so\n"
	if got := c.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestNext: RTLD_NEXT and RTLD_DEFAULT depend on who calls.
func TestNext(t *testing.T) {
	code := func(n string) string { return fmt.Sprintf("int code_%s(void) { return 1; }", n) }
	dir := build(t, []source{
		{"a", who("a") + code("a"), nil}, {"b", who("b") + code("b"), nil},
		{"d", who("d") + code("d"), nil}, {"c", who("c") + code("c") + "const char *only_c = \"c\";", []string{"-Wl,--no-as-needed", "-l:d.so"}},
	}, "int code_main(void) { return 2; }", []string{"-l:a.so", "-l:b.so"})
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, l: l}
	h, err := l.Open(thread1, "c.so", RTLDNow, 0)
	if err != nil {
		t.Fatal(err)
	}
	caller := func(n string) uint32 {
		scope := uint32(HandleDefault)
		if n == "c" || n == "d" {
			scope = h
		}
		a, err := l.Sym(scope, "code_"+n, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		return a.Addr + 1
	}
	look := func(handle uint32, from, name string) string {
		a, err := l.Sym(handle, name, "", caller(from))
		if err != nil {
			return "none"
		}
		return g.str(a.Addr)
	}
	for _, c := range []struct{ from, want string }{{"main", "a"}, {"a", "b"}, {"b", "none"}, {"c", "d"}, {"d", "none"}} {
		if got := look(HandleNext, c.from, "who"); got != c.want {
			t.Errorf("RTLD_NEXT from %s: %s, want %s", c.from, got, c.want)
		}
	}
	if got := look(HandleDefault, "main", "only_c"); got != "none" {
		t.Errorf("RTLD_DEFAULT from the program: %s", got)
	}
	if got := look(HandleDefault, "d", "only_c"); got != "c" {
		t.Errorf("RTLD_DEFAULT from a library of the same dlopen: %s", got)
	}
	if _, err := l.Sym(HandleNext, "who", "", 0x30000); err == nil || !strings.Contains(err.Error(), "RTLD_NEXT") {
		t.Errorf("RTLD_NEXT from nowhere: %v", err)
	}
}

// TestUnique: a symbol of that kind has one definition, whatever the scopes say.
func TestUnique(t *testing.T) {
	def := func(n string) string {
		return fmt.Sprintf("__asm__(\".section .data\\n.p2align 3\\n.globl who\\n.type who,@gnu_unique_object\\n.size who,8\\nwho: .quad 1f\\n.section .rodata\\n1: .asciz \\\"%s\\\"\\n.text\");", n)
	}
	dir := build(t, []source{{"a", def("a") + ref("ref_a"), nil}, {"b", def("b") + ref("ref_b"), nil}}, "", nil)
	script := []string{"open:a.so:now", "open:b.so:now", "via:0:ref_a", "via:1:ref_b", "close:0", "via:1:ref_b"}
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, l: l}
	g.run(script)
	if got, want := strings.Join(g.out, "\n"), strings.Join(native(t, dir, script), "\n"); got != want {
		t.Errorf("here:\n%s\nnatively:\n%s", got, want)
	}
}
