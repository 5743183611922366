package engine

import (
	"bytes"
	"os"
	"testing"
)

func mappings(tb testing.TB) int {
	tb.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.Count(b, []byte{'\n'})
}

func TestControlCalls(t *testing.T) {
	_, c := newGuest(t)
	if d := call(t, c, "depth"); d != 1 {
		t.Errorf("depth at the start is %d, want 1 (the exit stub)", d)
	}
	// Frames: readback's inner function, readback, the stub.
	text := symbol("readback")
	if got := call(t, c, "readback", 0); got < uint64(text) || got > uint64(text)+31 {
		t.Errorf("ctl_read(0) = %#x, want an address in readback", got)
	}
	for _, n := range []uint64{1, 2, 3, 1 << 20, 1 << 60, 1 << 61, 1 << 63, ^uint64(0)} {
		if got := call(t, c, "readback", n); got != 0 {
			t.Errorf("ctl_read(%#x) = %#x, want 0", n, got)
		}
	}
	for _, frames := range []uint64{0, 1, 5, 1000} {
		if got := call(t, c, "longjump", frames); got != 0 {
			t.Errorf("longjump through %d frames: depth differs by %d", frames, int64(got))
		}
	}
	// The target is masked to a bundle inside the sandbox, whatever rsi is:
	// add returns rdi + rsi.
	target := uint64(symbol("add")) + 7 + 0xdeadbeef<<32
	start(c, "unwind", 1, target)
	want(t, c, ExitReturn)
	if got := c.Regs().RAX; got != 1+target {
		t.Errorf("unwind to add: %#x, want %#x", got, 1+target)
	}
}

// TestFloor: a nested invocation can't unwind into the one around it.
func TestFloor(t *testing.T) {
	_, c := newGuest(t)
	start(c, "deep", 10)
	want(t, c, ExitCall)
	outer := c.ControlDepth()
	saved := c.Save()
	if d := call(t, c, "depth"); d != uint64(outer)+1 {
		t.Errorf("depth %d in a nested invocation, want %d", d, outer+1)
	}
	for d := uint64(0); d <= uint64(outer); d++ {
		start(c, "unwind", d, uint64(symbol("nothing")))
		want(t, c, ExitFault)
		if c.Fault().Kind != FaultControlUnwind {
			t.Fatalf("unwinding to %d of %d: %v", d, outer, c.Fault())
		}
		c.Leave()
	}
	start(c, "unwind", uint64(outer)+1, uint64(symbol("nothing")))
	want(t, c, ExitReturn)
	c.Restore(saved)
	want(t, c, ExitReturn)
	if c.ControlDepth() != 0 {
		t.Errorf("%d words left", c.ControlDepth())
	}
}

func TestBacktrace(t *testing.T) {
	_, c := newGuest(t)
	start(c, "deep", 5)
	want(t, c, ExitCall)
	at := symbol("deep")
	inside := func(b []uint32, n int) {
		t.Helper()
		if len(b) != n {
			t.Fatalf("%d return addresses, want %d: %#x", len(b), n, b)
		}
		for _, a := range b {
			if a < at || a > at+32 {
				t.Errorf("return address %#x, function at %#x", a, at)
			}
		}
	}
	inside(c.Backtrace(100), 6)
	inside(c.Backtrace(3), 3)
	saved := c.Save()
	start(c, "deep", 2)
	want(t, c, ExitCall)
	inside(c.Backtrace(100), 9)
	c.Leave()
	c.Restore(saved)
	inside(c.Backtrace(100), 6)
	want(t, c, ExitReturn)
}

// TestNesting: the host calls the guest from a call of the guest, with its own
// stack growing and shrinking in between.
func TestNesting(t *testing.T) {
	depth := 10_000
	if testing.Short() {
		depth = 1_000
	}
	const domains = 8
	var cs [domains]*Context
	for i := range cs {
		_, cs[i] = newGuest(t)
	}
	var down func(n int) uint64
	down = func(n int) uint64 {
		if n == 0 {
			return 0
		}
		c := cs[n%domains]
		saved := c.Save()
		start(c, "calls", 1)
		want(t, c, ExitCall)
		var pad [200]byte // makes the goroutine's stack move now and then
		pad[n%200] = 1
		below := down(n - 1)
		c.Regs().RAX = below + uint64(pad[n%200])
		want(t, c, ExitReturn)
		r := c.Regs().RAX
		c.Restore(saved)
		return r
	}
	done := make(chan uint64)
	go func() { done <- down(depth) }()
	if got := <-done; got != uint64(depth) {
		t.Errorf("came back with %d, want %d", got, depth)
	}
	for _, c := range cs {
		if c.ControlDepth() != 0 || c.Depth() != 0 {
			t.Errorf("control depth %d, invocations %d", c.ControlDepth(), c.Depth())
		}
	}
}

// TestSignalHandler: a guest's handler interrupts it anywhere and returns.
func TestSignalHandler(t *testing.T) {
	s, c := newGuest(t)
	in, out := s.regs(guestIn), s.regs(guestOut)
	in.pattern(77)
	start(c, "around")
	want(t, c, ExitCall)
	saved := c.Save()
	c.PushSignal(symbol("calls"), guestStack, 3)
	for range 3 {
		want(t, c, ExitCall)
	}
	want(t, c, ExitSignalReturn)
	c.Restore(saved)
	c.Regs().RAX = 9
	want(t, c, ExitReturn)
	expect := *in
	expect.GPR[0], expect.GPR[15] = 9, uint64(s.Base())
	out.differ(t, &expect, "rcx", "r11")
}

// TestEscape: a handler that leaves by ctl_unwind instead (siglongjmp).
func TestEscape(t *testing.T) {
	s, c := newGuest(t)
	for range 10 {
		*s.word(guestOut + 16) = 0
		start(c, "spinfor")
		interruptWhen(t, c, func() bool { return *s.word(guestOut + 16) != 0 })
		c.ClearInterrupt()
		c.PushSignal(symbol("escape"), guestStack)
		want(t, c, ExitReturn)
		if got := c.Regs().RAX; got != 99 {
			t.Fatalf("came back with %d", got)
		}
		if c.ControlDepth() != 0 {
			t.Fatalf("%d words left", c.ControlDepth())
		}
	}
}

func TestLeaveIsHarmless(t *testing.T) {
	_, c := newGuest(t)
	c.Leave()
	if got := call(t, c, "add", 1, 2); got != 3 {
		t.Error(got)
	}
}

func TestRefersTo(t *testing.T) {
	_, c := newGuest(t)
	deep, end := symbol("deep"), symbol("deep")+32
	if c.RefersTo(0, 0xffffffff) {
		t.Error("a thread that does nothing refers to something")
	}
	start(c, "deep", 3)
	if !c.RefersTo(deep, end) {
		t.Error("a call that is about to begin is overlooked")
	}
	want(t, c, ExitCall)
	if !c.RefersTo(deep, end) || c.RefersTo(end, 0xffffffff) || c.RefersTo(0, deep) {
		t.Error("return addresses are overlooked, or seen where there are none")
	}
	saved := c.Save()
	if !saved.RefersTo(deep, end) {
		t.Error("a saved state is overlooked")
	}
	call(t, c, "add", 1, 2)
	if !c.RefersTo(deep, end) {
		t.Error("the invocation around is overlooked")
	}
	c.Restore(saved)
	want(t, c, ExitReturn)
	start(c, "spin")
	go c.Interrupt()
	want(t, c, ExitInterrupt)
	c.ClearInterrupt()
	if at := symbol("spin"); !c.RefersTo(at, at+1) {
		t.Error("an interrupted instruction is overlooked")
	}
	c.Leave()
}
