package halite_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/dyncode"
	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/loader"
)

// newTemplate is of the test library, which has counted to 9, counted to 2 in its thread
// and keeps n bytes of ones.
func newTemplate(t testing.TB, c halite.Config, n int) *halite.Template {
	t.Helper()
	lib, err := halite.Load(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lib.Close() })
	if c.Callers <= 1 {
		call(t, lib, "count")
		call(t, lib, "count")
		call(t, lib, "next_of_thread")
		call(t, lib, "next_of_thread")
		call(t, lib, "keep", halite.Int(n))
	}
	tp, err := lib.Template()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tp.Close() })
	return tp
}

func newCopy(t testing.TB, tp *halite.Template) *halite.Library {
	t.Helper()
	lib, err := tp.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lib.Close() })
	return lib
}

const keptBytes = 4 << 20

// fresh checks that a library is what newTemplate made.
func fresh(t testing.TB, lib *halite.Library) {
	t.Helper()
	for i := int32(10); i < 12; i++ {
		if n := call(t, lib, "count").Int32(); n != i {
			t.Fatalf("it counted to %d, not %d", n, i)
		}
	}
	if n := call(t, lib, "next_of_thread").Int32(); n != 3 {
		t.Fatalf("its thread counted to %d", n)
	}
	if n := call(t, lib, "kept_sum").Int64(); n != keptBytes {
		t.Fatalf("what it keeps sums up to %d", n)
	}
	if n := call(t, lib, "call_add", halite.Int(3), halite.Int(4)).Int32(); n != 7 {
		t.Fatalf("the host added 3 and 4 to %d", n)
	}
}

// TestTemplate: copies begin where the template stands, whatever others have done.
func TestTemplate(t *testing.T) {
	c := config(t, "liblibrary.so")
	out := new(bytes.Buffer)
	c.Stdout = out
	c.Mounts = []halite.Mount{{Guest: "/tmp"}}
	lib, err := halite.Load(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	count, err := lib.Func("count")
	if err != nil {
		t.Fatal(err)
	}
	lib.Close()
	tp := newTemplate(t, c, keptBytes)
	if n := tp.Size(); n < keptBytes || n > 2*keptBytes {
		t.Errorf("%d bytes are shared", n)
	}
	a, b := newCopy(t, tp), newCopy(t, tp)
	fresh(t, a)
	call(t, a, "touch", halite.Int(4096))
	call(t, a, "touch", halite.Int(100000))
	call(t, a, "close_file", halite.Int(call(t, a, "open_file", halite.String("/tmp/mine")).Int32()))
	if call(t, a, "have_file", halite.String("/tmp/mine")).Int32() != 1 || call(t, b, "have_file", halite.String("/tmp/mine")).Int32() != 0 {
		t.Error("a file in memory is where it should not be")
	}
	fresh(t, b)
	call(t, b, "say", halite.String("of a copy\n"))
	if _, err := count.Call(t.Context()); !errors.Is(err, halite.ErrEnded) {
		t.Error(err)
	}
	if err := b.Exit(t.Context()); err != nil {
		t.Error(err)
	}
	if got := out.String(); got != "of a copy\ndestructed\n" {
		t.Errorf("%q", got)
	}
	// A function of a copy, and threads, TLS of theirs included.
	call(t, a, "in_thread", halite.Pointer(mustFunc(t, a, "half")))
	for range 30 {
		fresh(t, newCopy(t, tp))
	}
	// What is shared goes with the last.
	d := newCopy(t, tp)
	if err := tp.Close(); err != nil {
		t.Error(err)
	}
	if _, err := tp.New(); err == nil {
		t.Error("a copy of a closed template")
	}
	fresh(t, d)
	if err := d.Reset(); err == nil {
		t.Error("reset to a closed template")
	}
	if _, err := d.Func("count"); err == nil {
		if _, err = mustGet(t, d, "count").Call(t.Context()); !errors.Is(err, halite.ErrEnded) {
			t.Error(err)
		}
	}
}

func mustGet(t *testing.T, lib *halite.Library, name string) *halite.Func {
	t.Helper()
	f, err := lib.Func(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTemplateReset: whatever has become of a copy, it is as it was again, and the next
// copy, which gets the sandbox of one that was closed, is too.
func TestTemplateReset(t *testing.T) {
	t.Run("reset", func(t *testing.T) {
		testTemplateReset(t, func(_ *halite.Template, lib **halite.Library) error { return (*lib).Reset() })
	})
	t.Run("another", func(t *testing.T) {
		testTemplateReset(t, func(tp *halite.Template, lib **halite.Library) error {
			if err := (*lib).Close(); err != nil {
				return err
			}
			n, err := tp.New()
			if err == nil {
				*lib = n
				t.Cleanup(func() { n.Close() })
			}
			return err
		})
	})
}

func testTemplateReset(t *testing.T, reset func(*halite.Template, **halite.Library) error) {
	c := config(t, "liblibrary.so")
	c.Mounts = []halite.Mount{{Guest: "/tmp"}}
	c.MaxMemory = 64 << 20
	tp := newTemplate(t, c, keptBytes)
	lib := newCopy(t, tp)
	for i, ruin := range []func(){
		func() {},
		func() { try(lib, "crash") },
		func() { try(lib, "leave", halite.Int(3)) },
		func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if _, err := mustGet(t, lib, "spin").Call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		},
		func() { call(t, lib, "keep", halite.Int(20<<20)); call(t, lib, "touch", halite.Int(1)) },
		func() { call(t, lib, "open_file", halite.String("/tmp/left")) },
		func() { call(t, lib, "begin_thread"); call(t, lib, "begin_thread") },
		func() { call(t, lib, "touch", halite.Int(4096)) },
		func() {
			p, err := lib.Malloc(t.Context(), 30<<20)
			if err != nil {
				t.Fatal(err)
			}
			if err := lib.Memory().Zero(uint32(p), 30<<20); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			cb, err := lib.Callback(func(x int32) int32 { return 2 * x })
			if err != nil {
				t.Fatal(err)
			}
			if n := call(t, lib, "apply", cb.Arg(), halite.Int(4)).Int32(); n != 9 {
				t.Error(n)
			}
		},
	} {
		countFunc := mustGet(t, lib, "count")
		was := lib
		ruin()
		if err := reset(tp, &lib); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if call(t, lib, "have_file", halite.String("/tmp/left")).Int32() != 0 {
			t.Errorf("%d: a file was left", i)
		}
		fresh(t, lib)
		if r, err := countFunc.Call(t.Context()); lib == was && (err != nil || r.Int32() != 12) || lib != was && !errors.Is(err, halite.ErrEnded) {
			t.Errorf("%d: %v %v", i, r, err)
		}
		if n := lib.Process().Stats().Threads; n != 1 {
			t.Errorf("%d: %d threads", i, n)
		}
		if err := reset(tp, &lib); err != nil {
			t.Fatal(err)
		}
	}
	other, err := halite.Load(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.Reset() == nil {
		t.Error("reset to no template")
	}
}

// TestTemplateRefused: what can't be had twice keeps a library from becoming a
// template, and it goes on.
func TestTemplateRefused(t *testing.T) {
	c := config(t, "liblibrary.so")
	c.Mounts = []halite.Mount{{Guest: "/tmp"}}
	var lib *halite.Library
	refused := func(what string) {
		t.Helper()
		_, err := lib.Template()
		if !errors.Is(err, halite.ErrTemplate) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c.Functions["host_again"] = func(call *halite.Call) {
		refused("in a call")
		call.Return(0)
	}
	lib, err := halite.Load(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	call(t, lib, "again", halite.Int(1))
	fd := call(t, lib, "open_file", halite.String("/tmp/x")).Int32()
	refused("descriptor 3")
	call(t, lib, "close_file", halite.Int(fd))
	call(t, lib, "begin_thread")
	refused("2 threads")
	if n := call(t, lib, "count").Int32(); n != 8 {
		t.Errorf("it counted to %d", n)
	}

	c.Callers = 3
	several, err := halite.Load(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer several.Close()
	call(t, several, "count")
	lib = several
	refused("2 threads")
	call(t, several, "count")

	ended, err := halite.Load(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ended.Close()
	lib = ended
	refused("")
}

// TestTemplateDynamicCode: code that the host has put there, the copies have; each deletes
// and replaces its own, once its own threads are out of it.
func TestTemplateDynamicCode(t *testing.T) {
	lib, err := halite.Load(t.Context(), config(t, "liblibrary.so"))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	code := func(v byte) []byte {
		return append([]byte{0xb8, v, 0, 0, 0, 0xc3}, bytes.Repeat([]byte{0x90}, 26)...)
	}
	region := func(lib *halite.Library) *dyncode.Region {
		r, err := lib.Process().Domain().Dyncode()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := region(lib)
	at, _ := r.Extent()
	returns := func(lib *halite.Library, at uint32, want int32) {
		t.Helper()
		if got, err := lib.FuncAt(halite.Ptr(at)).Call(t.Context()); err != nil || got.Int32() != want {
			t.Errorf("%d %v, want %d", got.Int32(), err, want)
		}
	}
	for i := range uint32(3) {
		if err := r.Create(at+32*i, code(byte(i))); err != nil {
			t.Fatal(err)
		}
		returns(lib, at+32*i, int32(i))
	}
	if err := r.Delete(at+64, 32); !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	tp, err := lib.Template()
	if err != nil {
		t.Fatal(err)
	}
	defer tp.Close()
	if err := r.Delete(at, 32); !errors.Is(err, cage.ErrSnapshot) {
		t.Errorf("code of a template: %v", err)
	}
	use := func(lib *halite.Library) {
		t.Helper()
		returns(lib, at, 0)
		returns(lib, at+32, 1)
		r := region(lib)
		for i := range uint32(3) {
			// The second is not begun here, and the third was by the template.
			if err := r.Delete(at+32*i, 32); !errors.Is(err, syscall.EAGAIN) {
				t.Errorf("%d: a thread of the copy has not been asked: %v", i, err)
			}
			if err := r.Create(at+32*i, code(9)); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%d: over code that is being deleted: %v", i, err)
			}
		}
		for i := range uint32(3) {
			for n := 0; ; n++ {
				call(t, lib, "nothing") // answers
				err := r.Delete(at+32*i, 32)
				if err == nil {
					break
				}
				if !errors.Is(err, syscall.EAGAIN) || n > 3 {
					t.Fatal(err)
				}
			}
			if err := r.Create(at+32*i, code(byte(20+i))); err != nil {
				t.Error(err)
			}
			returns(lib, at+32*i, int32(20+i))
		}
	}
	a, b := newCopy(t, tp), newCopy(t, tp)
	use(a)
	use(b)
	stale := region(a)
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := stale.Create(at+96, code(1)); !errors.Is(err, cage.ErrClosed) {
		t.Errorf("the code of a sandbox that was reset can be changed: %v", err)
	}
	use(a)
	b.Close()
	use(newCopy(t, tp))
	use(newCopy(t, tp))
	// Whoever has held on to the domain of a copy sets nothing aside in the next one.
	c := newCopy(t, newTemplate(t, config(t, "liblibrary.so"), 1))
	old := c.Process().Domain()
	if err := c.Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Dyncode(); !errors.Is(err, halite.ErrEnded) {
		t.Errorf("dynamic code of a domain that is gone: %v", err)
	}
}

// TestTemplateCallers: copies have as many threads for calls as their template.
func TestTemplateCallers(t *testing.T) {
	c := config(t, "liblibrary.so")
	c.Callers = 3
	lib := newCopy(t, newTemplate(t, c, 0))
	for range 2 {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := mustGet(t, lib, "meet").Call(t.Context(), halite.Int(3)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := lib.Reset(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTemplateLimits: each copy has the limits for itself, and can't have more by being
// one.
func TestTemplateLimits(t *testing.T) {
	c := config(t, "liblibrary.so")
	c.MaxMemory = 48 << 20
	tp := newTemplate(t, c, keptBytes)
	for range 3 {
		lib := newCopy(t, tp)
		if _, err := lib.Malloc(t.Context(), 30<<20); err != nil {
			t.Error(err)
		}
		if _, err := lib.Malloc(t.Context(), 30<<20); !errors.Is(err, halite.ErrNoMemory) {
			t.Error(err)
		}
		if err := lib.Reset(); err != nil {
			t.Fatal(err)
		}
		if _, err := lib.Malloc(t.Context(), 30<<20); err != nil {
			t.Error(err)
		}
	}
}

// TestTemplateParallel: copies are made, used, reset and closed by several goroutines.
func TestTemplateParallel(t *testing.T) {
	tp := newTemplate(t, config(t, "liblibrary.so"), keptBytes)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 10 {
				lib, err := tp.New()
				if err != nil {
					t.Error(err)
					return
				}
				for range g + 1 {
					fresh(t, lib)
					call(t, lib, "touch", halite.Int(4096))
					if i%3 == 0 {
						try(lib, "crash")
					}
					if err := lib.Reset(); err != nil {
						t.Error(err)
					}
				}
				lib.Close()
			}
		})
	}
	wg.Wait()
}

// TestTemplateLeaks: copies leave nothing behind.
func TestTemplateLeaks(t *testing.T) {
	tp := newTemplate(t, config(t, "liblibrary.so"), 64<<10)
	round := func(i int) {
		lib, err := tp.New()
		if err != nil {
			t.Fatal(err)
		}
		call(t, lib, "count")
		if i%3 == 0 {
			try(lib, "crash")
		}
		if i%2 == 0 {
			if err := lib.Reset(); err != nil {
				t.Fatal(err)
			}
		}
		if err := lib.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		round(i)
	}
	before := resources()
	for i := range 300 {
		round(i)
	}
	noMore(t, before)
}

// TestTemplateSpares: many copies at once leave behind no more than a few do, and nothing
// when the template is closed.
func TestTemplateSpares(t *testing.T) {
	round := func(first bool) [3]int {
		lib, err := halite.Load(t.Context(), config(t, "liblibrary.so"))
		if err != nil {
			t.Fatal(err)
		}
		tp, err := lib.Template()
		if err != nil {
			t.Fatal(err)
		}
		some := func(n int) {
			all := make([]*halite.Library, n)
			for i := range all {
				all[i] = newCopy(t, tp)
				call(t, all[i], "count")
			}
			for _, lib := range all {
				if err := lib.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		some(2 * runtime.GOMAXPROCS(0))
		few := resources()
		some(20 * runtime.GOMAXPROCS(0))
		if !first {
			noMore(t, few)
		}
		last := newCopy(t, tp)
		if err := tp.Close(); err != nil {
			t.Error(err)
		}
		call(t, last, "count")
		last.Close()
		return resources()
	}
	// The first round leaves control stacks for all threads to come.
	before := round(true)
	round(false)
	noMore(t, before)
}

// TestTemplateCallbacks: the template's Go functions are all copies', until one of them
// revokes one or makes others, which concerns nobody else.
func TestTemplateCallbacks(t *testing.T) {
	c := config(t, "liblibrary.so")
	lib, err := halite.Load(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	times := func(n int32) func(x int32) int32 { return func(x int32) int32 { return n * x } }
	shared, err := lib.Callback(times(2))
	if err != nil {
		t.Fatal(err)
	}
	tp, err := lib.Template()
	if err != nil {
		t.Fatal(err)
	}
	defer tp.Close()
	apply := func(lib *halite.Library, at halite.Ptr, want int32) {
		t.Helper()
		if n := call(t, lib, "apply", halite.Pointer(at), halite.Int(4)).Int32(); n != want {
			t.Errorf("%d, not %d", n, want)
		}
	}
	a, b := newCopy(t, tp), newCopy(t, tp)
	apply(a, shared.Ptr(), 9)
	mine, err := a.Callback(times(3))
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Callback(times(5))
	if err != nil {
		t.Fatal(err)
	}
	if mine.Ptr() != other.Ptr() {
		t.Fatalf("at %#x and %#x", mine.Ptr(), other.Ptr())
	}
	apply(a, mine.Ptr(), 13)
	apply(b, other.Ptr(), 21)
	apply(b, shared.Ptr(), 9)
	late := newCopy(t, tp)
	var revoked *halite.RevokedError
	if _, err := mustGet(t, late, "apply").Call(t.Context(), halite.Pointer(mine.Ptr()), halite.Int(4)); !errors.As(err, &revoked) {
		t.Errorf("a function of another copy: %v", err)
	}
	at := shared.Ptr()
	shared.Close()
	apply(a, at, 9)
	apply(b, at, 9)
}

// resources counts goroutines, descriptors and mappings.
func resources() [3]int {
	loader.FlushFiles() // what is kept for the next time is no leak
	ld.FlushLinks()
	fds, _ := os.ReadDir("/proc/self/fd")
	maps, _ := os.ReadFile("/proc/self/maps")
	return [3]int{runtime.NumGoroutine(), len(fds), bytes.Count(maps, []byte("\n"))}
}

// noMore waits until there are no more than before.
func noMore(t *testing.T, before [3]int) {
	t.Helper()
	var after [3]int
	for range 200 {
		after = resources()
		if after[0] <= before[0] && after[1] <= before[1] && after[2] <= before[2]+20 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("goroutines, descriptors, mappings: %v before, %v after", before, after)
}

// TestTemplateInvoke: a program that waits for messages can be a template.
func TestTemplateInvoke(t *testing.T) {
	c := config(t, "invoked")
	c.Functions, c.Invocable = nil, true
	p, err := halite.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Template(); !errors.Is(err, halite.ErrTemplate) {
		t.Errorf("before it was started: %v", err)
	}
	if _, _, err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answer, _, err := p.Invoke(t.Context(), []byte("first")); err != nil || string(answer) != "1:first" {
		t.Fatalf("%q %v", answer, err)
	}
	tp, err := p.Template()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Invoke(t.Context(), nil); err == nil {
		t.Error("a template answered")
	}
	for range 3 {
		q, err := tp.NewProcess()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"2:of a copy", "3:of a copy"} {
			if answer, _, err := q.Invoke(t.Context(), []byte("of a copy")); err != nil || string(answer) != want {
				t.Errorf("%q, not %q: %v", answer, want, err)
			}
		}
		if q, err = tp.Reset(q); err != nil {
			t.Fatal(err)
		}
		if answer, _, err := q.Invoke(t.Context(), []byte("x")); err != nil || string(answer) != "2:x" {
			t.Errorf("%q %v", answer, err)
		}
		q.Close()
	}
}
