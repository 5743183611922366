package dyncode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/validator"
)

// fakeThreads proves what it is told to.
type fakeThreads struct {
	busy    bool
	retired [][2]uint32
}

func (f *fakeThreads) Retire(start, end uint32) func() bool {
	f.retired = append(f.retired, [2]uint32{start, end})
	return func() bool { return !f.busy }
}

type rig struct {
	testing.TB
	*Region
	c       *cage.Cage
	mem     safemem.Memory
	threads *fakeThreads
	start   uint32
}

func newRig(t testing.TB, size uint64) *rig {
	t.Helper()
	if err := engine.Init(); err != nil {
		t.Fatal(err)
	}
	c, err := cage.New(cage.Config{Trampolines: engine.Trampolines()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	f := &fakeThreads{}
	r, err := New(c, Config{Size: size, Threads: f, ThreadPointer: engine.ThreadPointerDisp()})
	if err != nil {
		t.Fatal(err)
	}
	start, _ := r.Extent()
	return &rig{t, r, c, safemem.New(c.Base()), f, start}
}

// copied is the Region of a copy of the cage.
func (r *rig) copied() *rig {
	r.Helper()
	s, err := r.c.Snapshot()
	if err != nil {
		r.Fatal(err)
	}
	defer s.Close()
	c, err := s.New(cage.Config{})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	f := &fakeThreads{}
	n, err := r.Copy(c, f)
	if err != nil {
		r.Fatal(err)
	}
	start, _ := n.Extent()
	return &rig{r.TB, n, c, safemem.New(c.Base()), f, start}
}

// TestCopy: a copy has the pieces of the original and what is known of them; threads that
// were waited for there are others here.
func TestCopy(t *testing.T) {
	r := newRig(t, 4*cage.DynamicUnit)
	if _, err := r.Copy(r.c, &fakeThreads{}); err == nil {
		t.Error("a copy of a region that can change")
	}
	at := func(i uint32) uint32 { return r.start + bundle*i }
	for i := range uint32(3) {
		r.want("create", r.Create(at(i), ret(i)), 0)
	}
	r.want("map", r.Map(at(3), ret(3)), 0)
	r.threads.busy = true
	r.want("delete", r.Delete(at(1), bundle), syscall.EAGAIN)
	copies := []*rig{r.copied(), r.copied().copied()}
	if _, err := r.Copy(newRig(t, 0).c, &fakeThreads{}); err == nil {
		t.Error("a copy in the cage of another")
	}
	r.want("the original's deletion", r.Delete(at(1), bundle), syscall.EINVAL)
	for _, n := range copies {
		if len(n.threads.retired) != 0 {
			t.Error("asked before anything has changed")
		}
		n.threads.busy = true
		n.holds("untouched", at(2), ret(2))
		n.want("over a deletion", n.Create(at(1), ret(9)), syscall.EINVAL)
		n.want("modify what is being deleted", n.Modify(at(1), ret(9)), syscall.EFAULT)
		n.want("the deletion", n.Delete(at(1), bundle), syscall.EAGAIN)
		if len(n.threads.retired) != 1 || n.threads.retired[0] != [2]uint32{at(1), at(2)} {
			t.Errorf("the threads of the copy were asked about %#x", n.threads.retired)
		}
		n.threads.busy = false
		n.want("the deletion", n.Delete(at(1), bundle), 0)
		n.want("delete what is mapped", n.Delete(at(3), bundle), syscall.EFAULT)
		n.want("modify what is mapped", n.Modify(at(3), ret(9)), syscall.EFAULT)
		n.want("half of a piece", n.Modify(at(0), append(ret(1), ret(1)...)), syscall.EFAULT)
		n.want("modify", n.Modify(at(0), ret(8)), 0)
		n.holds("modified", at(0), ret(8))
		n.holds("its neighbour", at(2), ret(2))
		r.holds("the original", at(0), ret(0))
	}
}

// ret returns code that returns n, in whole bundles.
func ret(n uint32) []byte {
	b := bytes.Repeat([]byte{0x90}, bundle)
	b[0] = 0xb8
	binary.LittleEndian.PutUint32(b[1:], n)
	b[5] = 0xc3
	return b
}

func nops(n int) []byte { return bytes.Repeat([]byte{0x90}, n) }

func (r *rig) want(what string, err error, no syscall.Errno) {
	r.Helper()
	var e *Error
	switch {
	case no == 0 && err != nil, no != 0 && !errors.Is(err, no):
		r.Errorf("%s: %v, want errno %d", what, err, int(no))
	case no != 0 && !errors.As(err, &e):
		r.Errorf("%s: %T", what, err)
	}
}

// read returns what the guest sees; nil for a fault.
func (r *rig) read(at uint32, n int) []byte {
	b := make([]byte, n)
	if r.mem.Read(at, b) != nil {
		return nil
	}
	return b
}

func (r *rig) holds(what string, at uint32, code []byte) {
	r.Helper()
	if got := r.read(at, len(code)); !bytes.Equal(got, code) {
		r.Errorf("%s: the guest sees % x, want % x", what, got, code)
	}
}

// TestNaCl: the cases of NaCl's dynamic_load_test that are about results and
// bytes, one process, as they stand there. Those that execute code are in runtime.
//
// Attack: code that changes while it runs.
func TestNaCl(t *testing.T) {
	r := newRig(t, 16*cage.DynamicUnit)
	next := r.start
	page := func(n int) uint32 { at := next; next += uint32(n) * cage.DynamicUnit; return at }
	_, end := r.Extent()

	at := page(1)
	if r.read(at, 1) != nil {
		t.Error("a page can be read before there is code in it")
	}
	r.want("loading code", r.Create(at, ret(1)), 0)
	r.holds("loading code", at, ret(1))
	r.want("non page aligned", r.Create(at+bundle, ret(2)), 0)
	at = page(2)
	r.want("large chunk", r.Create(at, nops(2*cage.DynamicUnit)), 0)
	r.holds("large chunk", at, nops(2*cage.DynamicUnit))
	at = page(1)
	r.want("zero size", r.Create(at, nil), 0)
	bad := append([]byte{0xcd, 0x80, 0xc3}, nops(29)...)
	r.want("validation error", r.Create(at, bytes.Clone(bad)), syscall.EINVAL)
	r.want("does not leak", r.Create(at, ret(3)), 0)
	at = page(1)
	for _, off := range []uint32{1, 4} {
		r.want("unaligned", r.Create(at+off, ret(1)), syscall.EINVAL)
	}
	for _, n := range []int{31, 28} {
		r.want("half a bundle", r.Create(at, nops(n)), syscall.EINVAL)
	}
	r.want("plain", r.Create(at, ret(1)), 0)
	r.want("to static code", r.Create(0x20000, ret(1)), syscall.EFAULT)
	r.want("to the trampolines", r.Create(0x10000, ret(1)), syscall.EFAULT)
	r.want("to nowhere", r.Create(0, ret(1)), syscall.EFAULT)
	r.want("behind", r.Create(0xffff0000, ret(1)), syscall.EFAULT)
	r.want("over the end of the sandbox", r.Create(0xffffffe0, nops(64)), syscall.EFAULT)
	r.want("overwrite", r.Create(at, ret(2)), syscall.EINVAL)
	r.want("straddle", r.Create(at-bundle, nops(64)), syscall.EINVAL)
	r.holds("not overwritten", at, ret(1))

	// jmp to the next bundle behind the chunk, loaded before that is.
	at = page(1)
	jump := append([]byte{0xe9, 0x3b, 0, 0, 0}, nops(27)...) // to at+64
	r.want("branch outside", r.Create(at, jump), 0)
	back := append([]byte{0xe9, 0xbb, 0xff, 0xff, 0xff}, nops(27)...) // to at
	r.want("branch back", r.Create(at+64, back), 0)

	r.want("end of the region", r.Create(end, ret(1)), syscall.EFAULT)
	r.want("last bundle", r.Create(end-bundle, ret(1)), syscall.EFAULT)
	r.want("last but one", r.Create(end-2*bundle, ret(1)), 0)
	r.holds("the last bundle is kept", end-bundle, bytes.Repeat([]byte{hlt}, bundle))

	for i := range uint32(3) {
		at = page(1)
		code := nops(3 * bundle)
		for j := range bundle {
			code[i*bundle+uint32(j)] = hlt
		}
		r.want("hlt filled bundle", r.Create(at, bytes.Clone(code)), 0)
		r.want("again", r.Create(at, bytes.Clone(code)), syscall.EINVAL)
	}

	at = page(1)
	r.want("create to delete", r.Create(at, ret(1)), 0)
	r.want("delete", r.Delete(at, bundle), 0)
	if b := r.read(at, 1); b == nil || b[0] != hlt {
		t.Error("deleted code can be entered")
	}
	r.want("second delete", r.Delete(at, bundle), syscall.EFAULT)
	r.want("other code", r.Create(at, ret(2)), 0)
	r.holds("other code", at, ret(2))
	r.want("delete it", r.Delete(at, bundle), 0)
	r.want("delete nothing", r.Delete(0, 0), 0)

	r.want("not loaded", r.Delete(at+0x1000, bundle), syscall.EFAULT)
	r.want("four bundles", r.Create(at+128, nops(128)), 0)
	for _, d := range [][2]int{{-32, 32}, {0, 32}, {32, -32}, {0, -32}, {1, 0}, {0, 1}} {
		r.want("wrong range", r.Delete(at+128+uint32(d[0]), uint64(128+d[1])), syscall.EFAULT)
	}
	r.want("exact", r.Delete(at+128, 128), 0)
	r.want("outside", r.Delete(0x20000, 32), syscall.EFAULT)
	r.want("huge", r.Delete(end-2*bundle, 1<<40), syscall.EFAULT)
}

func TestDemandAlloc(t *testing.T) {
	r := newRig(t, 16*cage.DynamicUnit)
	r.want("create", r.Create(r.start+0x4000, nops(0x28000)), 0)
	r.holds("before", r.start, bytes.Repeat([]byte{hlt}, 0x4000))
	r.holds("behind", r.start+0x2c000, bytes.Repeat([]byte{hlt}, 0x4000))
	if r.read(r.start+0x30000, 1) != nil {
		t.Error("a page appeared that nobody wanted")
	}
	at := r.start + 8*cage.DynamicUnit
	r.want("middle", r.Create(at+2*cage.DynamicUnit, nops(2*cage.DynamicUnit)), 0)
	r.want("delete", r.Delete(at+2*cage.DynamicUnit, 2*cage.DynamicUnit), 0)
	r.want("around", r.Create(at, nops(6*cage.DynamicUnit)), 0)
	r.holds("around", at, nops(6*cage.DynamicUnit))
}

// Attack: writable code.
func TestGuestCanNotReach(t *testing.T) {
	r := newRig(t, 4*cage.DynamicUnit)
	for _, at := range rand.Perm(64)[:2] { // before and after there is code
		for _, p := range []cage.Prot{cage.ProtNone, cage.ProtRead, cage.ProtRead | cage.ProtWrite, cage.ProtExec} {
			if r.c.Protect(r.start, 0x10000, p) == nil {
				t.Errorf("mprotect to %v", p)
			}
			if _, err := r.c.Map(r.start, 0x10000, p, cage.Fixed); err == nil {
				t.Errorf("mmap with %v", p)
			}
		}
		if r.c.Unmap(r.start, 0x10000) == nil || r.c.Discard(r.start, 0x10000) == nil {
			t.Error("munmap or madvise")
		}
		if _, err := r.c.Remap(r.start, 0x10000, 0x20000, true); err == nil {
			t.Error("mremap")
		}
		if r.c.UnmapText(r.start) == nil || r.c.ReleaseText(r.start) == nil {
			t.Error("taken for the loader's text")
		}
		if r.mem.Write(r.start, []byte{1}) == nil {
			t.Error("the guest's view is writable")
		}
		r.want("create", r.Create(r.start+bundle*uint32(at), ret(1)), 0)
	}
}

// Attack: code that changes while it runs.
func TestModify(t *testing.T) {
	r := newRig(t, 4*cage.DynamicUnit)
	r.want("zero size", r.Modify(0, nil), 0)
	r.want("nothing there", r.Modify(r.start, ret(1)), syscall.EFAULT)
	r.want("outside", r.Modify(0x20000, ret(1)), syscall.EFAULT)
	r.want("create", r.Create(r.start, ret(1)), 0)
	r.want("its neighbour", r.Create(r.start+bundle, ret(1)), 0)
	r.want("whole", r.Modify(r.start, ret(2)), 0)
	r.holds("whole", r.start, ret(2))
	r.want("unaligned", r.Modify(r.start+1, []byte{3}), 0)
	r.holds("unaligned", r.start, ret(3))
	r.want("over the edge of a piece", r.Modify(r.start+31, []byte{0x90, 0xb8}), syscall.EFAULT)
	r.want("two pieces", r.Modify(r.start, append(ret(4), ret(4)...)), syscall.EFAULT)
	r.want("shifted", r.Modify(r.start, append([]byte{0x90}, ret(3)[:31]...)), syscall.EINVAL)
	r.want("a system call", r.Modify(r.start+6, []byte{0x0f, 0x05}), syscall.EINVAL)
	r.holds("refused", r.start, ret(3))

	// mov $imm32,%eax across the boundaries of 4, 8 and 16 bytes, and every
	// other place in a bundle.
	for off := range bundle - 5 {
		at := r.start + 0x1000 + uint32(off)*bundle
		code := nops(bundle)
		copy(code[off:], ret(0x11111111)[:5])
		r.want("create", r.Create(at, bytes.Clone(code)), 0)
		copy(code[off:], ret(0x22222222)[:5])
		r.want(fmt.Sprint("mov at ", off), r.Modify(at+uint32(off), code[off:off+5]), 0)
		r.holds(fmt.Sprint("mov at ", off), at, code)
	}

	// A jump out of the part that is looked at, to a place that is no bundle.
	two := append(append([]byte{0xeb, 0x1f}, ret(1)[:5]...), nops(57)...) // jmp +33
	at := r.start + 0x8000
	r.want("create", r.Create(at, bytes.Clone(two)), 0)
	r.want("external jump", r.Modify(at+3, []byte{2}), 0)
	two[3] = 2
	r.holds("external jump", at, two)

	// What is going away stays as it is: with its heads, the boundaries are lost
	// that somebody who stands in the middle needs.
	r.threads.busy = true
	r.want("delete", r.Delete(at, 64), syscall.EAGAIN)
	r.want("modify what goes", r.Modify(at+8, []byte{0x90}), syscall.EFAULT)
	r.want("create over it", r.Create(at, nops(64)), syscall.EINVAL)
	r.want("still", r.Delete(at, 64), syscall.EAGAIN)
	if n := len(r.threads.retired); n != 1 {
		t.Errorf("%d proofs begun for one deletion", n)
	}
	r.threads.busy = false
	r.want("delete", r.Delete(at, 64), 0)
	r.want("create over it", r.Create(at, nops(64)), 0)
}

func TestPendingLimit(t *testing.T) {
	r := newRig(t, 4*cage.DynamicUnit)
	r.threads.busy = true
	for i := range uint32(MaxPending + 1) {
		r.want("create", r.Create(r.start+i*bundle, ret(i)), 0)
		r.want("delete", r.Delete(r.start+i*bundle, bundle), syscall.EAGAIN)
	}
	at := r.start + MaxPending*bundle
	r.holds("one too many is not touched", at, ret(MaxPending))
	r.threads.busy = false
	for i := range uint32(MaxPending + 1) {
		r.want("delete", r.Delete(r.start+i*bundle, bundle), 0)
	}
}

func TestMap(t *testing.T) {
	r := newRig(t, 4*cage.DynamicUnit)
	r.want("map", r.Map(r.start, nops(0x10000)), 0)
	r.holds("map", r.start, nops(0x10000))
	r.want("modify", r.Modify(r.start, []byte{0x90}), syscall.EFAULT)
	r.want("delete", r.Delete(r.start, 0x10000), syscall.EFAULT)
	r.want("again", r.Map(r.start, nops(0x10000)), syscall.EINVAL)
	r.want("invalid", r.Map(r.start+0x10000, append([]byte{0x0f, 0x05}, nops(30)...)), syscall.EINVAL)
}

func TestLimits(t *testing.T) {
	if err := engine.Init(); err != nil {
		t.Fatal(err)
	}
	c, err := cage.New(cage.Config{Trampolines: engine.Trampolines(), MaxMemory: 2 * cage.DynamicUnit})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := New(c, Config{Size: 8 * cage.DynamicUnit, Threads: &fakeThreads{}})
	if err != nil {
		t.Fatal(err)
	}
	start, _ := reg.Extent()
	r := &rig{TB: t, Region: reg}
	r.want("within the limit", r.Create(start, nops(2*cage.DynamicUnit)), 0)
	r.want("over the limit", r.Create(start+2*cage.DynamicUnit, ret(1)), syscall.ENOMEM)
	r.want("the place stays free", r.Create(start+2*cage.DynamicUnit, ret(1)), syscall.ENOMEM)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	r.want("closed", r.Create(start+2*cage.DynamicUnit, ret(1)), syscall.EINVAL)
	r.want("closed", r.Modify(start, []byte{0x90}), syscall.EINVAL)
	r.want("closed", r.Delete(start, 2*cage.DynamicUnit), syscall.EINVAL)
	if _, again := r.Retry(start, 0); again {
		t.Error("a closed region lets faults be tried again")
	}
}

// model is what FuzzRegion holds a Region against: bytes and owners, one each.
type model struct {
	bytes []byte
	owner []uint32
}

// FuzzRegion: any sequence of calls leaves in the guest's view what the
// validator accepts, and a simple model agrees with the results.
//
// Attack: code that changes while it runs.
func FuzzRegion(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add(bytes.Repeat([]byte{0, 7, 1, 1, 2, 7, 0, 0}, 8))
	f.Fuzz(func(t *testing.T, in []byte) {
		const window = 32 // bundles
		r := newRig(t, cage.DynamicUnit)
		m := model{bytes.Repeat([]byte{hlt}, window*bundle), make([]uint32, window)}
		for serial := uint32(1); len(in) >= 4 && serial < 200; serial++ {
			op, at, n, x := in[0]%4, int(in[1]%window), int(in[2]%4)+1, in[3]
			in = in[4:]
			if at+n > window {
				continue
			}
			dest := r.start + uint32(at*bundle)
			code := bytes.Repeat(ret(uint32(x)), n)
			if x&1 != 0 {
				code[x/8] = x // often invalid
			}
			res, err := validator.Validate(code, validator.Options{Offset: dest})
			if err != nil {
				t.Fatal(err)
			}
			free, one := true, m.owner[at] != 0
			for i := at; i < at+n; i++ {
				free = free && m.owner[i] == 0
				one = one && m.owner[i] == m.owner[at]
			}
			lo, hi := at*bundle, (at+n)*bundle
			switch op {
			case 0:
				ok := r.Create(dest, bytes.Clone(code)) == nil
				if ok != (free && res.OK()) {
					t.Fatalf("create %d bundles at %d: %v; free %v, valid %v", n, at, ok, free, res.OK())
				}
				if ok {
					copy(m.bytes[lo:hi], code)
					for i := at; i < at+n; i++ {
						m.owner[i] = serial
					}
				}
			case 1:
				if r.Modify(dest, bytes.Clone(code)) == nil {
					if !one || !res.OK() {
						t.Fatalf("modified %d bundles at %d: one piece %v, valid %v", n, at, one, res.OK())
					}
					copy(m.bytes[lo:hi], code)
				}
			case 2:
				exact := one && (at == 0 || m.owner[at-1] != m.owner[at]) && (at+n == window || m.owner[at+n] != m.owner[at])
				ok := r.Delete(dest, uint64(n*bundle)) == nil
				if ok != exact {
					t.Fatalf("delete %d bundles at %d: %v, want %v", n, at, ok, exact)
				}
				if ok {
					for i := at; i < at+n; i++ {
						m.owner[i] = 0
						copy(m.bytes[i*bundle:], []byte{hlt, hlt, hlt, hlt})
					}
				}
			case 3:
				r = r.copied()
			}
		}
		if got := r.read(r.start, len(m.bytes)); got != nil {
			r.holds("the model", r.start, m.bytes)
			for i, o := range m.owner {
				if o == 0 {
					clear4 := got[i*bundle : i*bundle+4]
					if !bytes.Equal(clear4, []byte{hlt, hlt, hlt, hlt}) {
						t.Errorf("bundle %d is free, and can be entered: % x", i, clear4)
					}
				}
			}
		}
	})
}

func BenchmarkCreate(b *testing.B) {
	var r *rig
	code := ret(1)
	at, end := uint32(0), uint32(0)
	for b.Loop() {
		if at == end {
			b.StopTimer()
			if r != nil {
				r.c.Close()
			}
			r = newRig(b, DefaultSize)
			at, end = r.Extent()
			end -= bundle
			b.StartTimer()
		}
		if err := r.Create(at, bytes.Clone(code)); err != nil {
			b.Fatal(err)
		}
		at += bundle
	}
}

func BenchmarkCreateDelete(b *testing.B) {
	r := newRig(b, cage.DynamicUnit)
	code := ret(1)
	for b.Loop() {
		if err := r.Create(r.start, bytes.Clone(code)); err != nil {
			b.Fatal(err)
		}
		if err := r.Delete(r.start, bundle); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkModify(b *testing.B) {
	r := newRig(b, cage.DynamicUnit)
	if err := r.Create(r.start, ret(1)); err != nil {
		b.Fatal(err)
	}
	for i := byte(0); b.Loop(); i++ {
		if err := r.Modify(r.start+1, []byte{i}); err != nil {
			b.Fatal(err)
		}
	}
}
