package engine

import (
	"math"
	"runtime"
	"testing"
)

func TestCallsAndReturns(t *testing.T) {
	_, c := newGuest(t)
	if got := call(t, c, "add", 40, 2); got != 42 {
		t.Errorf("add = %d", got)
	}
	if got := call(t, c, "sum6", 1, 2, 3, 4, 5, 6); got != 1+4+12+32+80+192 {
		t.Errorf("sum6 = %d", got)
	}
	start(c, "fadd")
	c.SetXMM(0, math.Float64bits(1.5), 0)
	c.SetXMM(1, math.Float64bits(2.25), 0)
	want(t, c, ExitReturn)
	if lo, _ := c.XMM0(); math.Float64frombits(lo) != 3.75 {
		t.Errorf("fadd = %v", math.Float64frombits(lo))
	}
	start(c, "call7")
	if x := want(t, c, ExitCall); x.Slot != 7 {
		t.Errorf("slot %d, want 7", x.Slot)
	}
	c.Regs().RAX = 0xfedcba9876543210
	want(t, c, ExitReturn)
	if c.Regs().RAX != 0xfedcba9876543210 {
		t.Errorf("result %#x", c.Regs().RAX)
	}
	if d := c.ControlDepth(); d != 0 {
		t.Errorf("%d words left on the control stack", d)
	}
}

// TestKeep: E-KEEP, a call of the host keeps all registers but three.
func TestKeep(t *testing.T) {
	s, c := newGuest(t)
	in, out := s.regs(guestIn), s.regs(guestOut)
	in.pattern(0x0123_4567_89ab_cdef)
	in.MXCSR, in.FCW = 0x3f80, 0xb7f
	for range 100 {
		*out = guestRegs{}
		start(c, "around")
		want(t, c, ExitCall)
		if r := c.Regs(); r.RAX != in.GPR[0] || r.RDI != in.GPR[5] || r.RSI != in.GPR[4] || r.RDX != in.GPR[3] ||
			r.R10 != in.GPR[10] || r.R8 != in.GPR[8] || r.R9 != in.GPR[9] {
			t.Fatalf("arguments came out as %+v", *r)
		}
		clobberVectors()
		migrate()
		c.Regs().RAX = 5
		want(t, c, ExitReturn)
		expect := *in
		expect.GPR[0], expect.GPR[15] = 5, uint64(s.Base())
		out.differ(t, &expect, "rcx", "r11")
		if out.GPR[2] != 0 {
			t.Errorf("rcx = %#x after a call of the host, want 0 (E-ADDR)", out.GPR[2])
		}
		if r11 := out.GPR[11]; r11>>32 != uint64(s.Base())>>32 {
			t.Errorf("r11 = %#x after a call of the host, want a guest address (E-ADDR)", r11)
		}
		if out.MXCSR&0xffc0 != 0x3f80&0xffc0 || out.FCW != 0xb7f {
			t.Errorf("control words %#x %#x, want 0x3f80 0xb7f", out.MXCSR, out.FCW)
		}
		if t.Failed() {
			return
		}
	}
}

// migrate gives the goroutine a chance to go on on another thread.
func migrate() {
	runtime.Gosched()
}

// clobberVectors makes Go code use vector registers.
func clobberVectors() {
	var a, b [256]byte
	for i := range a {
		a[i] = byte(i)
	}
	copy(b[:], a[:])
	if b[255] != 255 {
		panic("copy")
	}
}

// conditions are the x87 condition codes, which say what FXAM found last in any
// trampoline on this thread.
const conditions = 0x4700

// TestEntry: E-ENTER, nothing of the host in any register.
func TestEntry(t *testing.T) {
	s, c := newGuest(t)
	_, other := newGuest(t)
	out := s.regs(guestOut)
	for range 20 {
		call(t, other, "mmxdirt")
		clobberVectors()
		*out = guestRegs{}
		flags := call(t, c, "entry", 1, 2)
		expect := guestRegs{}
		expect.GPR[5], expect.GPR[4] = 1, 2
		expect.GPR[15] = uint64(s.Base())
		expect.GPR[14] = guestStack
		expect.GPR[11] = uint64(s.Base()) + uint64(symbol("entry"))
		out.differ(t, &expect)
		if out.MXCSR != hostMXCSR || out.FCW != hostFCW || out.FSW&^conditions != 0 {
			t.Errorf("mxcsr %#x, x87 control %#x, status %#x", out.MXCSR, out.FCW, out.FSW)
		}
		if tag := out.Env[2] & 0xffff; tag != 0xffff {
			t.Errorf("x87 tag word %#x, want all empty", tag)
		}
		// The x87 instruction and data pointers may be another guest's (as
		// offsets), but never the host's.
		if ip, dp := out.Env[3], out.Env[5]; ip > 0x40000 || dp != 0 && (dp < guestIn || dp > guestStack) {
			t.Errorf("x87 instruction pointer %#x, data pointer %#x", ip, dp)
		}
		for i, v := range out.MMX {
			if v != 0 {
				t.Errorf("mm%d = %#x, left by somebody else", i, v)
			}
		}
		if flags&^0x8d5 != 0x202 {
			t.Errorf("flags %#x", flags)
		}
		if t.Failed() {
			return
		}
	}
}

// TestLeave: E-LEAVE, the host gets its own control words and flags back.
func TestLeave(t *testing.T) {
	s, c := newGuest(t)
	check := func(where string) {
		t.Helper()
		mxcsr, fcw, fsw, flags := HostState()
		if mxcsr&0xffc0 != hostMXCSR || fcw != hostFCW || fsw&0x3880 != 0 || flags&0x40500 != 0 {
			t.Errorf("%s: host has mxcsr %#x, x87 control %#x, status %#x, flags %#x", where, mxcsr, fcw, fsw, flags)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	check("before")
	start(c, "rounding")
	want(t, c, ExitCall)
	check("in a call")
	want(t, c, ExitReturn)
	check("after it")
	if w := *s.word(guestOut); uint32(w)&0xffc0 != 0x5f80 || uint16(w>>32) != 0x7f {
		t.Errorf("guest's control words came back as %#x", w)
	}
	call(t, c, "sloppy")
	check("after a return")
	start(c, "direction")
	want(t, c, ExitCall)
	check("direction flag")
	want(t, c, ExitReturn)
	start(c, "x87live")
	want(t, c, ExitCall)
	check("x87 stack in use")
	want(t, c, ExitReturn)
	for _, name := range []string{"illegal", "x87fault", "simd"} {
		start(c, name)
		want(t, c, ExitFault)
		check(name)
		c.Leave()
	}
	call(t, c, "add", 1, 2)
	check("end")
}

func TestX87Live(t *testing.T) {
	s, c := newGuest(t)
	other := s.context(ContextOptions{})
	for range 50 {
		start(c, "x87live")
		want(t, c, ExitCall)
		call(t, other, "mmxdirt")
		call(t, other, "sloppy")
		migrate()
		want(t, c, ExitReturn)
		if top := c.Regs().RAX & 0x3800; top != 0 {
			t.Fatalf("x87 stack pointer not back at 0: status %#x", c.Regs().RAX)
		}
		pi, one := math.Float64frombits(*s.word(guestOut)), math.Float64frombits(*s.word(guestOut + 8))
		if pi != math.Pi || one != 1 {
			t.Fatalf("x87 stack held %v and %v, want pi and 1", pi, one)
		}
		start(c, "mmxlive")
		want(t, c, ExitCall)
		call(t, other, "mmxdirt")
		want(t, c, ExitReturn)
		if a, b := *s.word(guestOut), *s.word(guestOut + 8); a != 0x1122334455667788 || b != a {
			t.Fatalf("mm0 = %#x, mm7 = %#x", a, b)
		}
	}
}

// TestX87Flags: sticky exception flags are part of a thread's state.
func TestX87Flags(t *testing.T) {
	s, c := newGuest(t)
	other := s.context(ContextOptions{})
	start(c, "x87flags")
	want(t, c, ExitCall)
	if got := call(t, other, "x87flags"); got&0x7f != 4 {
		t.Errorf("other guest: status %#x", got)
	}
	call(t, other, "entry")
	if fsw := s.regs(guestOut).FSW; fsw&0x7f != 4 {
		t.Errorf("the same thread's next call: status %#x", fsw)
	}
	third := s.context(ContextOptions{})
	call(t, third, "entry")
	if fsw := s.regs(guestOut).FSW; fsw&^conditions != 0 {
		t.Errorf("a new thread finds status %#x", fsw)
	}
	want(t, c, ExitReturn)
	if got := c.Regs().RAX; got&0x7f != 4 {
		t.Errorf("status %#x after the call, want division by zero", got)
	}
}

func TestThreadPointer(t *testing.T) {
	_, c := newGuest(t)
	name := "tpnear"
	if ThreadPointerDisp() != 0x10 {
		name = "tpfar"
	}
	for _, tp := range []uint32{0, 0x1234560, 0xfffffff0} {
		c.SetThreadPointer(tp)
		if got := call(t, c, name); got != uint64(tp) {
			t.Errorf("thread pointer %#x, want %#x", got, tp)
		}
	}
}
