package runtime

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/dyncode"
	"github.com/halite-run/halite/internal/cage"
)

const kept = 0x20000000 // where ready of classic.s keeps addresses

// quietClassic is a domain that waits in ready of classic.s.
func quietClassic(t testing.TB, c Config) *Domain {
	t.Helper()
	c.Invocable = true
	d := newClassic(t, c)
	at, err := d.Cage().Map(kept, 1<<20, cage.ProtRead|cage.ProtWrite, cage.FixedNoReplace)
	if err != nil {
		t.Fatal(err)
	}
	th, err := d.NewThread(ThreadConfig{
		Entry: classicSymbol(t, "ready"), Stack: at + 1<<20 - 8, Args: []uint64{kept},
		ThreadPointer: 0x1234, SecondThreadPointer: 0x5678,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !th.Run() {
		e, _ := d.Ending()
		t.Fatalf("it does not wait: %+v", e)
	}
	return d
}

func classicTemplate(t testing.TB, d *Domain) *Template {
	t.Helper()
	tp, err := d.Template()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tp.Close() })
	return tp
}

// copyOf is a domain made from a template, ready for calls.
func copyOf(t testing.TB, tp *Template) *Domain {
	t.Helper()
	d, th, err := tp.NewDomain(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	th.Wait()
	return d
}

// resetOf is the template again, in the sandbox of d.
func resetOf(t testing.TB, tp *Template, d *Domain) *Domain {
	t.Helper()
	n, th, err := tp.Reset(d, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	th.Wait()
	return n
}

func visit(t testing.TB, d *Domain, fn uint32, args ...uint64) uint64 {
	t.Helper()
	var c Call
	copy(c.Int[:], args)
	if err := d.Do(t.Context(), fn, &c); err != nil {
		t.Fatal(err)
	}
	return c.Int[0]
}

// TestClassicTemplate: copies go on where the template stands, wherever its addresses
// seem to lead: each finds itself there, and nobody else.
func TestClassicTemplate(t *testing.T) {
	d := quietClassic(t, Config{})
	old := uint64(d.Cage().Base())
	const first, second = kept, kept + 8
	if load(t, d, first) != old || load(t, d, second)>>32 != old>>32 {
		t.Fatalf("it kept %#x and %#x, its base is %#x", load(t, d, first), load(t, d, second), old)
	}
	visit(t, d, classicSymbol(t, "set"), kept+0x1000, 11)
	tp := classicTemplate(t, d)
	if err := d.Do(t.Context(), classicSymbol(t, "get"), &Call{}); !errors.Is(err, ErrTemplate) {
		t.Errorf("a call of a template: %v", err)
	}
	untouched := make([]byte, 0x2000)
	if err := d.Memory().Read(kept, untouched); err != nil {
		t.Fatal(err)
	}
	a, b := copyOf(t, tp), copyOf(t, tp)
	check := func(c *Domain) {
		t.Helper()
		base := uint64(c.Cage().Base())
		if base == old {
			t.Fatal("a copy at the address of its template")
		}
		if visit(t, c, classicSymbol(t, "get"), kept+0x1000) != 11 {
			t.Error("it has not the template's memory")
		}
		visit(t, c, classicSymbol(t, "set"), kept+0x1000, 12)
		if _, _, err := c.Invoke(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		for off, want := range map[uint32]uint64{
			0: old, 24: base, // r15
			48: old + uint64(classicSymbol(t, "add")), // rbx, as it was
			56: 77, 64: 42, 80: 1,
			32: load(t, c, kept+8)&0xffffffff - 16 + base, // rsp
			40: load(t, c, kept+16)&0xffffffff + base,     // rbp
			72: load(t, c, kept+16)&0xffffffff + base,
		} {
			if got := load(t, c, kept+off); got != want {
				t.Errorf("at %d it has %#x, want %#x", off, got, want)
			}
		}
		// It waits for the next one.
		if _, _, err := c.Invoke(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		for slot, want := range map[uint64]uint64{84: 0x1234, 86: 0x5678} {
			if got := visit(t, c, classicSymbol(t, "callfn"), slotBase+slotSize*slot, 0); got != want+1 {
				t.Errorf("thread pointer %#x", got-1)
			}
		}
	}
	check(a)
	now := make([]byte, len(untouched))
	for name, c := range map[string]*Domain{"the template": d, "another copy": b, "a later copy": copyOf(t, tp)} {
		if err := c.Memory().Read(kept, now); err != nil || !bytes.Equal(now, untouched) {
			t.Errorf("%s has been written to: %v", name, err)
		}
	}
	check(b)
	check(resetOf(t, tp, a))
	// In the sandbox that a closed one leaves, and in one beside it.
	b.Close()
	check(copyOf(t, tp))
	check(copyOf(t, tp))
	if err := d.Memory().Read(kept, now); err != nil || !bytes.Equal(now, untouched) {
		t.Errorf("the template has been written to: %v", err)
	}
	// A copy that has become a template.
	c := copyOf(t, tp)
	visit(t, c, classicSymbol(t, "set"), kept+0x1000, 11)
	check(copyOf(t, classicTemplate(t, c)))
}

// TestClassicTemplateExceptions: a copy handles its faults as the template would have.
func TestClassicTemplateExceptions(t *testing.T) {
	d := quietClassic(t, Config{})
	fault := classicSymbol(t, "fault")
	call := func(d *Domain, slot uint64, a, b uint64) int32 {
		t.Helper()
		return int32(visit(t, d, classicSymbol(t, "call3"), slotBase+slotSize*slot, a, b))
	}
	if call(d, naclException, uint64(classicSymbol(t, "handler")), 0) != 0 || call(d, naclExcStack, kept+0x8000, 0x1000) != 0 {
		t.Fatal("no handler")
	}
	tp := classicTemplate(t, d)
	c, other := copyOf(t, tp), copyOf(t, tp)
	for range 2 {
		if got := visit(t, c, fault); got != uint64(c.Cage().Base())+uint64(fault) {
			t.Errorf("the handler saw a fault at %#x", got)
		}
	}
	frame := make([]byte, 0x1000)
	if err := c.Memory().Read(kept+0x8000, frame); err != nil || bytes.Count(frame, []byte{0}) == len(frame) {
		t.Errorf("nothing on the stack for exceptions: %v", err)
	}
	// One that wants none is alone with that.
	if call(other, naclException, 0, 0) != 0 {
		t.Error("a handler can't be removed")
	}
	var f *FaultError
	if err := other.Do(t.Context(), fault, &Call{}); !errors.As(err, &f) || f.Registers.RIP != uint64(fault) {
		t.Errorf("without a handler: %v", err)
	}
	other = resetOf(t, tp, other)
	if h := uint64(classicSymbol(t, "handler")); call(other, naclException, 0, 0) != 0 || call(other, naclException, h, 0) != 0 || call(other, naclException, 1<<30, 0) != -int32(unix.EFAULT) {
		t.Error("it does not know where its code is")
	}
	if got := visit(t, other, fault); got != uint64(other.Cage().Base())+uint64(fault) {
		t.Errorf("after a reset the handler saw a fault at %#x", got)
	}
}

// TestClassicTemplateInHandler: a fault of a copy of a domain that is in its handler is the
// end, as it would have been there.
func TestClassicTemplateInHandler(t *testing.T) {
	d := quietClassic(t, Config{})
	visit(t, d, classicSymbol(t, "call3"), slotBase+slotSize*naclException, uint64(classicSymbol(t, "stuck")), 0)
	visit(t, d, classicSymbol(t, "fault"))
	c := copyOf(t, classicTemplate(t, d))
	var f *FaultError
	if err := c.Do(t.Context(), classicSymbol(t, "fault"), &Call{}); !errors.As(err, &f) {
		t.Errorf("a fault in a handler: %v", err)
	}
}

// TestClassicTemplateRefused: a domain that does not wait for calls, or not with its
// only thread, stays what it is.
func TestClassicTemplateRefused(t *testing.T) {
	d := newClassic(t, Config{Invocable: true})
	if _, err := d.Template(); !errors.Is(err, ErrNotQuiet) {
		t.Errorf("without a thread: %v", err)
	}
	d = quietClassic(t, Config{})
	h, err := d.NewHostThread(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Template(); !errors.Is(err, ErrNotQuiet) {
		t.Errorf("with a thread of the host: %v", err)
	}
	h.Close()
	at, err := d.AddHostFunc(func(c *HostCall) {
		if _, err := d.Template(); !errors.Is(err, ErrNotQuiet) {
			t.Errorf("in a call: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	visit(t, d, classicSymbol(t, "callfn"), uint64(at), 0)
	classicTemplate(t, d)
}

// returnsClassic is a bundle that returns a number.
func returnsClassic(v uint32) []byte {
	b := append([]byte{0xb8}, imm(v)...)
	b = append(b, 0x41, 0x5b, 0x41, 0x83, 0xe3, 0xe0, 0x4d, 0x01, 0xfb, 0x41, 0xff, 0xe3)
	return append(b, bytes.Repeat([]byte{0x90}, 32-len(b))...)
}

// codeTemplate is a template with code that was created, modified, deleted, and is
// being deleted, at bundles 0, 1, 2, 3 and 5000 of its region.
func codeTemplate(t *testing.T) (*Template, *dyncode.Region, func(i uint32) uint32) {
	t.Helper()
	d := quietClassic(t, Config{})
	at := func(i uint32) uint32 {
		r, err := d.Dyncode()
		if err != nil {
			t.Fatal(err)
		}
		start, _ := r.Extent()
		return start + 32*i
	}
	var r *dyncode.Region
	for _, i := range []uint32{0, 1, 2, 3, 5000} {
		r, _ = dynamic(t, d, i, returnsClassic(100+i)...)
	}
	if err := r.Modify(at(1)+1, imm(1)); err != nil {
		t.Fatal(err)
	}
	if got := visit(t, d, classicSymbol(t, "call3"), slotBase+slotSize*naclDyncodeDelete, uint64(at(2)), 32); got != 0 {
		t.Fatal(got)
	}
	// The host's word does not count: the thread has not checked in.
	if err := r.Delete(at(3), 32); !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return classicTemplate(t, d), r, at
}

// deletes makes a guest's delete call.
func deletes(t *testing.T, d *Domain, at uint32, size uint64) unix.Errno {
	t.Helper()
	return unix.Errno(-int32(visit(t, d, classicSymbol(t, "call3"), slotBase+slotSize*naclDyncodeDelete, uint64(at), size)))
}

// TestTemplateDynamicCode: each copy has the code of the template, changes its own, and
// has that of the template again after a reset.
//
// Attack: code of others.
func TestTemplateDynamicCode(t *testing.T) {
	tp, r, at := codeTemplate(t)
	for what, err := range map[string]error{
		"create": r.Create(at(6), returnsClassic(1)), "modify": r.Modify(at(0)+1, imm(1)), "delete": r.Delete(at(0), 32),
	} {
		if !errors.Is(err, cage.ErrSnapshot) {
			t.Errorf("%s in a template: %v", what, err)
		}
	}
	check := func(d *Domain) {
		t.Helper()
		for i, want := range map[uint32]uint64{0: 100, 1: 1, 5000: 5100} {
			if got := visit(t, d, at(i)); got != want {
				t.Errorf("%d: it returns %d, want %d", i, got, want)
			}
		}
		for _, i := range []uint32{2, 3, 6} { // of a deletion the heads are gone
			var head [4]byte
			if err := d.Memory().Read(at(i), head[:]); err != nil || head != [4]byte{0xf4, 0xf4, 0xf4, 0xf4} {
				t.Errorf("%d: % x %v", i, head, err)
			}
		}
	}
	change := func(d *Domain) *dyncode.Region {
		t.Helper()
		check(d)
		r, err := d.Dyncode()
		if err != nil {
			t.Fatal(err)
		}
		// Its own threads must have said that they are not in there.
		if err := r.Create(at(3), returnsClassic(9)); !errors.Is(err, unix.EINVAL) {
			t.Errorf("over code that is being deleted: %v", err)
		}
		if err := r.Delete(at(3), 32); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("a deletion that the template began: %v", err)
		}
		check(d) // in pages of its own
		if e := deletes(t, d, at(3), 32); e != 0 {
			t.Errorf("the thread's own delete call: %v", e)
		}
		if e := deletes(t, d, at(0), 32); e != 0 {
			t.Errorf("delete: %v", e)
		}
		for _, i := range []uint32{0, 3, 6, 2, 30000} {
			if err := r.Create(at(i), returnsClassic(200+i)); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			if got := visit(t, d, at(i)); got != uint64(200+i) {
				t.Errorf("%d: new code returns %d", i, got)
			}
		}
		if err := r.Modify(at(1)+1, imm(7)); err != nil {
			t.Error(err)
		}
		if got := visit(t, d, at(1)); got != 7 {
			t.Errorf("modified code returns %d", got)
		}
		if err := r.Create(at(5000), returnsClassic(1)); !errors.Is(err, unix.EINVAL) {
			t.Errorf("over the template's code: %v", err)
		}
		return r
	}
	a, b := copyOf(t, tp), copyOf(t, tp)
	stale := change(a)
	check(b)
	check(copyOf(t, tp))
	a = resetOf(t, tp, a)
	refused := func() {
		t.Helper()
		if err := stale.Create(at(7), returnsClassic(66)); !errors.Is(err, cage.ErrClosed) {
			t.Errorf("the domain is gone, but not its region: %v", err)
		}
		if err := stale.Modify(at(1)+1, imm(66)); !errors.Is(err, cage.ErrClosed) {
			t.Errorf("the domain is gone, but not its region: %v", err)
		}
	}
	refused()
	stale = change(a)
	a.Close()
	refused()
	check(copyOf(t, tp))
	refused()
	change(b)
	b.Close()
	b = copyOf(t, tp)
	check(b)

	// Of a copy, whether it has changed something or not.
	for _, want := range []unix.Errno{0, unix.EFAULT} {
		b = copyOf(t, classicTemplate(t, b))
		check(b)
		if e := deletes(t, b, at(3), 32); e != want {
			t.Errorf("the deletion that the first template began: %v, want %v", e, want)
		}
	}
	// What the copies share is still there when nobody has the template.
	c := copyOf(t, tp)
	if err := tp.Close(); err != nil {
		t.Error(err)
	}
	change(c)
}

// TestTemplateDynamicCodeRuns: a thread does not notice that the pages of the code that it
// is executing become the copy's own.
//
// Attack: code of others.
func TestTemplateDynamicCodeRuns(t *testing.T) {
	tp, _, at := codeTemplate(t)
	again := classicSymbol(t, "again")
	rounds := 50
	if testing.Short() {
		rounds = 10
	}
	for i := range rounds {
		d := copyOf(t, tp)
		r, err := d.Dyncode()
		if err != nil {
			t.Fatal(err)
		}
		begun, done := make(chan struct{}), make(chan error)
		go func() {
			close(begun)
			done <- r.Create(at(uint32(100+i)), returnsClassic(1))
		}()
		<-begun
		const n = 200000
		if got := visit(t, d, again, uint64(at(0)), n); got != 100*n {
			t.Errorf("the sum is %d", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		d.Close()
	}
}

// TestClassicTemplateLeaks: neither a template nor copies of it leave anything.
func TestClassicTemplateLeaks(t *testing.T) {
	settled(t, func() {
		t.Run("", func(t *testing.T) {
			tp, _, at := codeTemplate(t)
			for i := range 5 {
				d := copyOf(t, tp)
				visit(t, d, at(0))
				if i%2 == 0 {
					if e := deletes(t, d, at(0), 32); e != 0 {
						t.Error(e)
					}
					d = resetOf(t, tp, d)
				}
				d.Close()
			}
		})
	})
}

// BenchmarkClassicTemplate is a copy of a template of 64 MiB, a message and its end, and a
// message and a reset; with dynamic code that is shared, and that is changed.
func BenchmarkClassicTemplate(b *testing.B) {
	d := quietClassic(b, Config{})
	const at, size = 0x40000000, 64 << 20
	if _, err := d.Cage().Map(at, size, cage.ProtRead|cage.ProtWrite, cage.FixedNoReplace); err != nil {
		b.Fatal(err)
	}
	for off := uint32(0); off < size; off += cage.PageSize {
		if err := d.Memory().Store32(at+off, off+1); err != nil {
			b.Fatal(err)
		}
	}
	_, code := dynamic(b, d, 0, returnsClassic(1)...)
	tp := classicTemplate(b, d)
	if n := tp.Size(); n < size {
		b.Fatalf("%d bytes are shared", n)
	}
	message := func(d *Domain) {
		if _, _, err := d.Invoke(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
	change := func(d *Domain) {
		message(d)
		r, err := d.Dyncode()
		if err == nil {
			err = r.Create(code+32, returnsClassic(2))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	for name, use := range map[string]func(*Domain){"": message, ",code": change} {
		b.Run("New"+name, func(b *testing.B) {
			for b.Loop() {
				d, th, err := tp.NewDomain(Config{})
				if err != nil {
					b.Fatal(err)
				}
				th.Wait()
				use(d)
				d.Close()
			}
		})
		b.Run("Reset"+name, func(b *testing.B) {
			d := copyOf(b, tp)
			for b.Loop() {
				use(d)
				var th *Thread
				var err error
				if d, th, err = tp.Reset(d, Config{}); err != nil {
					b.Fatal(err)
				}
				th.Wait()
			}
			d.Close()
		})
	}
}
