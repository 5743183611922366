package ld

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/loader"
)

// TestInitialExec: libraries that dlopen brings get their places in the spare bytes of
// threads, and give them back.
func TestInitialExec(t *testing.T) {
	ie := func(name string, size int) source {
		return source{name, fmt.Sprintf(`__thread char x_%s[%d] __attribute__((tls_model("initial-exec"))) = "%s"; char *at(void) { return x_%s + 1; }`, name, size, name, name), nil}
	}
	dir := build(t, []source{
		ie("a", 700), ie("b", 700), ie("c", 700), ie("d", 200),
		{"strict", `__thread int x __attribute__((tls_model("initial-exec"), aligned(128))); int *at(void) { return &x; }`, nil},
		{"dyn", "__thread int td = 9; int *at(void) { return &td; }", nil},
		{"ofdyn", `extern __thread int td __attribute__((tls_model("initial-exec"))); int *ofdyn(void) { return &td; }`, []string{"-l:dyn.so"}},
		{"weak", `extern __thread int none __attribute__((weak, tls_model("initial-exec"))); int *weak(void) { return &none; }`, []string{"-Wl,--unresolved-symbols=ignore-all"}},
	}, "__thread int tm = 5; int *getm(void) { return &tm; }", nil)
	l := testLinker(t, dir)
	if _, _, _, err := l.StartTLS(1664, 64); err != ErrStatic {
		t.Errorf("StartTLS before the program is loaded: %v", err)
	}
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	refused := func(name string, want ...string) {
		t.Helper()
		modules, objects := len(l.tls), len(l.objects)
		_, err := l.Open(thread1, name, RTLDNow, 0)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v\nwant %q", name, err, w)
			}
		}
		if len(l.tls) != modules || len(l.objects) != objects || len(l.tlsAdded) != 0 {
			t.Errorf("%s: left something behind", name)
		}
	}
	refused("d.so", "for initial-exec access by /d.so") // the C library has not said what threads have
	modules, bytes, align, err := l.StartTLS(1664, 64)
	if modules != 1 || bytes != 4 || align != 64 || err != nil {
		t.Errorf("StartTLS: %d modules, %d bytes, aligned to %d, %v", modules, bytes, align, err)
	}
	// What is said first counts.
	if _, _, align, err := l.StartTLS(1<<20, 4096); align != 64 || err != nil || l.tlsSpare != 1664 {
		t.Errorf("StartTLS again: %d, %v", align, err)
	}
	opened := map[string]uint32{}
	open := func(name string) *object {
		t.Helper()
		h, err := l.Open(thread1, name, RTLDNow, 0)
		if err != nil {
			t.Fatal(err)
		}
		(&guest{t: t, l: l}).inits(h)
		opened[name] = h
		return l.handles[h]
	}
	closeIt := func(name string) {
		t.Helper()
		o := l.handles[opened[name]]
		id := o.tlsID
		token, err := l.Close(opened[name])
		if err != nil || token == 0 {
			t.Fatalf("%s: %d %v", name, token, err)
		}
		if got := l.RemovedTLS(token, 0); id != 0 && got != id {
			t.Errorf("%s: module %d goes, want %d", name, got, id)
		}
		for _, i := range []uint64{1, 1 << 40, ^uint64(0)} {
			if got := l.RemovedTLS(token, i); got != 0 {
				t.Errorf("%s: removed module %d: %d", name, i, got)
			}
		}
		if _, ok := l.TLSModule(id); id != 0 && !ok {
			t.Errorf("%s: its module is gone while destructors run", name)
		}
		(&guest{t: t, l: l}).finis(token)
		if err := l.Unload(token); err != nil {
			t.Fatal(err)
		}
		if l.RemovedTLS(token, 0) != 0 {
			t.Errorf("%s: the token still means something", name)
		}
	}
	// placed checks what the library was given and what its relocation became.
	placed := func(o *object, id int) {
		t.Helper()
		off := o.tlsOffset
		if o.tlsID != id || off < l.tlsEnd+o.file.TLS.MemSize || off > l.tlsEnd+1664 {
			t.Errorf("%s: module %d at %d", o, o.tlsID, off)
		}
		m, ok := l.AddedTLS()
		if !ok || m.ID != id || m.Offset != off || m.MemSize != o.file.TLS.MemSize {
			t.Errorf("%s: added: %+v %v", o, m, ok)
		}
		if m, ok := l.AddedTLS(); ok {
			t.Errorf("%s: added twice: %+v", o, m)
		}
		for i := range o.dyn.Rela.Len() {
			if r := o.dyn.Rela.At(i); r.Type == relTPOff64 {
				if v, _ := l.mem.Load64(uint32(r.Offset) + o.bias); v != -uint64(off) {
					t.Errorf("%s: TPOFF64 is %#x, the block at -%#x", o, v, off)
				}
			}
		}
	}
	a := open("a.so")
	placed(a, 2)
	placed(open("b.so"), 3)
	refused("c.so", "/c.so: ", "takes 700 bytes aligned to 16", "where 264 of 1664 are free")
	refused("strict.so", "/strict.so: ", "aligned to 128", "aligned to 64")
	d := open("d.so")
	placed(d, 4)
	first := a.tlsOffset
	closeIt("a.so")
	// The number and the place are free again, whoever else is there.
	c := open("c.so")
	placed(c, 2)
	if c.tlsOffset != first {
		t.Errorf("c.so at %d, a.so was at %d", c.tlsOffset, first)
	}
	refused("a.so", "where 64 of 1664 are free")
	// What goes before the C library has heard of it is not told any more.
	closeIt("b.so")
	open("b.so")
	closeIt("b.so")
	if m, ok := l.AddedTLS(); ok {
		t.Errorf("added: %+v", m)
	}
	closeIt("d.so")
	closeIt("c.so")
	if len(l.tls) != 1 {
		t.Errorf("%d modules are left", len(l.tls))
	}

	// A library that has blocks of its own in threads can't get a place later.
	if o := open("dyn.so"); o.tlsOffset != 0 || o.tlsID != 2 {
		t.Errorf("dyn.so: module %d at %d", o.tlsID, o.tlsOffset)
	}
	refused("ofdyn.so", "/ofdyn.so: ", "of /dyn.so, which dlopen loaded before")
	closeIt("dyn.so")
	open("ofdyn.so")
	placed(l.objects[len(l.objects)-1], 2)
	closeIt("ofdyn.so")
	if o := open("weak.so"); o.tlsID != 0 {
		t.Errorf("weak.so: module %d", o.tlsID)
	}
	closeIt("weak.so")

	// A copy of the domain goes on with the same.
	open("a.so")
	n, err := l.Fork(1, 1, func(*Config) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := n.AddedTLS(); !ok || m.Offset != first || n.tlsSpare != 1664 || n.tlsMax != 64 || !n.tlsTold || n.tlsInitial != 1 {
		t.Errorf("copy: %+v %v, %d to spare", m, ok, n.tlsSpare)
	}
	placed(l.handles[opened["a.so"]], 2)
}

// TestModuleNumbers: the lowest free number is used again, so that vectors of threads
// do not grow.
func TestModuleNumbers(t *testing.T) {
	list := []source{}
	for _, name := range []string{"a", "b", "c", "d"} {
		list = append(list, source{name, "__thread int x; int *at(void) { return &x; }", nil})
	}
	dir := build(t, list, "__thread int tm; int *getm(void) { return &tm; }", nil)
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	handles := map[string]uint32{}
	for range 300 {
		name := list[rnd.IntN(4)].name + ".so"
		if h, ok := handles[name]; ok {
			token, err := l.Close(h)
			if err != nil {
				t.Fatal(err)
			}
			(&guest{t: t, l: l}).finis(token)
			if err := l.Unload(token); err != nil {
				t.Fatal(err)
			}
			delete(handles, name)
			continue
		}
		free := 2
		for used := true; used; {
			used = false
			for _, h := range handles {
				if l.handles[h].tlsID == free {
					used, free = true, free+1
				}
			}
		}
		h, err := l.Open(thread1, name, RTLDNow, 0)
		if err != nil {
			t.Fatal(err)
		}
		if id := l.handles[h].tlsID; id != free {
			t.Fatalf("%s has number %d, and %d is free", name, id, free)
		}
		(&guest{t: t, l: l}).inits(h)
		handles[name] = h
	}
}

// TestSpareBytes puts modules of any size, address and alignment into the spare bytes.
// Each gets a place inside of them, apart from the others and aligned as it wants;
// who is refused had no such place.
//
// Attack: relocations and tables that lead astray.
func TestSpareBytes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	refusals := 0
	for range 300 {
		l := New(Config{})
		l.tlsEnd, l.tlsSpare, l.tlsMax = rnd.Uint32N(200), rnd.Uint32N(400), 1<<rnd.IntN(8)
		for range 40 {
			i := rnd.IntN(12)
			for len(l.tls) <= i {
				l.tls = append(l.tls, nil)
			}
			if l.tls[i] != nil {
				l.tls[i] = nil
				continue
			}
			tls := &loader.TLS{Addr: rnd.Uint32(), MemSize: 1 + rnd.Uint32N(150), Align: 1 << rnd.IntN(9)}
			switch rnd.IntN(8) {
			case 0:
				tls.MemSize = loader.MaxTLSBytes - rnd.Uint32N(3)
			case 1:
				tls.Align = loader.MaxTLSAlign
			}
			o := &object{name: "x", file: &loader.File{TLS: tls}}
			fits := func(off uint32) bool {
				if uint64(off) < uint64(l.tlsEnd)+uint64(tls.MemSize) || off > l.tlsEnd+l.tlsSpare || (off+tls.Addr)%tls.Align != 0 {
					return false
				}
				for _, x := range l.tls {
					if x != nil && off > x.tlsOffset-x.file.TLS.MemSize && off-tls.MemSize < x.tlsOffset {
						return false
					}
				}
				return true
			}
			if err := l.placeSpare(o, o); err != nil {
				refusals++
				for off := l.tlsEnd; tls.Align <= l.tlsMax && off <= l.tlsEnd+l.tlsSpare; off++ {
					if fits(off) {
						t.Fatalf("%v, but %d is free", err, off)
					}
				}
				continue
			}
			if tls.Align > l.tlsMax || !fits(o.tlsOffset) {
				t.Fatalf("%+v at %d", tls, o.tlsOffset)
			}
			l.tls[i] = o
		}
	}
	if refusals == 0 {
		t.Error("nothing was refused")
	}
}

// TestTLSCalls: the private system calls with arguments that no C library gives.
//
// Attack: relocations and tables that lead astray.
func TestTLSCalls(t *testing.T) {
	dir := build(t, []source{{"a", `__thread int x __attribute__((tls_model("initial-exec"))); int *at(void) { return &x; }`, nil}}, "__thread int tm; int *getm(void) { return &tm; }", nil)
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	page, err := l.cfg.Cage.Map(0, 0x10000, cage.ProtRead|cage.ProtWrite, cage.Hint)
	if err != nil {
		t.Fatal(err)
	}
	call := func(nr uint64, a ...uint64) int64 {
		var six [6]uint64
		copy(six[:], a)
		return l.Syscall(thread1, nr, six)
	}
	out := uint64(page)
	for _, bad := range [][2]uint64{{maxStaticTLS + 1, 64}, {^uint64(0), 64}, {1 << 32, 64}, {100, 0}, {100, 3}, {100, 8192}, {100, 1 << 63}, {100, ^uint64(0)}} {
		if r := call(SysTLSStart, bad[0], bad[1], out); r != -int64(syscall.EINVAL) {
			t.Errorf("%d bytes aligned to %d: %d", bad[0], bad[1], r)
		}
	}
	if l.tlsTold {
		t.Error("an impossible size was believed")
	}
	if r := call(SysTLSStart, maxStaticTLS, 4096, 0x30); r != -int64(syscall.EFAULT) {
		t.Errorf("bad pointer: %d", r)
	}
	if r := call(SysTLSAdded, out); r != 0 {
		t.Errorf("added: %d", r)
	}
	for _, a := range [][2]uint64{{0, 0}, {1, 0}, {1 << 32, 0}, {^uint64(0), ^uint64(0)}} {
		if r := call(SysTLSRemoved, a[0], a[1]); r != 0 {
			t.Errorf("removed %d %d: %d", a[0], a[1], r)
		}
	}
	if err := l.mem.Write(page+0x100, []byte("a.so\x00")); err != nil {
		t.Fatal(err)
	}
	h := call(SysOpen, uint64(page)+0x100, RTLDNow, 0)
	if h>>32 != 1 {
		t.Fatalf("open: %#x", h)
	}
	if r := call(SysNextInit, uint64(h)&0xffffffff); r != 0 {
		t.Errorf("init: %#x", r)
	}
	if r := call(SysTLSAdded, 0x30); r != -int64(syscall.EFAULT) {
		t.Errorf("added, bad pointer: %d", r)
	}
	if r := call(SysOpen, uint64(page)+0x100, RTLDNow, 0); r != h&0xffffffff {
		t.Errorf("open again: %#x", r)
	}
	if call(SysClose, uint64(h)) != 0 {
		t.Error("closed with a handle left")
	}
	token := call(SysClose, uint64(h))
	if token>>32 != 1 || call(SysTLSRemoved, uint64(token), 0) != 2 || call(SysTLSRemoved, uint64(token), 1) != 0 {
		t.Errorf("close: %#x", token)
	}
	if r := call(SysUnload, uint64(token)); r != 0 || call(SysTLSRemoved, uint64(token), 0) != 0 {
		t.Errorf("unload: %d", r)
	}
}

// TestInfo: the requests of dlinfo.
//
// Attack: relocations and tables that lead astray.
func TestInfo(t *testing.T) {
	f := files{"/lib/a.so": tiny("a.so", "$ORIGIN/x:/r"), "/lib/many.so": tiny("many.so", strings.Repeat("$ORIGIN:", 2000))}
	l := hostileLinker(t, f)
	l.cfg.LibraryPath = []string{"/env"}
	page, err := l.cfg.Cage.Map(0, 0x20000, cage.ProtRead|cage.ProtWrite, cage.Hint)
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.Open(thread1, "/lib/a.so", RTLDNow, 0)
	if err != nil {
		t.Fatal(err)
	}
	many, err := l.Open(thread1, "/lib/many.so", RTLDNow, 0)
	if err != nil {
		t.Fatal(err)
	}
	call := func(handle uint32, request int, at uint32) int64 {
		return l.Syscall(thread1, SysInfo, [6]uint64{uint64(handle), uint64(request), uint64(at)})
	}
	word := func(at uint32) uint64 {
		v, err := l.mem.Load64(at)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, x := range []struct {
		request int
		want    uint64
	}{{DINamespace, 0}, {DILinkMap, uint64(h)}, {DITLSModule, 0}, {DIProgHeaders, uint64(l.handles[h].phdr)}} {
		l.mem.Write(page, []byte("????????"))
		if r := call(h, x.request, page); r < 0 || word(page) != x.want {
			t.Errorf("request %d: %d, %#x", x.request, r, word(page))
		}
	}
	if r := call(h, DIProgHeaders, page); r != 2 {
		t.Errorf("%d program headers", r)
	}
	if r := call(h, DIOrigin, page); r != 0 {
		t.Errorf("origin: %d", r)
	}
	if s, _ := l.mem.ReadString(page, 100); s != "/lib" {
		t.Errorf("origin %q", s)
	}
	if r := call(h, DISearchSize, page); r != 0 {
		t.Errorf("search: %d", r)
	}
	size := word(page)
	for _, room := range []uint64{0, size - 1, size, ^uint64(0)} {
		if err := l.mem.Write(page, le.AppendUint64(nil, room)); err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		if room < size {
			want = -int64(syscall.EINVAL)
		}
		if r := call(h, DISearch, page); r != want {
			t.Errorf("room for %d of %d: %d", room, size, r)
		}
	}
	names := []string{}
	for i := range uint32(word(page + 8)) {
		s, err := l.mem.ReadString(uint32(word(page+16+16*i)), 100)
		if err != nil || word(page+24+16*i) != 0 {
			t.Errorf("name %d: %v", i, err)
		}
		names = append(names, s)
	}
	if got := strings.Join(names, " "); got != "/env /lib/x /r /lib /usr/lib /usr/local/lib" {
		t.Errorf("search path %q", got)
	}
	if end := uint64(page) + size; word(page) != size || uint64(uint32(word(page+16+16*5)))+uint64(len("/usr/local/lib"))+1 != end {
		t.Errorf("%d bytes do not end with the last name", size)
	}
	if r := call(many, DISearchSize, page); r != -int64(syscall.EINVAL) {
		t.Errorf("2,000 directories: %d", r)
	}
	// The last page of the sandbox, and where nothing is.
	for _, at := range []uint32{0x30, 0xfffffff8, 0xffffffff} {
		for _, request := range []int{DINamespace, DILinkMap, DISearch, DISearchSize, DIOrigin, DITLSModule, DIProgHeaders} {
			if r := call(h, request, at); r != -int64(syscall.EFAULT) && r != -int64(syscall.EINVAL) {
				t.Errorf("request %d to %#x: %d", request, at, r)
			}
		}
	}
	for _, request := range []int{-1, 0, 3, 7, 8, diTLSData, 12, 1 << 30} {
		if r := call(h, request, page); r != -int64(syscall.EINVAL) {
			t.Errorf("request %d: %d", request, r)
		}
	}
	if r := call(h+8, DILinkMap, page); r != -int64(syscall.EINVAL) {
		t.Errorf("no handle: %d", r)
	}
}

// TestInitialExecRemembered: a library that comes back to its old place in memory, but
// has another one in threads, does not get the distance of the last time.
func TestInitialExecRemembered(t *testing.T) {
	dir := compilerDir(t)
	program(t, dir, "void *__tls_get_addr(void *p) { return p; }")
	for _, name := range []string{"a", "b"} {
		shared(t, dir, name, `__thread char `+name+`[40] __attribute__((tls_model("initial-exec"))); char *at(void) { return `+name+`; }`)
	}
	shared(t, dir, "c", "__thread char c[40]; char *at(void) { return c; }")
	l := started(t, linksIn(t, dir)())
	if _, _, _, err := l.StartTLS(1664, 64); err != nil {
		t.Fatal(err)
	}
	check := func(h uint32) (bias, off uint32) {
		t.Helper()
		o := l.handles[h]
		found := false
		for i := range o.dyn.Rela.Len() {
			if r := o.dyn.Rela.At(i); r.Type == relTPOff64 {
				v, err := l.mem.Load64(uint32(r.Offset) + o.bias)
				if found = true; err != nil || v != -uint64(o.tlsOffset) {
					t.Errorf("%s: TPOFF64 is %#x, %v; the block at -%#x", o, v, err, o.tlsOffset)
				}
			}
		}
		if !found {
			t.Errorf("%s: no relocation", o)
		}
		return o.bias, o.tlsOffset
	}
	var places [2]uint32
	for round := range 8 {
		// Both have a module, and only b.so a place in threads.
		x := mustOpen(t, l, []string{"c.so", "b.so"}[round%2], 0)
		a := mustOpen(t, l, "a.so", 0)
		bias, off := check(a)
		if round == 2 {
			places = [2]uint32{bias, off} // the list of libraries has its memory by now
		}
		if round >= 2 && (bias != places[0] || (off == places[1]) != (round%2 == 0)) {
			t.Errorf("round %d: a.so at %#x and -%#x, was at %#x and -%#x", round, bias, off, places[0], places[1])
		}
		mustClose(t, l, a)
		mustClose(t, l, x)
	}
}
