package engine

import (
	"strings"
	"syscall"
	"testing"
)

// TestFaults: each kind of fault is reported, and the same thread goes on.
func TestFaults(t *testing.T) {
	s, c := newGuest(t)
	for _, test := range []struct {
		name   string
		args   []uint64
		signal syscall.Signal
		kind   FaultKind
		addr   uint32
		inside bool
	}{
		{"read", []uint64{0}, syscall.SIGSEGV, FaultRead, 0, true},
		{"read", []uint64{0xfff8}, syscall.SIGSEGV, FaultRead, 0xfff8, true},
		{"read", []uint64{0xfffffff8}, syscall.SIGSEGV, FaultRead, 0xfffffff8, true},
		{"write", []uint64{0x8000, 1}, syscall.SIGSEGV, FaultWrite, 0x8000, true},
		{"write", []uint64{guestReadOnly + 8, 1}, syscall.SIGSEGV, FaultWrite, guestReadOnly + 8, true},
		{"write", []uint64{guestText, 1}, syscall.SIGSEGV, FaultWrite, guestText, true},
		{"write", []uint64{0x10000, 1}, syscall.SIGSEGV, FaultWrite, 0x10000, true},
		{"jump", []uint64{guestIn}, syscall.SIGSEGV, FaultExec, guestIn, true},
		{"jump", []uint64{0}, syscall.SIGSEGV, FaultExec, 0, true},
		{"illegal", nil, syscall.SIGILL, FaultIllegal, 0, false},
		{"halt", nil, syscall.SIGSEGV, FaultProtection, 0, false},
		{"breakpoint", nil, syscall.SIGTRAP, FaultBreakpoint, 0, false},
		{"divide", nil, syscall.SIGFPE, FaultDivide, 0, false},
		{"simd", nil, syscall.SIGFPE, FaultSIMD, 0, false},
		{"misaligned", nil, syscall.SIGSEGV, FaultProtection, 0, false},
		{"x87fault", nil, syscall.SIGFPE, FaultX87, 0, false},
		{"recurse", nil, syscall.SIGSEGV, FaultControlOverflow, 0, false},
		{"underflow", nil, syscall.SIGSEGV, FaultControlUnderflow, 0, false},
		{"unwind", []uint64{5, guestText}, syscall.SIGILL, FaultControlUnwind, 0, false},
		{"unwind", []uint64{0, guestText}, syscall.SIGILL, FaultControlUnwind, 0, false},
		{"unwind", []uint64{1 << 63, guestText}, syscall.SIGILL, FaultControlUnwind, 0, false},
		{"unwind", []uint64{1 << 61, guestText}, syscall.SIGILL, FaultControlUnwind, 0, false},
	} {
		start(c, test.name, test.args...)
		x := c.Resume()
		if x.Reason != ExitFault {
			t.Errorf("%s(%#x): %v", test.name, test.args, x.Reason)
			c.Leave()
			continue
		}
		f := c.Fault()
		if f.Signal != test.signal || f.Kind != test.kind || f.InSandbox != test.inside || f.AddrOffset != test.addr {
			t.Errorf("%s(%#x): %v (%+v)", test.name, test.args, f, f)
		}
		at := symbol(test.name)
		switch {
		case test.name == "jump":
			if f.PC != test.addr {
				t.Errorf("%s(%#x): pc %#x", test.name, test.args, f.PC)
			}
		case test.name == "underflow": // nothing is known of a pc without a caller
		case f.PC < at || f.PC > at+96:
			t.Errorf("%s: pc %#x, function at %#x", test.name, f.PC, at)
		}
		if f.Regs.RIP>>32 != uint64(s.Base())>>32 && test.name != "underflow" {
			t.Errorf("%s: rip %#x outside of the sandbox", test.name, f.Regs.RIP)
		}
		if !strings.Contains(f.Error(), string(test.kind)) {
			t.Errorf("%s: message %q", test.name, f.Error())
		}
		c.Leave()
		if d := c.ControlDepth(); d != 0 {
			t.Errorf("%s: %d words left on the control stack", test.name, d)
		}
		if got := call(t, c, "add", 20, 22); got != 42 {
			t.Fatalf("after %s, add = %d", test.name, got)
		}
	}
}

// TestBomb: an x87 exception that a guest leaves pending hits the guest, or
// nobody.
func TestBomb(t *testing.T) {
	_, c := newGuest(t)
	for _, name := range []string{"bombcall", "bombdepth"} {
		start(c, name)
		want(t, c, ExitFault)
		if f := c.Fault(); f.Kind != FaultX87 || f.PC>>16 != 1 {
			t.Errorf("%s: %v", name, f)
		}
		c.Leave()
	}
	start(c, "bombreturn")
	want(t, c, ExitReturn)
	if got := call(t, c, "add", 1, 1); got != 2 {
		t.Errorf("add = %d", got)
	}
	c.PushSignal(symbol("bombreturn"), guestStack)
	want(t, c, ExitSignalReturn)
}

// TestResumeFault: the state after a fault is complete; once the reason is
// gone, the guest goes on as if nothing had been.
func TestResumeFault(t *testing.T) {
	s, c := newGuest(t)
	start(c, "read", 0x300000)
	want(t, c, ExitFault)
	if x := want(t, c, ExitFault); x.Reason != ExitFault {
		t.Fatal(x)
	}
	if _, err := s.Map(0x300000, 4096, 3, 1); err != nil {
		t.Fatal(err)
	}
	*s.word(0x300000) = 4711
	want(t, c, ExitReturn)
	if got := c.Regs().RAX; got != 4711 {
		t.Errorf("read %d", got)
	}
}

// TestFaultStorm: faults in a row leave nothing behind.
func TestFaultStorm(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	_, c := newGuest(t)
	names := []string{"illegal", "read", "divide", "halt", "x87fault"}
	run := func(n int) {
		for i := range n {
			start(c, names[i%len(names)])
			want(t, c, ExitFault)
			c.Leave()
		}
	}
	run(100)
	before := mappings(t)
	run(n)
	if after := mappings(t); after > before+8 {
		t.Errorf("%d mappings before, %d after %d faults", before, after, n)
	}
	if c.ControlDepth() != 0 || c.Depth() != 0 {
		t.Errorf("control depth %d, invocations %d", c.ControlDepth(), c.Depth())
	}
}

// TestNoRoom: an invocation that finds the control stack full is the guest's
// fault, and is undone like any other.
func TestNoRoom(t *testing.T) {
	s := newSandbox(t)
	c := s.context(ContextOptions{ControlStackSize: 4096})
	depth := 0
	for {
		start(c, "deep", 20)
		x := c.Resume()
		if x.Reason == ExitFault {
			if c.Fault().Kind != FaultControlOverflow {
				t.Errorf("fault %v", c.Fault())
			}
			break
		}
		if x.Reason != ExitCall || depth > 100 {
			t.Fatalf("depth %d: %v", depth, x)
		}
		depth++
	}
	if depth < 15 {
		t.Errorf("room for %d invocations of 22 words on 512", depth)
	}
	for range depth + 1 {
		c.Leave()
	}
	if c.ControlDepth() != 0 {
		t.Errorf("%d words left", c.ControlDepth())
	}
	if got := call(t, c, "add", 1, 2); got != 3 {
		t.Errorf("add = %d", got)
	}
}
