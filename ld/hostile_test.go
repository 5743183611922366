package ld

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/loader"
)

// tiny makes a shared object without symbols: a name, a search path, and what it needs.
func tiny(soname, runpath string, needed ...string) []byte {
	const phdr, dynamic = 64, 64 + 2*56
	str := []byte{0}
	add := func(s string) uint64 {
		at := len(str)
		str = append(append(str, s...), 0)
		return uint64(at)
	}
	var d []uint64
	for _, n := range needed {
		d = append(d, 1, add(n))
	}
	d = append(d, 14, add(soname))
	if runpath != "" {
		d = append(d, 29, add(runpath))
	}
	strtab := uint64(dynamic + (len(d)+6)*8)
	d = append(d, 5, strtab, 10, uint64(len(str)), 0, 0)
	b := make([]byte, dynamic)
	for _, v := range d {
		b = le.AppendUint64(b, v)
	}
	b = append(b, str...)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 3)
	le.PutUint16(b[18:], 62)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], phdr)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 2)
	head := func(at int, typ uint32, addr, n uint64) {
		le.PutUint32(b[at:], typ)
		le.PutUint32(b[at+4:], 4)
		for _, i := range []int{8, 16, 24} {
			le.PutUint64(b[at+i:], addr)
		}
		le.PutUint64(b[at+32:], n)
		le.PutUint64(b[at+40:], n)
		le.PutUint64(b[at+48:], 8)
	}
	head(phdr, 1, 0, uint64(len(b)))
	head(phdr+56, 2, dynamic, uint64(len(d)*8))
	return b
}

// files is a name space in memory.
type files map[string][]byte

func (f files) open(name string) (File, int64, error) {
	b, ok := f[name]
	if !ok {
		return nil, 0, syscall.ENOENT
	}
	return bytesFile{bytes.NewReader(b)}, int64(len(b)), nil
}

// hostileLinker has a program running, and can open the files.
func hostileLinker(t testing.TB, f files) *Linker {
	t.Helper()
	dir := build(t, nil, who("main"), nil)
	prog, err := os.ReadFile(dir + "/guest")
	if err != nil {
		t.Fatal(err)
	}
	f["/guest"] = prog
	c, err := cage.New(cage.Config{Trampolines: engine.Trampolines(), MaxMemory: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	l := New(Config{Cage: c, Open: f.open})
	l.withoutText = true
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	return l
}

// refusedOpen opens a library that must be refused, and looks that nothing is left behind.
func refusedOpen(t *testing.T, l *Linker, name, want string) {
	t.Helper()
	before, objects := fmt.Sprint(l.cfg.Cage.Mappings()), len(l.objects)
	_, err := l.Open(thread1, name, RTLDNow, 0)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v\nwant %s", name, err, want)
	}
	if after := fmt.Sprint(l.cfg.Cage.Mappings()); after != before || len(l.objects) != objects || len(l.handles) != objects {
		t.Errorf("%s: left behind:\n%s\n%s", name, before, after)
	}
}

// TestDependencyLoops: libraries that need themselves, each other, or a name that leads
// back, are loaded once each; long chains end.
//
// Attack: relocations and tables that lead astray.
func TestDependencyLoops(t *testing.T) {
	f := files{
		"/lib/self.so": tiny("self.so", "", "self.so", "self.so", "/lib/self.so"),
		"/lib/a.so":    tiny("a.so", "", "b.so", "a.so"),
		"/lib/b.so":    tiny("b.so", "", "c.so", "b.so"),
		"/lib/c.so":    tiny("a.so", "", "a.so", "./../lib/a.so"),
	}
	for i := range 1000 {
		f[fmt.Sprintf("/lib/chain%d.so", i)] = tiny(fmt.Sprintf("chain%d.so", i), "", fmt.Sprintf("chain%d.so", i+1))
	}
	f["/lib/chain1000.so"] = tiny("chain1000.so", "", "chain0.so")
	f["/lib/toolong0.so"] = tiny("t0.so", "", "toolong1.so")
	for i := 1; i <= 1024; i++ {
		f[fmt.Sprintf("/lib/toolong%d.so", i)] = tiny(fmt.Sprintf("t%d.so", i), "", fmt.Sprintf("toolong%d.so", i+1))
	}
	l := hostileLinker(t, f)
	for _, c := range []struct {
		name    string
		objects int
	}{{"self.so", 1}, {"chain0.so", 1001}} {
		l := hostileLinker(t, f)
		h, err := l.Open(thread1, c.name, RTLDNow, 0)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if n := len(l.objects) - 1; n != c.objects {
			t.Errorf("%s: %d objects, want %d", c.name, n, c.objects)
		}
		for addr := uint32(1); addr != 0; {
			if addr, err = l.NextInit(thread1, h); err != nil {
				t.Fatal(err)
			}
		}
		token, err := l.Close(h)
		if err != nil || token == 0 {
			t.Fatal(token, err)
		}
		if err := l.Unload(token); err != nil {
			t.Error(err)
		}
		if len(l.objects) != 1 {
			t.Errorf("%s: %d objects are left", c.name, len(l.objects))
		}
	}
	// The third one calls itself a.so and stands for it from then on; "./../lib/a.so" is a name that is nowhere.
	refusedOpen(t, l, "a.so", "./../lib/a.so: not found, needed by /lib/c.so")
	refusedOpen(t, l, "toolong0.so", "more than 1024 objects")
}

// TestDependencyWeb: libraries that all need each other multiply: the budget ends that.
//
// Attack: relocations and tables that lead astray.
func TestDependencyWeb(t *testing.T) {
	const n = 500
	f := files{}
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("w%d.so", i))
	}
	for _, name := range all {
		f["/lib/"+name] = tiny(name, "", all...)
	}
	l := hostileLinker(t, f)
	refusedOpen(t, l, "w0.so", "finding what it needs takes too long: refused")
	// A few of them are no trouble.
	for _, name := range all[:30] {
		f["/lib/"+name] = tiny(name, "", all[:30]...)
	}
	if _, err := l.Open(thread1, "w0.so", RTLDNow, 0); err != nil {
		t.Error(err)
	}
}

// TestSearchBombs: search paths that go on for ever, or grow when $ORIGIN is replaced.
//
// Attack: relocations and tables that lead astray.
func TestSearchBombs(t *testing.T) {
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf("/d%d", i))
	}
	deep := "/" + strings.Repeat("d", 250)
	for len(deep) < 3000 {
		deep += "/" + strings.Repeat("d", 250)
	}
	f := files{
		"/lib/many.so":     tiny("many.so", strings.Join(many, ":"), "none.so"),
		"/lib/colons.so":   tiny("colons.so", strings.Repeat(":", 20000), "none.so"),
		deep + "/grows.so": tiny("grows.so", strings.Repeat("$ORIGIN", 4000), "none.so"),
		"/lib/ok.so":       tiny("ok.so", strings.Join(many[:1000], ":"), "there.so"),
		"/d999/there.so":   tiny("there.so", ""),
		"/lib/name.so":     tiny("name.so", "", "$ORIGIN/"+strings.Repeat("x", 4000)+"$ORIGIN"),
	}
	l := hostileLinker(t, f)
	refusedOpen(t, l, "many.so", "/lib/many.so: more than 1024 directories to search for none.so")
	refusedOpen(t, l, "colons.so", "/lib/colons.so: more than 1024 directories to search for none.so")
	refusedOpen(t, l, deep+"/grows.so", "none.so: not found, needed by "+deep+"/grows.so; searched: /lib, /usr/lib, /usr/local/lib")
	refusedOpen(t, l, "name.so", "not found, needed by /lib/name.so")
	if _, err := l.Open(thread1, "ok.so", RTLDNow, 0); err != nil {
		t.Error(err)
	}
}

// TestVersionBudget: requirements of versions are checked against all libraries, so they
// count too.
func TestVersionBudget(t *testing.T) {
	dir := build(t, []source{
		{"vers", `const char *who1 = "one", *who2 = "two"; __asm__(".symver who1, who@V1"); __asm__(".symver who2, who@@V2");`, []string{"-Wl,--version-script=vers.map"}},
		{"user", ref("ref_user"), []string{"-l:vers.so"}},
	}, "", nil)
	f := files{}
	for _, name := range []string{"user.so", "vers.so"} {
		b, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		f["/lib/"+name] = b
	}
	l := hostileLinker(t, f)
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.newGraph()
	if _, err := g.need("user.so", l.main); err != nil {
		t.Fatal(err)
	}
	if err := g.complete(); err != nil {
		t.Fatal(err)
	}
	var errs []error
	g.checkVersions(func(err error) { errs = append(errs, err) })
	if len(errs) != 0 {
		t.Error(errs)
	}
	g.work = 1
	g.checkVersions(func(err error) { errs = append(errs, err) })
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "/lib/user.so: finding what it needs takes too long") {
		t.Error(errs)
	}
	l.rollback(g)
}

// TestHostileRelr: packed relocations that leave the data of their object.
//
// Attack: relocations and tables that lead astray.
func TestHostileRelr(t *testing.T) {
	dir := build(t, []source{{"relr", `static const char *s[20] = {[0] = "s0", [19] = "s19"}; const char **p0 = &s[0]; int code(void) { return 1; }`,
		[]string{"-Wl,-z,pack-relative-relocs"}}}, "", nil)
	good, err := os.ReadFile(dir + "/relr.so")
	if err != nil {
		t.Fatal(err)
	}
	file, err := loader.ReadELF(bytes.NewReader(good), int64(len(good)), "relr.so")
	if err != nil {
		t.Fatal(err)
	}
	table := file.Dynamic.Relr
	at := bytes.Index(good, table)
	if len(table) < 16 || at < 0 {
		t.Fatalf("a table of %d bytes", len(table))
	}
	var text, data uint64
	for _, s := range file.Segments {
		if s.Flags&loader.FlagExec != 0 {
			text = uint64(s.Addr)
		} else if s.Flags&loader.FlagWrite != 0 {
			data = uint64(s.Addr)
		}
	}
	f := files{}
	l := hostileLinker(t, f)
	for _, c := range []struct {
		name          string
		first, second uint64
		want          string
	}{
		{"code", text, 1, fmt.Sprintf("DT_RELR: address %#x is not in a writable segment of the object", text)},
		{"headers", 0x40, 1, "DT_RELR: address 0x40 is not in a writable segment"},
		{"run before the data", data - 8, 3, "is not in a writable segment"},
		{"run out of the data", data, ^uint64(0), "is not in a writable segment"},
		{"another object", 0xfff0, 1, "DT_RELR: address 0xfff0 is not in a writable segment"},
		{"outside the sandbox", 1 << 40, 1, "L-RELR: entry 0: address 0x10000000000 lies outside the sandbox"},
		{"bitmap first", 3, 1, "L-RELR: begins with a bitmap"},
		{"backwards", data + 64, data, "L-RELR: entry 1: address"},
	} {
		b := bytes.Clone(good)
		le.PutUint64(b[at:], c.first)
		le.PutUint64(b[at+8:], c.second)
		f["/lib/bad.so"] = b
		refusedOpen(t, l, "bad.so", c.want)
	}
}

// TestHostileSymbols: definitions and references that lead out of their tables or their
// object.
//
// Attack: relocations and tables that lead astray.
func TestHostileSymbols(t *testing.T) {
	dir := build(t, []source{{"x", `int v = 3; int *p = &v; __thread int t = 1; int *get(void) { return &t; } extern int missing __attribute__((weak)); int *q = &missing;`, nil}}, "", nil)
	good, err := os.ReadFile(dir + "/x.so")
	if err != nil {
		t.Fatal(err)
	}
	file, err := loader.ReadELF(bytes.NewReader(good), int64(len(good)), "x.so")
	if err != nil {
		t.Fatal(err)
	}
	// entry finds the place of a symbol in the file.
	entry := func(name string) int {
		for i := range uint32(64) {
			s, ok := file.Dynamic.Symbol(i)
			if !ok || file.Dynamic.Name(s) != name {
				continue
			}
			b := le.AppendUint32(nil, s.NameOffset)
			b = le.AppendUint16(append(b, s.Info, s.Other), s.Section)
			b = le.AppendUint64(le.AppendUint64(b, s.Value), s.Size)
			if at := bytes.Index(good, b); at >= 0 {
				return at
			}
		}
		t.Fatalf("no symbol %s", name)
		return 0
	}
	f := files{}
	l := hostileLinker(t, f)
	for _, c := range []struct {
		name string
		do   func(b []byte)
		want string
	}{
		{"value outside", func(b []byte) { le.PutUint64(b[entry("v")+8:], 0x10000000) }, "/lib/bad.so: v: value 0x10000000 lies outside the object"},
		{"value of another image", func(b []byte) { le.PutUint64(b[entry("v")+8:], ^uint64(0xfff)) }, "v: value 0xfffffffffffff000 lies outside the object"},
		{"name outside", func(b []byte) { le.PutUint32(b[entry("missing"):], 1<<31) }, "is not in the string table"},
		{"thread-local value", func(b []byte) { le.PutUint64(b[entry("t")+8:], 1<<20) }, "t is a thread-local symbol outside the object's thread-local storage"},
		{"variable becomes thread-local", func(b []byte) { b[entry("v")+4] = 1<<4 | 6 }, "v is a thread-local symbol outside the object's thread-local storage"},
		{"thread-local becomes variable", func(b []byte) { b[entry("t")+4] = 1<<4 | 1; b[entry("t")+8] = 8 }, "t is wanted thread-local by /lib/bad.so, but is not"},
		{"becomes an indirect function", func(b []byte) { b[entry("v")+4] = 1<<4 | 10 }, "v is an indirect function"},
	} {
		b := bytes.Clone(good)
		c.do(b)
		f["/lib/bad.so"] = b
		refusedOpen(t, l, "bad.so", c.want)
	}
}

// TestHostileTables puts extreme numbers into every word of the dynamic tables of real
// libraries: each is loaded and can be closed again, or refused without a trace.
//
// Attack: relocations and tables that lead astray.
func TestHostileTables(t *testing.T) {
	dir := build(t, []source{
		{"a", who("a") + ref("ref_a") + "INIT(a) FINI(a) __thread int ta = 3; int *get(void) { return &ta; } extern int weak __attribute__((weak)); int *pw = &weak;", nil},
		{"relr", "static const char *s[20] = {[0] = \"s0\", [19] = \"s19\"}; const char **p0 = &s[0];", []string{"-Wl,-z,pack-relative-relocs"}},
		{"vers", `const char *who1 = "one", *who2 = "two"; __asm__(".symver who1, who@V1"); __asm__(".symver who2, who@@V2");`, []string{"-Wl,--version-script=vers.map"}},
	}, "", nil)
	f := files{}
	l := hostileLinker(t, f)
	refused, loaded := 0, 0
	for _, name := range []string{"a.so", "relr.so", "vers.so"} {
		good, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := loader.ReadELF(bytes.NewReader(good), int64(len(good)), name)
		if err != nil {
			t.Fatal(err)
		}
		var words []int
		add := func(from, n uint64) {
			for at := from &^ 7; at < from+n; at += 8 {
				words = append(words, int(at))
			}
		}
		add(0, 64+uint64(file.PhdrNum)*56)
		add(uint64(file.Segments[0].Offset), uint64(file.Segments[0].FileSize)) // the tables
		for _, s := range file.Segments {
			if a := uint64(file.Dynamic.Addr); a >= uint64(s.Addr) && a < s.End() {
				add(s.Offset+a-uint64(s.Addr), uint64(file.Dynamic.Size))
			}
		}
		for _, at := range words {
			for _, v := range []uint64{0, 1, 0x7fffffff, 0xffffffff, 1 << 62, ^uint64(7), ^uint64(0)} {
				for _, high := range []bool{false, true} {
					b := bytes.Clone(good)
					if high {
						le.PutUint64(b[at:], v)
					} else {
						le.PutUint32(b[at+4*(at/8%2):], uint32(v))
					}
					f["/lib/bad.so"] = b
					if tryOpen(t, l, at) {
						loaded++
					} else {
						refused++
					}
				}
			}
		}
	}
	if refused < 500 || loaded < 500 {
		t.Errorf("%d refused, %d loaded: the test has lost its files", refused, loaded)
	}
	t.Logf("%d refused, %d loaded", refused, loaded)
}

// tryOpen opens bad.so and, if that works, closes it again.
func tryOpen(t *testing.T, l *Linker, at int) (loaded bool) {
	t.Helper()
	h, err := l.Open(thread1, "bad.so", RTLDNow, 0)
	if err == nil {
		for addr := uint32(1); addr != 0; {
			if addr, err = l.NextInit(thread1, h); err != nil {
				t.Fatal(err)
			}
		}
		l.Sym(h, "who", "", 0)
		l.Sym(h, "who", "V1", 0)
		// The flags may say that it stays: then the test would go on with it.
		l.handles[h].nodelete = false
		token, err := l.Close(h)
		if err != nil {
			t.Fatalf("word at %#x: %v", at, err)
		}
		if token != 0 {
			for l.NextFini(token) != 0 {
			}
			if err := l.Unload(token); err != nil {
				t.Errorf("word at %#x: %v", at, err)
			}
		}
		loaded = true
	} else {
		var missing *NotFoundError
		if !strings.Contains(err.Error(), "bad.so") && !errors.As(err, &missing) {
			t.Errorf("word at %#x: the message does not name the file: %v", at, err)
		}
	}
	if len(l.objects) != 1 || len(l.handles) != 1 {
		t.Fatalf("word at %#x: %d objects, %d handles are left (%v)", at, len(l.objects), len(l.handles), err)
	}
	return loaded
}

// TestSymbolBytes: full symbol tables are read for messages until there are many of them;
// then the exported names must do.
func TestSymbolBytes(t *testing.T) {
	dir := build(t, []source{{"a", "int f(void) { return 1; }", nil}, {"b", "int g(void) { return 1; }", nil}}, "", nil)
	f := files{}
	for _, name := range []string{"a.so", "b.so"} {
		b, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		f["/lib/"+name] = b
	}
	l := hostileLinker(t, f)
	look := func(lib, name string) *object {
		h, err := l.Open(thread1, lib, RTLDNow, 0)
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Sym(h, name, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if object, symbol, delta, ok := l.Symbolize(a.Addr); !ok || object != "/lib/"+lib || symbol != name || delta != 0 {
			t.Errorf("%s: %s %s+%#x %v", name, object, symbol, delta, ok)
		}
		return l.handles[h]
	}
	if o := look("a.so", "f"); o.symbols == nil || l.symbolBytes != o.symbols.Size() || l.symbolBytes == 0 {
		t.Errorf("%d bytes of symbols", l.symbolBytes)
	}
	l.symbolBytes = maxSymbolBytes
	if o := look("b.so", "g"); o.symbols != nil {
		t.Error("another table was read")
	}
}

// TestManyBytes: the files of one loading operation have a bound together, because all of
// them are in the host's memory at once. (The bound itself is a gigabyte.)
func TestManyBytes(t *testing.T) {
	f := files{"/lib/a.so": tiny("a.so", "", "b.so"), "/lib/b.so": tiny("b.so", "", "c.so"), "/lib/c.so": tiny("c.so", "")}
	l := hostileLinker(t, f)
	l.maxBytes = uint64(len(f["/lib/a.so"]) + len(f["/lib/b.so"]))
	refusedOpen(t, l, "a.so", fmt.Sprintf("/lib/c.so: with it, more than %d bytes would be loaded at once", l.maxBytes))
	for _, name := range []string{"c.so", "b.so", "a.so"} { // one by one they may
		if _, err := l.Open(thread1, name, RTLDNow, 0); err != nil {
			t.Error(err)
		}
	}
}
