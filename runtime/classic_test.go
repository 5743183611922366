package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/assembled"
	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/loader"

	"bytes"
)

// newClassic makes a domain with testdata/classic.s, which is loaded as a program.
func newClassic(t testing.TB, c Config) *Domain {
	t.Helper()
	code, _, err := assembled.Read("testdata/classic.hex")
	if err != nil {
		t.Fatal(err)
	}
	c.Classic = true
	d, err := NewDomain(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	b := nexe.Program(64, code, nil, make([]byte, 16)).Bytes()
	f, err := loader.ReadClassic(bytes.NewReader(b), int64(len(b)), "classic.s", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.MapClassic(d.Cage(), f); err != nil {
		t.Fatal(err)
	}
	if err := d.SetClassicCode(f.TextEnd, f.DynamicEnd); err != nil {
		t.Fatal(err)
	}
	return d
}

func classicSymbol(t testing.TB, name string) uint32 {
	t.Helper()
	_, symbols, err := assembled.Read("testdata/classic.hex")
	if err != nil {
		t.Fatal(err)
	}
	at, ok := symbols[name]
	if !ok {
		t.Fatalf("classic.hex has no %s", name)
	}
	return at
}

// TestClassicCalls: calls from the host, and Go functions that the guest calls.
func TestClassicCalls(t *testing.T) {
	d := newClassic(t, Config{})
	ctx := context.Background()
	if r, err := d.Call(ctx, classicSymbol(t, "add"), 40, 2); err != nil || r != 42 {
		t.Errorf("add: %d %v", r, err)
	}
	var got []uint64
	f, err := d.AddHostFunc(func(c *HostCall) {
		got = nil
		for i := range 8 {
			got = append(got, c.Arg(i))
		}
		c.Return(0xfedcba9876543210)
	})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := d.Call(ctx, classicSymbol(t, "manyargs"), uint64(f)); err != nil || r != 0xfedcba9876543210 {
		t.Errorf("manyargs: %#x %v", r, err)
	}
	if fmt.Sprint(got) != "[1 2 3 4 5 6 7 8]" {
		t.Errorf("arguments %v", got)
	}
	if r, err := d.Call(ctx, classicSymbol(t, "kept"), uint64(f)); err != nil || r != 0 {
		t.Errorf("kept: %#x %v", r, err)
	}
	// A number that never was a function is none of NaCl's; one that was is an error.
	if r, err := d.Call(ctx, classicSymbol(t, "callfn"), uint64(f+32), 0); err != nil || int32(r) != 1-int32(unix.EINVAL) {
		t.Errorf("no function: %#x %v", r, err)
	}
	d.RevokeHostFunc(f)
	var revoked *RevokedError
	if _, err := d.Call(ctx, classicSymbol(t, "callfn"), uint64(f), 0); !errors.As(err, &revoked) {
		t.Errorf("revoked: %v", err)
	}
}

// TestInSandbox: the last byte belongs to the sandbox, nothing is at 0, and no sum of
// two numbers is mistaken for another.
func TestInSandbox(t *testing.T) {
	const end = 1 << 32
	for _, test := range []struct {
		addr, n uint64
		want    bool
	}{
		{0, 0, false}, {0, 1, false}, {1, 0, true}, {1, end - 1, true}, {1, end, false}, {end - 4, 4, true}, {end - 4, 5, false},
		{end, 0, true}, {end, 1, false}, {end + 1, 0, false}, {1 << 63, 1 << 63, false}, {5, 1<<64 - 5, false}, {5, 1<<64 - 1, false}, {1<<64 - 1, 2, false},
	} {
		if got := InSandbox(test.addr, test.n); got != test.want {
			t.Errorf("%#x bytes at %#x: %v", test.n, test.addr, got)
		}
	}
}

// TestClassicHostFuncs: there are as many as trampolines that are functions.
func TestClassicHostFuncs(t *testing.T) {
	d := newClassic(t, Config{})
	n := 0
	for {
		at, err := d.AddHostFunc(func(c *HostCall) { c.Return(c.Arg(0)) })
		if errors.Is(err, ErrHostFuncs) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
		if r, err := d.Call(context.Background(), classicSymbol(t, "callfn"), uint64(at), 5); err != nil || r != 6 {
			t.Fatalf("function %d at %#x: %d %v", n, at, r, err)
		}
	}
	if n != maxClassicHostFuncs {
		t.Errorf("%d functions, want %d", n, maxClassicHostFuncs)
	}
}

// TestClassicRecursion: a guest that calls itself through the host comes to an end
// that is an error of its own.
func TestClassicRecursion(t *testing.T) {
	d := newClassic(t, Config{})
	fn := classicSymbol(t, "callfn")
	depth, limit := 0, 10000
	var at uint32
	at, err := d.AddHostFunc(func(c *HostCall) {
		if depth++; depth == limit {
			return
		}
		r, err := c.Thread().Invoke(fn, uint64(at), 0)
		if err != nil {
			c.Return(1 << 20)
			return
		}
		c.Return(r + 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.NewHostThread(0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	// 256 KiB of guest stack are 10,000 calls of 24 bytes and the red zones not.
	limit = 1000
	if r, err := h.Call(context.Background(), fn, uint64(at), 0); err != nil || r != 2*uint64(limit)-1 {
		t.Errorf("%d levels returned %d, %v", limit, r, err)
	}
	// Without end: the guest's stack is full first, and that is an error where it
	// happens; nothing else breaks.
	depth, limit = 0, 1<<30
	if r, err := h.Call(context.Background(), fn, uint64(at), 0); err != nil || r < 1<<20 {
		t.Errorf("recursion without end: %d, %v at depth %d", r, err, depth)
	}
	if r, err := h.Call(context.Background(), classicSymbol(t, "add"), 1, 2); err != nil || r != 3 {
		t.Errorf("afterwards: %d, %v", r, err)
	}
}

// TestClassicDepth: the bound of invocations holds where the stack does not.
func TestClassicDepth(t *testing.T) {
	d := newClassic(t, Config{})
	stack, err := d.Cage().Map(0, 64<<20, cage.ProtRead|cage.ProtWrite, cage.Hint)
	if err != nil {
		t.Fatal(err)
	}
	fn := classicSymbol(t, "callfn")
	depth := 0
	var at uint32
	var last error
	at, err = d.AddHostFunc(func(c *HostCall) {
		depth++
		call := Call{Stack: stack + 64<<20 - uint32(depth)*1024}
		call.Int[0] = uint64(at)
		if err := c.Thread().Do(fn, &call); err != nil && last == nil {
			last = err
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Call(context.Background(), fn, uint64(at), 0); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(last, errControlStack) || depth != maxClassicDepth {
		t.Errorf("%v at depth %d, want it at %d", last, depth, maxClassicDepth)
	}
}

// TestClassicPanic: a Go function's panic leaves the guest; the domain goes on.
func TestClassicPanic(t *testing.T) {
	d := newClassic(t, Config{})
	at, err := d.AddHostFunc(func(c *HostCall) { panic("from the host") })
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.NewHostThread(0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 100 {
		func() {
			defer func() {
				if p := recover(); p != "from the host" {
					t.Errorf("recovered %v", p)
				}
			}()
			h.Call(context.Background(), classicSymbol(t, "callfn"), uint64(at), 0)
		}()
	}
	if r, err := h.Call(context.Background(), classicSymbol(t, "add"), 1, 2); err != nil || r != 3 {
		t.Errorf("afterwards: %d, %v", r, err)
	}
}

// TestClassicEnd: deadlines and faults end a classic domain with their reason.
func TestClassicEnd(t *testing.T) {
	d := newClassic(t, Config{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := d.Call(ctx, classicSymbol(t, "spin")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("spin: %v", err)
	}
	d = newClassic(t, Config{})
	var f *FaultError
	if _, err := d.Call(context.Background(), classicSymbol(t, "fault")); !errors.As(err, &f) || f.Signal != int(unix.SIGILL) ||
		f.Registers.R15 != 0 || f.Registers.RSP>>32 != 0 || f.Registers.RBP>>32 != 0 || f.Registers.RIP != uint64(classicSymbol(t, "fault")) {
		t.Errorf("fault: %v, %+v", err, f)
	}
}

// TestClassicBeside: two domains of different ABIs in one process, which call each
// other through the host, nested, from several goroutines at once.
func TestClassicBeside(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			c := newClassic(t, Config{})
			fn := classicSymbol(t, "callfn")
			var at uint32
			s := &scripted{}
			s.syscall = func(th *Thread, nr uint64, a [6]uint64) int64 {
				if a[0] == 0 {
					return 1000
				}
				r, err := c.Call(context.Background(), fn, uint64(at), a[0]-1)
				if err != nil {
					t.Error(err)
				}
				return int64(r)
			}
			h := newGuest(t, s)
			at, _ = c.AddHostFunc(func(hc *HostCall) {
				// The other ABI, one level deeper.
				r, err := h.Call(context.Background(), symbol(t, "call"), 0, hc.Arg(0))
				if err != nil {
					t.Error(err)
				}
				hc.Return(r)
			})
			for depth := range uint64(20) {
				r, err := h.Call(context.Background(), symbol(t, "call"), 0, depth)
				if err != nil || r != 1000+depth {
					t.Errorf("goroutine %d, depth %d: %d %v", g, depth, r, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestClassicLeaks: a domain leaves nothing behind.
func TestClassicLeaks(t *testing.T) {
	settled(t, func() {
		d := newClassic(t, Config{})
		if _, err := d.Call(context.Background(), classicSymbol(t, "add"), 1, 2); err != nil {
			t.Error(err)
		}
		d.Close()
	})
}

// BenchmarkClassicInvoke is a call of a function from the host, BenchmarkClassicCallback
// one of a Go function by the guest.
func BenchmarkClassicInvoke(b *testing.B) {
	d := newClassic(b, Config{})
	h, err := d.NewHostThread(0)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	fn, ctx := classicSymbol(b, "add"), context.Background()
	for b.Loop() {
		if _, err := h.Call(ctx, fn, 1, 2); err != nil {
			b.Fatal(err)
		}
	}
}
