package ld

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/loader"
)

type bytesFile struct{ *bytes.Reader }

func (bytesFile) Close() error { return nil }

// FuzzLink loads a damaged library into a running program: whatever it says, the
// linker refuses or loads it, in bounded time, and a refusal leaves no trace.
//
// The input says which library, and what to change: pieces of six bytes, of
// which two are the number of a 32-bit word and four its new value.
func FuzzLink(f *testing.F) {
	dir := build(f, []source{
		{"a", who("a") + ref("ref_a") + "INIT(a) FINI(a) __thread int ta = 3; int *get(void) { return &ta; } extern int weak __attribute__((weak)); int *pw = &weak;", nil},
		{"relr", "static const char *s[20] = {[0] = \"s0\", [19] = \"s19\"}; const char **p0 = &s[0];", []string{"-Wl,-z,pack-relative-relocs"}},
		{"vers", `const char *who1 = "one", *who2 = "two"; __asm__(".symver who1, who@V1"); __asm__(".symver who2, who@@V2");`, []string{"-Wl,--version-script=vers.map"}},
		{"ie", "__thread char ta[100] __attribute__((tls_model(\"initial-exec\"))) = \"x\"; char *get(void) { return ta; }" + who("ie"), nil},
	}, who("main"), nil)
	var libs [][]byte
	for i, name := range []string{"a.so", "relr.so", "vers.so", "ie.so"} {
		b, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			f.Fatal(err)
		}
		libs = append(libs, b)
		f.Add(byte(i), []byte{})
		f.Add(byte(i), []byte{24, 0, 0xff, 0xff, 0xff, 0x7f, 60, 1, 1, 0, 0, 0})
	}
	prog, err := os.ReadFile(dir + "/guest")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, which byte, changes []byte) {
		b := bytes.Clone(libs[int(which)%len(libs)])
		for ; len(changes) >= 6; changes = changes[6:] {
			at := int(le.Uint16(changes)) % (len(b) / 4) * 4
			copy(b[at:], changes[2:6])
		}
		c, err := cage.New(cage.Config{Trampolines: engine.Trampolines(), MaxMemory: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		l := New(Config{Cage: c, Open: func(name string) (File, int64, error) {
			switch name {
			case "/guest":
				return bytesFile{bytes.NewReader(prog)}, int64(len(prog)), nil
			case "/fuzz.so":
				return bytesFile{bytes.NewReader(b)}, int64(len(b)), nil
			}
			return nil, 0, syscall.ENOENT
		}})
		l.withoutText = true
		if _, err := loadGuest(t, l, "/guest"); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := l.StartTLS(1664, 64); err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprint(c.Mappings())
		h, err := l.Open(thread1, "/fuzz.so", RTLDNow, 0)
		if err != nil {
			// The linker's own pages may have come: nothing else.
			if after := fmt.Sprint(c.Mappings()); after != before {
				t.Errorf("%v\nbefore %s\nafter  %s", err, before, after)
			}
			if len(l.objects) != 1 || len(l.handles) != 1 || len(l.tls) != 0 || len(l.tlsAdded) != 0 {
				t.Errorf("%v: %d objects, %d handles", err, len(l.objects), len(l.handles))
			}
			return
		}
		for i := 0; i < 1000; i++ {
			if addr, _ := l.NextInit(thread1, h); addr == 0 {
				break
			}
		}
		for _, name := range []string{"who", "ref_a", "ta", "", "p0"} {
			l.Sym(h, name, "", 0)
			l.Sym(HandleDefault, name, "V1", 0)
		}
		o := l.handles[h]
		l.AddrInfo(o.bias + o.file.Entry)
		l.Symbolize(o.bias + 0x1000)
		l.Object(1)
		if m, ok := l.TLSModule(1); ok && m.Offset != 0 && (m.Offset < m.MemSize || m.Offset > 1664 || (m.Offset+o.file.TLS.Addr)%m.Align != 0) {
			t.Errorf("a place for thread-local storage that threads do not have: %+v", m)
		}
		token, err := l.Close(h)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; token != 0 && i < 1000; i++ {
			if l.NextFini(token) == 0 {
				break
			}
		}
		if token != 0 {
			if err := l.Unload(token); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzRelocate replaces the relocations of a library: type, symbol, place and addend are
// the input's. Whatever is loaded, nothing changes but the library's own writable data.
//
// Attack: relocations and tables that lead astray.
func FuzzRelocate(f *testing.F) {
	dir := build(f, []source{
		{"a", who("a") + "int *table[16] = { [0 ... 15] = (int *)&who }; __thread int ta = 3; const int fixed[4] = { 1, 2, 3, 4 };", nil},
	}, who("main")+"int shared[100] = { 1, 2, 3 };", nil)
	good, err := os.ReadFile(dir + "/a.so")
	if err != nil {
		f.Fatal(err)
	}
	prog, err := os.ReadFile(dir + "/guest")
	if err != nil {
		f.Fatal(err)
	}
	file, err := loader.ReadELF(bytes.NewReader(good), int64(len(good)), "a.so")
	if err != nil {
		f.Fatal(err)
	}
	at := bytes.Index(good, file.Dynamic.Rela)
	n := file.Dynamic.Rela.Len()
	if at < 0 || n < 16 {
		f.Fatalf("%d relocations at %#x", n, at)
	}
	for typ := range byte(40) {
		f.Add([]byte{typ, 1, 0, 0, 4, 0, typ, 0, 0, 0, 8, 0})
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b := bytes.Clone(good)
		for i := 0; i < n && len(in) >= 6; i, in = i+1, in[6:] {
			r := b[at+i*24 : at+i*24+24]
			le.PutUint32(r[8:], uint32(in[0]))
			le.PutUint32(r[12:], uint32(in[1]))
			place, addend := uint64(int16(le.Uint16(in[2:]))), uint64(int16(le.Uint16(in[4:])))
			if place&1 != 0 { // mostly relative to what was there
				place = le.Uint64(r) + uint64(int64(place)>>4)
			}
			if addend&1 != 0 {
				addend <<= 20
			}
			le.PutUint64(r, place)
			le.PutUint64(r[16:], addend)
		}
		c, err := cage.New(cage.Config{Trampolines: engine.Trampolines(), MaxMemory: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		l := New(Config{Cage: c, Open: files{"/guest": prog, "/lib/a.so": b}.open})
		l.withoutText = true
		if _, err := loadGuest(t, l, "/guest"); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := l.StartTLS(1664, 64); err != nil {
			t.Fatal(err)
		}
		// contents of all data of an object that only the loader writes.
		contents := func(o *object, writable bool) (all []byte) {
			for i := range o.file.Segments {
				s := &o.file.Segments[i]
				if s.Flags&loader.FlagExec != 0 || s.Flags&loader.FlagWrite != 0 && !writable {
					continue
				}
				b := make([]byte, s.MemSize)
				if err := l.mem.Read(s.Addr+o.bias, b); err != nil {
					t.Fatalf("%s: %#x: %v", o, s.Addr, err)
				}
				all = append(all, b...)
			}
			return all
		}
		before := contents(l.main, true)
		h, err := l.Open(thread1, "a.so", RTLDNow, 0)
		if !bytes.Equal(contents(l.main, true), before) {
			t.Fatalf("the program's data changed (%v)", err)
		}
		if err != nil {
			if len(l.objects) != 1 || len(l.handles) != 1 || len(l.tls) != 0 || len(l.tlsAdded) != 0 {
				t.Errorf("%v: %d objects, %d handles", err, len(l.objects), len(l.handles))
			}
			return
		}
		o := l.handles[h]
		var want []byte
		for i := range o.file.Segments {
			if s := &o.file.Segments[i]; s.Flags&(loader.FlagExec|loader.FlagWrite) == 0 {
				want = append(want, b[s.Offset:s.Offset+uint64(s.FileSize)]...)
			}
		}
		if !bytes.Equal(contents(o, false), want) {
			t.Error("read-only data of the library changed")
		}
	})
}
