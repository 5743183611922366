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

// fn is a function that the validator accepts, without a compiler of ours: it
// consists of hlt.
func fn(names ...string) string {
	s := ""
	for _, n := range names {
		s += fmt.Sprintf("__asm__(\".text\\n.p2align 5\\n.globl %s\\n.type %s,@function\\n%s: .fill 32,1,0xf4\\n.size %s,32\");\n", n, n, n, n)
	}
	return s
}

// buildText builds libraries and a program whose code may be mapped.
func buildText(t testing.TB, dir string, name, text string, args ...string) {
	t.Helper()
	if err := os.WriteFile(dir+"/"+name+".c", []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	all := []string{"-nostdlib", "-nostartfiles", "-fPIC", "-fno-asynchronous-unwind-tables", "-L.", "-Wl,-z,now", "-o", name, name + ".c"}
	gcc(t, dir, append(all, args...)...)
}

func textDir(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat("/usr/bin/gcc"); err != nil {
		t.Skip("no gcc on this machine")
	}
	dir := t.TempDir()
	buildText(t, dir, "lib.so", fn("f", "begin", "end")+"void f(void); void (*pf)(void) = f; int data[3000] = {1};",
		"-shared", "-Wl,-soname,lib.so", "-Wl,-init,begin", "-Wl,-fini,end")
	buildText(t, dir, "other.so", fn("g")+"void g(void); void (*pg)(void) = g;", "-shared")
	buildText(t, dir, "broken.so", fn("g")+"extern int missing; int *p = &missing;", "-shared")
	buildText(t, dir, "native.so", "int f(int *p) { return *p; }", "-shared", "-Wl,--no-as-needed", "-l:lib.so")
	buildText(t, dir, "prog", fn("_start")+"extern void f(void); void (*pf)(void) = f;", "-Wl,--no-as-needed", "-l:lib.so")
	buildText(t, dir, "alone", fn("_start"), "-Wl,--no-as-needed")
	buildText(t, dir, "static", fn("_start")+"int x = 5;", "-static")
	buildText(t, dir, "static-pie", fn("_start")+"int x = 5; int *px = &x;", "-static-pie")
	return dir
}

func textLinker(t testing.TB, dir string) *Linker {
	l := New(Config{Cage: newCage(t), Open: openIn(dir), LibraryPath: []string{"/"}})
	return l
}

// codeMaps counts mappings of code, and of places where code was.
func codeMaps(c *cage.Cage) (text, retired int) {
	for _, m := range c.Mappings() {
		switch m.Kind {
		case cage.KindText:
			text++
		case cage.KindRetired:
			retired++
		}
	}
	return text, retired
}

func TestCodeIsMapped(t *testing.T) {
	dir := textDir(t)
	l := textLinker(t, dir)
	p, err := loadGuest(t, l, "/prog")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := codeMaps(l.cfg.Cage); n != 2 {
		t.Errorf("%d texts", n)
	}
	b := make([]byte, 32)
	if err := l.mem.Read(p.Entry, b); err != nil || len(bytes.Trim(b, "\xf4")) != 0 {
		t.Errorf("code at the entry: % x %v", b, err)
	}
	g := &guest{t: t, l: l}
	// DT_INIT and DT_FINI.
	if addr, _ := l.NextInit(thread1, 0); g.named(addr) != "begin" {
		t.Errorf("first constructor: %s", g.named(addr))
	}
	if addr, _ := l.NextInit(thread1, 0); addr != 0 {
		t.Errorf("second constructor: %s", g.named(addr))
	}
	if addr := l.NextFini(0); g.named(addr) != "end" {
		t.Errorf("destructor: %s", g.named(addr))
	}
	if object, symbol, delta, ok := l.Symbolize(p.Entry + 3); !ok || object != "/prog" || symbol != "_start" || delta != 3 {
		t.Errorf("%s %s %d", object, symbol, delta)
	}
}

// TestCodeComesAndGoes: loading and unloading for ever takes one place for each
// library, and no other code ever stands in it.
func TestCodeComesAndGoes(t *testing.T) {
	dir := textDir(t)
	l := textLinker(t, dir)
	if _, err := loadGuest(t, l, "/alone"); err != nil {
		t.Fatal(err)
	}
	where := map[string]uint32{}
	var kept int
	memory := l.cfg.Cage.MemoryInUse()
	for i := range 20 {
		for _, name := range []string{"lib.so", "other.so"} {
			h, err := l.Open(thread1, name, RTLDNow, 0)
			if err != nil {
				t.Fatal(err)
			}
			for {
				if addr, _ := l.NextInit(thread1, h); addr == 0 {
					break
				}
			}
			o := l.handles[h]
			if at, ok := where[name]; ok && at != o.bias {
				t.Errorf("%s moved from %#x to %#x", name, at, o.bias)
			}
			where[name] = o.bias
			// A load that fails after the place was found: it is kept for later.
			if _, err := l.Open(thread1, "broken.so", RTLDNow, 0); err == nil {
				t.Error("broken.so was loaded")
			}
			token, err := l.Close(h)
			if err != nil || token == 0 {
				t.Fatal(token, err)
			}
			for l.NextFini(token) != 0 {
			}
			if err := l.Unload(token); err != nil {
				t.Fatal(err)
			}
		}
		text, retired := codeMaps(l.cfg.Cage)
		if i == 0 {
			kept = retired
		}
		if text != 1 || retired != kept {
			t.Fatalf("round %d: %d texts, %d retired, %d at first", i, text, retired, kept)
		}
		if m := l.cfg.Cage.MemoryInUse(); i > 0 && m != memory {
			t.Fatalf("round %d: %d bytes in use, %d before", i, m, memory)
		} else {
			memory = m
		}
	}
	if kept != 2 {
		t.Errorf("%d places kept", kept)
	}
}

// TestPlacesAreGivenBack: when the linker has more places than it keeps, and
// nobody can return into one, its addresses are free for anything; as long as
// somebody can, nothing else is put there, not even the same code.
func TestPlacesAreGivenBack(t *testing.T) {
	dir := textDir(t)
	l := textLinker(t, dir)
	if _, err := loadGuest(t, l, "/alone"); err != nil {
		t.Fatal(err)
	}
	l.keep = 0
	busy := true
	asked := map[uint32]int{}
	l.cfg.Retire = func(start, end uint32) func() bool {
		asked[start]++
		return func() bool { return !busy }
	}
	before := fmt.Sprint(l.cfg.Cage.Mappings())
	load := func(name string) (bias, lo uint32, size uint64) {
		h, err := l.Open(thread1, name, RTLDNow, 0)
		if err != nil {
			t.Fatal(err)
		}
		for {
			if addr, _ := l.NextInit(thread1, h); addr == 0 {
				break
			}
		}
		bias = l.handles[h].bias
		lo, size = l.handles[h].image.Extent()
		token, err := l.Close(h)
		if err != nil || token == 0 {
			t.Fatal(token, err)
		}
		for l.NextFini(token) != 0 {
		}
		if err := l.Unload(token); err != nil {
			t.Fatal(err)
		}
		return bias, lo, size
	}
	first, lo, size := load("lib.so")
	if err := l.cfg.Cage.ReserveAt(lo, size); err == nil {
		t.Error("the place was given away while a thread may return there")
	}
	if again, _, _ := load("lib.so"); again == first {
		t.Error("a place was used whose proof had begun")
	}
	if len(l.retired) != 2 {
		t.Errorf("%d places wait, want 2", len(l.retired))
	}
	for at, n := range asked {
		if n != 1 {
			t.Errorf("%d proofs for %#x", n, at)
		}
	}
	busy = false
	load("other.so")
	if len(l.retired) != 0 {
		t.Errorf("%d places wait, though nobody is there", len(l.retired))
	}
	if after := fmt.Sprint(l.cfg.Cage.Mappings()); after != before {
		// The guest's memory for names may have come in between.
		if _, retired := codeMaps(l.cfg.Cage); retired != 0 {
			t.Errorf("%d retired texts are left", retired)
		}
	}
	if err := l.cfg.Cage.ReserveAt(lo, size); err != nil {
		t.Errorf("the place is not free: %v", err)
	}
}

// TestNotBuiltForTheSandbox: such files are told so before anything else.
func TestNotBuiltForTheSandbox(t *testing.T) {
	dir := textDir(t)
	os.Remove(dir + "/lib.so")
	l := textLinker(t, dir)
	if _, err := loadGuest(t, l, "/alone"); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(l.cfg.Cage.Mappings())
	_, err := l.Open(thread1, "native.so", RTLDNow, 0)
	var te *loader.TextError
	if !errors.As(err, &te) || !strings.Contains(err.Error(), "/native.so: text+0x0: V-") || !strings.Contains(err.Error(), "[in f]") {
		t.Errorf("error %v", err)
	}
	if after := fmt.Sprint(l.cfg.Cage.Mappings()); before != after {
		t.Errorf("left behind:\n%s\n%s", before, after)
	}
	// The system call keeps the text for dlerror.
	page, _ := l.cfg.Cage.Map(0, 4096, cage.ProtRead|cage.ProtWrite, cage.Hint)
	l.mem.Write(page, []byte("native.so\x00"))
	if r := l.Syscall(thread1, SysOpen, [6]uint64{uint64(page), RTLDNow}); r != -int64(syscall.EINVAL) {
		t.Errorf("system call: %d", r)
	}
}

func TestStaticPrograms(t *testing.T) {
	dir := textDir(t)
	for _, name := range []string{"static", "static-pie"} {
		l := textLinker(t, dir)
		p, err := loadGuest(t, l, "/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Dynamic || p.Entry == 0 || (p.Bias == 0) != (name == "static") {
			t.Errorf("%s: %+v", name, p)
		}
		if addr, err := l.NextInit(thread1, 0); addr != 0 || err != nil {
			t.Errorf("%s: constructor %#x %v", name, addr, err)
		}
		if _, err := l.Open(thread1, "lib.so", RTLDNow, 0); !errors.Is(err, ErrStatic) {
			t.Errorf("%s: dlopen: %v", name, err)
		}
		if _, err := l.Sym(0, "x", "", 0); !errors.Is(err, ErrStatic) {
			t.Errorf("%s: dlsym: %v", name, err)
		}
		if r := l.Syscall(thread1, SysOpen, [6]uint64{0, RTLDNow}); r != -int64(syscall.ENOSYS) {
			t.Errorf("%s: system call %d", name, r)
		}
		if object, symbol, _, ok := l.Symbolize(p.Entry); !ok || object != "/"+name || symbol != "_start" {
			t.Errorf("%s: %s %s", name, object, symbol)
		}
		f, size, _ := l.cfg.Open("/" + name)
		c, err := CloseOver(Config{Open: openIn(dir)}, "/"+name, f, size)
		f.Close()
		if err != nil || !c.OK() || !c.Static || c.String() != "\tstatically linked\n" {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
	l := textLinker(t, dir)
	if _, err := loadGuest(t, l, "/lib.so"); err == nil || !strings.Contains(err.Error(), "cannot be run") {
		t.Errorf("a library as a program: %v", err)
	}
}

// TestVersionsMissing: a library that lacks a version that others were linked
// against.
func TestVersionsMissing(t *testing.T) {
	dir := build(t, []source{
		{"vers", `const char *who1 = "one", *who2 = "two"; __asm__(".symver who1, who@V1"); __asm__(".symver who2, who@@V2");`, []string{"-Wl,--version-script=vers.map"}},
		{"new", ref("ref_new"), []string{"-l:vers.so"}},
	}, "", []string{"-l:new.so"})
	old := "V1 { global: who; local: *; };\n"
	os.WriteFile(dir+"/old.map", []byte(old), 0o666)
	os.WriteFile(dir+"/old.c", []byte(who("old")), 0o666)
	gcc(t, dir, "-shared", "-nostdlib", "-fPIC", "-o", "vers.so", "old.c", "-Wl,--version-script=old.map", "-Wl,-soname,vers.so")
	l := testLinker(t, dir)
	_, err := loadGuest(t, l, "/guest")
	if err == nil || err.Error() != "/vers.so: version V2 not defined, needed by /new.so" {
		t.Errorf("error %v", err)
	}
	f, size, _ := l.cfg.Open("/guest")
	defer f.Close()
	c, err := CloseOver(Config{Open: openIn(dir), LibraryPath: []string{"/"}}, "/guest", f, size)
	if err != nil || c.OK() || len(c.Problems) == 0 {
		t.Fatalf("%+v %v", c, err)
	}
	if got, want := c.VersionReport(), "\t/new.so:\n\t\tvers.so (V2) => /vers.so (missing)\n"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	// A library without any versions serves references to versions.
	gcc(t, dir, "-shared", "-nostdlib", "-fPIC", "-o", "vers.so", "old.c", "-Wl,-soname,vers.so")
	l = testLinker(t, dir)
	if _, err = loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, l: l}
	g.run([]string{"via:default:ref_new"})
	if g.out[0] != "default:ref_new -> old" {
		t.Error(g.out)
	}
}

// TestLimits: of objects, and of the domain's memory.
func TestLimits(t *testing.T) {
	dir := textDir(t)
	l := New(Config{Cage: newCage(t), Open: openIn(dir), LibraryPath: []string{"/"}, MaxObjects: 1})
	if _, err := loadGuest(t, l, "/prog"); err == nil || !strings.Contains(err.Error(), "more than 1 objects") {
		t.Errorf("error %v", err)
	}
	c, err := cage.New(cage.Config{Trampolines: engine.Trampolines(), MaxMemory: 0x14000})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l = New(Config{Cage: c, Open: openIn(dir), LibraryPath: []string{"/"}})
	if _, err := loadGuest(t, l, "/prog"); !errors.Is(err, cage.ErrLimit) {
		t.Errorf("error %v", err)
	}
	if n := len(c.Mappings()); n > 2 {
		t.Errorf("left behind: %v", c.Mappings())
	}
}
