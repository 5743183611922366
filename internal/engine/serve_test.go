package engine

import (
	"runtime"
	"slices"
	"testing"
)

// TestServe: a call that is answered before Resume returns keeps what others keep, also
// when the stack moves, the collector runs, the goroutine changes threads, or the guest
// is called meanwhile.
func TestServe(t *testing.T) {
	s, c := newGuest(t)
	in, out := s.regs(guestIn), s.regs(guestOut)
	in.pattern(0x0123_4567_89ab_cdef)
	in.MXCSR, in.FCW = 0x3f80, 0xb7f
	done := make(chan struct{})
	var slots []uint32
	c.SetServer(func(slot uint32) bool {
		slots = append(slots, slot)
		if r := c.Regs(); r.RDI != in.GPR[5] || r.R10 != in.GPR[10] {
			t.Errorf("arguments came out as %+v", *r)
		}
		deep(200)
		runtime.GC()
		clobberVectors()
		other := make(chan struct{})
		go func() { close(other) }()
		<-other
		state := c.Save()
		c.SetServer(nil)
		if got := call(t, c, "add", 40, 2); got != 42 {
			t.Errorf("add = %d", got)
		}
		c.Restore(state)
		c.Regs().RAX = 5
		return true
	})
	server := c.server
	for range 20 {
		slots = nil
		*out = guestRegs{}
		c.server = server
		start(c, "around")
		// On a new goroutine, whose stack is small.
		go func() {
			x := c.Resume()
			for x.Reason == ExitCall && server(x.Slot) { // a signal came in between
				x = c.Resume()
			}
			if x.Reason != ExitReturn {
				t.Errorf("%v %v", x, c.Fault())
			}
			done <- struct{}{}
		}()
		<-done
		if !slices.Equal(slots, []uint32{slotLinux}) {
			t.Fatalf("slots %d", slots)
		}
		expect := *in
		expect.GPR[0], expect.GPR[15] = 5, uint64(s.Base())
		out.differ(t, &expect, "rcx", "r11")
		if out.GPR[2] != 0 || out.GPR[11]>>32 != uint64(s.Base())>>32 {
			t.Errorf("rcx %#x, r11 %#x (E-ADDR)", out.GPR[2], out.GPR[11])
		}
		if d := c.ControlDepth(); d != 0 {
			t.Errorf("%d words left on the control stack", d)
		}
		if t.Failed() {
			return
		}
	}
}

//go:noinline
func deep(n int) int {
	var b [1024]byte
	if n == 0 {
		return int(b[0])
	}
	b[n%len(b)] = byte(n)
	return deep(n-1) + int(b[n%len(b)]) - n&0xff
}

// TestServeRefused: what the server does not answer comes out of Resume, and so does
// what is not for it.
func TestServeRefused(t *testing.T) {
	_, c := newGuest(t)
	n := 0
	c.SetServer(func(uint32) bool {
		n++
		state := c.Save() // an inner Resume, with another reason and slot
		if x := call7(t, c); x.Slot != 7 {
			t.Errorf("slot %d", x.Slot)
		}
		c.Leave()
		c.Restore(state)
		return n%2 == 0
	})
	const calls = 1000
	start(c, "calls", calls)
	refused := 0
	x := c.Resume()
	for ; x.Reason == ExitCall; x = c.Resume() {
		if x.Slot != slotLinux {
			t.Fatalf("slot %d", x.Slot)
		}
		refused++
	}
	// Those that met a signal do not come to the server.
	if x.Reason != ExitReturn || n < calls*9/10 || refused != calls-n+n/2+n%2 {
		t.Errorf("%v %v; of %d calls %d came to the server, %d out of Resume", x, c.Fault(), calls, n, refused)
	}
	n = 0
	start(c, "unwind", 1000, 0x20000)
	if x := c.Resume(); x.Reason != ExitFault || c.Fault().Kind != FaultControlUnwind || n != 0 {
		t.Errorf("%v %v", x, c.Fault())
	}
	c.Leave()
	// Not while the guest runs as a system call does, when no Go code may.
	c.SetDetached(true)
	start(c, "calls", 1)
	want(t, c, ExitCall)
	want(t, c, ExitReturn)
	if n != 0 {
		t.Error("the server was called by a detached guest")
	}
}

func call7(t *testing.T, c *Context) Exit {
	server := c.server
	defer func() { c.server = server }()
	c.server = nil
	start(c, "call7")
	return want(t, c, ExitCall)
}

// TestServePanic: a panic and a Goexit leave through the guest.
func TestServePanic(t *testing.T) {
	_, c := newGuest(t)
	run := func(f func()) {
		c.SetServer(func(uint32) bool { f(); return true })
		defer c.Leave()
		start(c, "calls", 1)
		for c.Resume().Reason == ExitCall { // a signal came in between
			c.Leave()
			start(c, "calls", 1)
		}
		t.Error("Resume returned")
	}
	for range 10 {
		func() {
			defer func() {
				if e := recover(); e != "out" {
					t.Errorf("recovered %v", e)
				}
			}()
			run(func() { deep(100); panic("out") })
		}()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			run(func() { deep(100); runtime.Goexit() })
		}()
		<-gone
		if d := c.Depth(); d != 0 {
			t.Fatalf("%d invocations left", d)
		}
		c.SetServer(nil)
		if got := call(t, c, "add", 1, 2); got != 3 {
			t.Fatalf("add = %d", got)
		}
	}
}
