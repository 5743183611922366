package engine

import (
	"testing"

	"github.com/halite-run/halite/internal/cage"
)

// TestClone: the copy goes on where the original stands, in the other sandbox, and
// no word of its control stack leads back to the first.
func TestClone(t *testing.T) {
	const frames = 100
	s, c := newGuest(t)
	start(c, "deep", frames)
	want(t, c, ExitCall)
	other, err := s.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c.SetThreadPointer(0x1234)
	n, err := c.Clone(other.Base())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if n.ControlDepth() != c.ControlDepth() || n.Depth() != 1 || n.ThreadPointer() != 0x1234 || n.Base() != other.Base() {
		t.Errorf("depths %d and %d, thread pointer %#x", n.ControlDepth(), n.Depth(), n.ThreadPointer())
	}
	inOther, stubs := 0, 0
	for at := uintptr(n.core.regs.RSP); at < n.core.ctlTop; at += 8 {
		switch w := *(*uint64)(ptr(at)); w >> 32 {
		case uint64(c.Base()) >> 32:
			t.Fatalf("%#x leads into the first sandbox", w)
		case uint64(other.Base()) >> 32:
			inOther++
		default:
			stubs++
		}
	}
	if inOther != frames+1 || stubs != 1 {
		t.Errorf("%d return addresses and %d stubs", inOther, stubs)
	}
	a, b := c.Backtrace(1000), n.Backtrace(1000)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("frame %d: %#x, in the copy %#x", i, a[i], b[i])
		}
	}
	want(t, n, ExitReturn)
	want(t, c, ExitReturn)
	if n.ControlDepth() != 0 || n.Depth() != 0 {
		t.Errorf("%d words and %d invocations are left", n.ControlDepth(), n.Depth())
	}
	// A floor holds in the copy too.
	start(c, "deep", 3)
	want(t, c, ExitCall)
	if n, err = c.Clone(other.Base()); err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	n.Leave()
	start(n, "unwind", 0, uint64(symbol("nothing")))
	want(t, n, ExitFault)
	if n.Fault().Kind != FaultControlUnwind {
		t.Errorf("%v", n.Fault())
	}
}

// TestCloneRefused: only a thread that waits for a call, in one invocation, is copied.
func TestCloneRefused(t *testing.T) {
	s, c := newGuest(t)
	other, err := s.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	refused := func(what string) {
		t.Helper()
		if n, err := c.Clone(other.Base()); err == nil {
			n.Close()
			t.Errorf("copied: %s", what)
		}
	}
	refused("nothing in progress")
	start(c, "deep", 3)
	refused("a call that has not begun")
	want(t, c, ExitCall)
	for _, base := range []uintptr{0, other.Base() + 4096} {
		if n, err := c.Clone(base); err == nil {
			n.Close()
			t.Errorf("copied to %#x", base)
		}
	}
	// A signal handler's return goes back to what was set aside, by the host.
	saved := c.Save()
	c.PushSignal(symbol("deep"), guestStack, 2)
	want(t, c, ExitCall)
	refused("in a signal handler")
	want(t, c, ExitSignalReturn)
	c.Restore(saved)
	start(c, "deep", 2)
	want(t, c, ExitCall)
	refused("in a nested invocation")
}

// TestCloneClassic: the copy of a guest that keeps its stack in its own memory starts
// inside its own sandbox, whatever upper halves were left.
func TestCloneClassic(t *testing.T) {
	s, c := newClassicGuest(t)
	refused := func(what string, base uintptr) {
		t.Helper()
		if n, err := c.Clone(base); err == nil {
			n.Close()
			t.Errorf("copied: %s", what)
		}
	}
	refused("nothing in progress", c.Base())
	startClassic(c, "call7")
	refused("a call that has not begun", c.Base())
	want(t, c, ExitCall)
	other, err := s.Clone()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	refused("to nowhere", 0)
	refused("to the middle of a sandbox", other.Base()+4096)
	r := c.Regs()
	r.RBX, r.R12 = r.R15+0x1000, 0x1234567887654321
	n, err := c.Clone(other.Base())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, p := range []struct {
		name      string
		got, from uint64
	}{{"rip", n.Regs().RIP, r.RIP}, {"rsp", n.Regs().RSP, r.RSP}, {"rbp", n.Regs().RBP, r.RBP}, {"r15", n.Regs().R15, 0}} {
		if p.got != uint64(other.Base())|p.from&(cage.Size-1) {
			t.Errorf("%s is %#x, from %#x", p.name, p.got, p.from)
		}
	}
	if n.Regs().RBX != r.RBX || n.Regs().R12 != r.R12 {
		t.Errorf("what a call preserves became %#x and %#x", n.Regs().RBX, n.Regs().R12)
	}
	if !n.Classic() || n.Depth() != 1 || n.Base() != other.Base() || n.ThreadPointer() != 0x1234 || n.SecondThreadPointer() != 0x5678 {
		t.Errorf("classic %v, depth %d, thread pointers %#x and %#x", n.Classic(), n.Depth(), n.ThreadPointer(), n.SecondThreadPointer())
	}
	n.SetSecondThreadPointer(1)
	for _, x := range []*Context{n, c} {
		x.Regs().RAX = 35
		want(t, x, ExitReturn)
	}
	if n.Depth() != 0 || c.SecondThreadPointer() != 0x5678 {
		t.Errorf("depth %d; the original's second thread pointer %#x", n.Depth(), c.SecondThreadPointer())
	}
	// Nested, and stopped by a fault.
	startClassic(c, "call7")
	want(t, c, ExitCall)
	saved := c.Save()
	startClassic(c, "call7")
	want(t, c, ExitCall)
	refused("in a nested invocation", other.Base())
	c.Leave()
	c.Restore(saved)
	c.Leave()
	startClassic(c, "illegal")
	want(t, c, ExitFault)
	refused("behind a fault", other.Base())
}
