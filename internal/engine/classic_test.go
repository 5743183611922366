package engine

import (
	"math"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/halite-run/halite/internal/cage"
)

// The tests of guests of the classic ABI, whose stack is in the sandbox.

var classicTextOnce = sync.OnceValues(func() (*cage.Text, error) {
	p, err := classicProgram()
	if err != nil {
		return nil, err
	}
	return cage.NewText("classic.s", p.code, guestText)
})

func makeClassicSandbox() (*cage.Cage, error) {
	text, err := classicTextOnce()
	if err != nil {
		return nil, err
	}
	if err := InitClassic(); err != nil {
		return nil, err
	}
	c, err := cage.New(cage.Config{Trampolines: ClassicTrampolines(), Guard: cage.ClassicGuard})
	if err != nil {
		return nil, err
	}
	if err := c.MapText(guestText, text); err != nil {
		return nil, err
	}
	if _, err := c.Map(guestIn, 0x2000, cage.ProtRead|cage.ProtWrite, cage.Fixed); err != nil {
		return nil, err
	}
	_, err = c.Map(guestStack-0x10000, 0x10000, cage.ProtRead|cage.ProtWrite, cage.Fixed)
	return c, err
}

func newClassicGuest(tb testing.TB) (*sandbox, *Context) {
	tb.Helper()
	c, err := makeClassicSandbox()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	s := &sandbox{Cage: c, tb: tb}
	x := s.context(ContextOptions{Classic: true})
	x.SetThreadPointer(0x1234)
	x.SetSecondThreadPointer(0x5678)
	return s, x
}

func classicSymbol(name string) uint32 {
	p, err := classicProgram()
	if err != nil {
		panic(err)
	}
	at, ok := p.symbols[name]
	if !ok {
		panic("classic.hex has no " + name)
	}
	return at
}

// startClassic prepares a call by name, with the return address that the host puts
// on the stack.
func startClassic(c *Context, name string, args ...uint64) {
	const sp = guestStack - 0x108
	*(*uint64)(ptr(c.Base() + sp)) = cage.TrampolineStart + 32*SlotClassicReturn
	c.SetCall(classicSymbol(name), sp, args...)
}

func callClassic(tb testing.TB, c *Context, name string, args ...uint64) uint64 {
	tb.Helper()
	startClassic(c, name, args...)
	for {
		switch x := c.Resume(); x.Reason {
		case ExitReturn:
			return c.Regs().RAX
		case ExitCall:
			c.Regs().RAX = 0
		default:
			tb.Fatalf("%s: %v %v", name, x.Reason, c.Fault())
		}
	}
}

func TestClassicCalls(t *testing.T) {
	_, c := newClassicGuest(t)
	if got := callClassic(t, c, "add", 40, 2); got != 42 {
		t.Errorf("add = %d", got)
	}
	callClassic(t, c, "fadd")
	if lo, _ := c.XMM0(); math.Float64frombits(lo) != 3 {
		t.Errorf("fadd = %v", math.Float64frombits(lo))
	}
	startClassic(c, "call7")
	if x := want(t, c, ExitCall); x.Slot != 7 {
		t.Errorf("slot %d, want 7", x.Slot)
	}
	if r := c.Regs(); r.RDI != 11 || r.RSI != 22 || r.RDX != 33 || r.RCX != 44 || r.R8 != 55 || r.R9 != 66 {
		t.Errorf("arguments %+v", *r)
	}
	c.Regs().RAX = 77
	want(t, c, ExitReturn)
	if c.Regs().RAX != 77 {
		t.Errorf("result %d", c.Regs().RAX)
	}
	if got := callClassic(t, c, "midbundle"); got != 99 {
		t.Errorf("midbundle = %d", got)
	}
	// Every number is one of its own, and the last is no entry.
	startClassic(c, "last")
	if want(t, c, ExitFault); c.Fault().PC != cage.TrampolineEnd-32 || c.Fault().Kind != FaultProtection {
		t.Errorf("the last slot: %v", c.Fault())
	}
	c.Leave()
	if c.Depth() != 0 {
		t.Errorf("depth %d", c.Depth())
	}
}

// TestClassicNesting: invocations on top of calls, and a return that nobody waits
// for.
func TestClassicNesting(t *testing.T) {
	_, c := newClassicGuest(t)
	const depth = 10000
	var states []*State
	for range depth {
		startClassic(c, "call7")
		want(t, c, ExitCall)
		states = append(states, c.Save())
	}
	for i := depth - 1; i >= 0; i-- {
		c.Restore(states[i])
		c.Regs().RAX = uint64(i)
		want(t, c, ExitReturn)
		if int(c.Regs().RAX) != i {
			t.Fatalf("invocation %d returned %d", i, c.Regs().RAX)
		}
	}
	if c.Depth() != 0 {
		t.Fatalf("depth %d", c.Depth())
	}
	// A guest that says return where there is no invocation.
	startClassic(c, "returns")
	c.frames = nil
	if want(t, c, ExitFault); c.Fault().Kind != FaultIllegal {
		t.Errorf("%v", c.Fault())
	}
	startClassic(c, "returns")
	want(t, c, ExitReturn)
}

// TestClassicRegisters: E-ENTER, and what is left after a call of the host: what
// NaCl's calls preserve, and zero.
func TestClassicRegisters(t *testing.T) {
	s, c := newClassicGuest(t)
	_, other := newGuest(t)
	_, dirty := newClassicGuest(t)
	base := uint64(s.Base())
	in, out := s.regs(guestIn), s.regs(guestOut)
	in.pattern(0x0123_4567_89ab_cdef)
	empty := func(where string) {
		t.Helper()
		for i, y := range out.YMM {
			if y != [4]uint64{} {
				t.Errorf("%s: ymm%d = %#x", where, i, y)
			}
		}
		for i, v := range out.MMX {
			if v != 0 {
				t.Errorf("%s: mm%d = %#x", where, i, v)
			}
		}
		if tag := out.Env[2] & 0xffff; tag != 0xffff || out.FSW&^conditions != 0 {
			t.Errorf("%s: x87 tag word %#x, status %#x", where, tag, out.FSW)
		}
		if dp := out.Env[5]; dp != 0 && (dp < guestIn || dp > guestStack) || out.Env[3] > 0x40000 {
			t.Errorf("%s: x87 instruction pointer %#x, data pointer %#x", where, out.Env[3], dp)
		}
	}
	soil := func() {
		call(t, other, "mmxdirt")
		callClassic(t, dirty, "dirt")
		clobberVectors()
		migrate()
	}
	for range 20 {
		soil()
		*out = guestRegs{}
		flags := callClassic(t, c, "entry", 1, 2)
		const sp = guestStack - 0x108
		want := guestRegs{}.GPR
		want[5], want[4] = 1, 2
		want[6], want[7] = base+sp, base+sp-8
		want[11], want[15] = base+uint64(classicSymbol("entry")), base
		if out.GPR != want {
			t.Errorf("a function starts with %#x, want %#x", out.GPR, want)
		}
		if out.MXCSR != hostMXCSR || out.FCW != hostFCW || flags&0xcd5 != 0x44 {
			t.Errorf("a function starts with mxcsr %#x, x87 control %#x, flags %#x", out.MXCSR, out.FCW, flags)
		}
		empty("start")

		*out = guestRegs{}
		in.MXCSR, in.FCW = 0x5fbf, 0x7f
		startClassic(c, "around")
		c.Resume()
		soil()
		c.Regs().RAX = 5
		if x := c.Resume(); x.Reason != ExitReturn {
			t.Fatal(x, c.Fault())
		}
		want = guestRegs{}.GPR
		want[0], want[1], want[12], want[13], want[14] = 5, in.GPR[1], in.GPR[12], in.GPR[13], in.GPR[14]
		want[5], want[6], want[7], want[15] = sp, base+sp, base+sp-8, base
		want[11] = out.GPR[11]
		if out.GPR != want {
			t.Errorf("a call returned with %#x, want %#x", out.GPR, want)
		}
		if r11 := out.GPR[11]; r11%32 != 0 || r11-base < uint64(classicSymbol("around")) || r11-base > uint64(classicSymbol("aroundtls")) {
			t.Errorf("r11 = %#x after a call, want the return address", r11)
		}
		if out.MXCSR != 0x5fbf || out.FCW != 0x7f || c.Regs().RAX&0xcd5 != 0x44 {
			t.Errorf("a call returned with mxcsr %#x, x87 control %#x, flags %#x", out.MXCSR, out.FCW, c.Regs().RAX)
		}
		empty("call")

		for i, name := range []string{"aroundtls", "aroundtls2"} {
			in.MXCSR, in.FCW = 0x1f80, 0x37f
			callClassic(t, c, name)
			want := in.GPR
			want[0], want[3] = []uint64{0x1234, 0x5678}[i], 0
			want[2], want[11] = out.GPR[2], base+(out.GPR[2]+31)&^31
			want[6], want[7], want[15] = base+sp, base+sp, base
			if out.GPR != want {
				t.Errorf("%s: %#x, want %#x", name, out.GPR, want)
			}
			if out.YMM != in.YMM {
				t.Errorf("%s: %#x", name, out.YMM)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestClassicLeave: E-LEAVE on each way out.
func TestClassicLeave(t *testing.T) {
	s, c := newClassicGuest(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	check := func(where string) {
		t.Helper()
		mxcsr, fcw, fsw, flags := HostState()
		if mxcsr&0xffc0 != hostMXCSR || fcw != hostFCW || fsw&0x3880 != 0 || flags&0x40500 != 0 {
			t.Errorf("%s: host has mxcsr %#x, x87 control %#x, status %#x, flags %#x", where, mxcsr, fcw, fsw, flags)
		}
	}
	in := s.regs(guestIn)
	in.pattern(1)
	in.MXCSR, in.FCW = 0x7f80|0x8040, 0xf7f
	startClassic(c, "dirt")
	want(t, c, ExitCall)
	check("a call with values on the x87 stack")
	want(t, c, ExitReturn)
	check("a return")
	startClassic(c, "std")
	want(t, c, ExitCall)
	check("a call with DF")
	want(t, c, ExitReturn)
	check("a return with DF")
	for _, name := range []string{"illegal", "x87bomb", "read"} {
		startClassic(c, name)
		want(t, c, ExitFault)
		check(name)
		c.Leave()
	}
	startClassic(c, "verify", 1<<40)
	time.AfterFunc(2*time.Millisecond, c.Interrupt)
	want(t, c, ExitInterrupt)
	check("an interruption")
	c.ClearInterrupt()
	c.Leave()
}

// TestClassicFaults: faults of each kind, those of a bad stack pointer in a
// trampoline among them, are the guest's own.
func TestClassicFaults(t *testing.T) {
	s, c := newClassicGuest(t)
	const tramp, inFunction = cage.TrampolineStart, 0
	for _, test := range []struct {
		name   string
		kind   FaultKind
		pc     uint32
		inside bool
		addr   uint32
	}{
		{"read", FaultRead, inFunction, true, 0},
		{"write", FaultWrite, inFunction, true, guestText},
		{"illegal", FaultIllegal, inFunction, false, 0},
		{"divide", FaultDivide, inFunction, false, 0},
		{"privileged", FaultProtection, inFunction, false, 0},
		{"beyond", FaultRead, inFunction, false, 0},
		{"stackbelow", FaultWrite, inFunction, false, 0},
		{"stacknull", FaultWrite, inFunction, true, 0x7ff8},
		{"stacktop", FaultRead, tramp + 32*1, true, 0xfffffff8},
		{"stackabove", FaultRead, tramp + 32*84 + 8, false, 0},
		{"x87bomb", FaultX87, tramp + 32*1 + 8, false, 0},
	} {
		startClassic(c, test.name)
		if x := c.Resume(); x.Reason != ExitFault {
			t.Errorf("%s: %v", test.name, x.Reason)
			c.Leave()
			continue
		}
		f := c.Fault()
		at := classicSymbol(test.name)
		if f.Kind != test.kind || f.InSandbox != test.inside || f.AddrOffset != test.addr ||
			(test.pc == inFunction && (f.PC < at || f.PC > at+64)) || (test.pc != inFunction && f.PC != test.pc) {
			t.Errorf("%s: %v (%+v)", test.name, f, f)
		}
		if f.Regs.R15 != uint64(s.Base()) {
			t.Errorf("%s: r15 %#x", test.name, f.Regs.R15)
		}
		c.Leave()
		if got := callClassic(t, c, "add", 20, 22); got != 42 {
			t.Fatalf("after %s, add = %d", test.name, got)
		}
	}
}

// TestClassicFaultStorm: faults in a row leave nothing behind.
func TestClassicFaultStorm(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	_, c := newClassicGuest(t)
	names := []string{"illegal", "read", "divide", "stacktop", "x87bomb"}
	run := func(n int) {
		for i := range n {
			startClassic(c, names[i%len(names)])
			want(t, c, ExitFault)
			c.Leave()
		}
	}
	run(100)
	before := mappings(t)
	run(n)
	if after := mappings(t); after > before+8 || c.Depth() != 0 {
		t.Errorf("%d mappings before, %d after %d faults; depth %d", before, after, n, c.Depth())
	}
}

// TestClassicRedirect: a handler of exceptions gets its stack pointer, argument and
// bundle, and every other register as it was; where the stack pointer is not one, or
// there was no fault, nothing happens.
func TestClassicRedirect(t *testing.T) {
	s, c := newClassicGuest(t)
	in, out, base := s.regs(guestIn), s.regs(guestOut), uint64(s.Base())
	in.pattern(77)
	startClassic(c, "loaded")
	want(t, c, ExitFault)
	const sp = guestStack - 0x208
	*s.word(sp) = cage.TrampolineStart + 32*SlotClassicReturn
	if !c.Redirect(classicSymbol("stored")+5, sp, 0x12345678) {
		t.Fatal("refused")
	}
	want(t, c, ExitReturn)
	expect := *in
	expect.GPR[5], expect.GPR[6], expect.GPR[7], expect.GPR[15] = 0x12345678, base+guestStack-0x108, base+sp, base
	if out.GPR != expect.GPR {
		t.Errorf("registers %#x, want %#x", out.GPR, expect.GPR)
	}
	out.differ(t, &expect)
	if c.Redirect(guestText, sp, 0) {
		t.Error("a guest that has returned is sent somewhere")
	}
	startClassic(c, "stackloose")
	want(t, c, ExitFault)
	if c.Redirect(classicSymbol("stored"), sp, 0) {
		t.Error("a guest whose stack pointer is no address of the sandbox is sent somewhere")
	}
	c.Leave()
}

// TestClassicDirection: the direction flag is the guest's own, which an interruption
// leaves and the host does not see; a handler starts without it.
func TestClassicDirection(t *testing.T) {
	const df = 0x400
	s, c := newClassicGuest(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 20 {
		*s.word(guestIn) = 0
		startClassic(c, "backwards")
		for range 3 {
			time.AfterFunc(time.Millisecond, c.Interrupt)
			want(t, c, ExitInterrupt)
			c.ClearInterrupt()
			if _, _, _, flags := HostState(); flags&df != 0 {
				t.Fatal("the host runs with the direction flag set")
			}
		}
		*s.word(guestIn) = 1
		want(t, c, ExitReturn)
		if c.Regs().RAX&df == 0 {
			t.Fatal("an interruption has cleared the direction flag")
		}
	}
	startClassic(c, "stdfault")
	want(t, c, ExitFault)
	if c.Fault().Regs.RFLAGS&df == 0 {
		t.Errorf("a fault with the direction flag shows the flags %#x", c.Fault().Regs.RFLAGS)
	}
	const sp = guestStack - 0x208
	*s.word(sp) = cage.TrampolineStart + 32*SlotClassicReturn
	if !c.Redirect(classicSymbol("flags"), sp, 0) {
		t.Fatal("refused")
	}
	want(t, c, ExitReturn)
	if c.Regs().RAX&df != 0 {
		t.Error("a handler starts with the direction flag set")
	}
}

// TestClassicPointers: whatever the host leaves in the registers, a guest goes on
// inside its sandbox and at a bundle.
func TestClassicPointers(t *testing.T) {
	s, c := newClassicGuest(t)
	startClassic(c, "call7")
	want(t, c, ExitCall)
	r := c.Regs()
	r.RIP = 0xffff_ffff_0000_0000 | uint64(classicSymbol("entry")-3)
	r.RSP = 0xdead_0000_0000_0000 | r.RSP&0xffffffff
	r.RBP = 0xdead_0000_0000_0000 | r.RBP&0xffffffff
	want(t, c, ExitReturn)
	out, base := s.regs(guestOut), uint64(s.Base())
	if out.GPR[7] != base+guestStack-0x108-8 || out.GPR[6]>>32 != base>>32 || out.GPR[11] != base+uint64(classicSymbol("entry")) {
		t.Errorf("the guest found %#x", out.GPR)
	}
}

// TestClassicStorm: signals of all kinds hit guests of both ABIs that watch their
// registers, while sandboxes of both come and go.
func TestClassicStorm(t *testing.T) {
	d := 2 * time.Second
	if testing.Short() {
		d = 300 * time.Millisecond
	}
	if v, err := time.ParseDuration(os.Getenv("HALITE_SOAK")); err == nil {
		d = v
	}
	ch := make(chan os.Signal, 100)
	signal.Notify(ch, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(ch)
	var stop atomic.Bool
	time.AfterFunc(d, func() { stop.Store(true) })
	var wg sync.WaitGroup
	var runs, faults, interrupts, calls, shots atomic.Int64
	var watched [4]*Context
	for i := range watched {
		s, c, begin, bad := (*sandbox)(nil), (*Context)(nil), startClassic, []string{"illegal", "read", "stacktop", "x87bomb"}
		if i == 0 {
			s, c = newGuest(t)
			begin, bad = start, []string{"illegal", "read", "recurse", "x87fault"}
		} else {
			s, c = newClassicGuest(t)
		}
		s.regs(guestIn).pattern(uint64(i) << 8)
		watched[i] = c
		wg.Go(func() {
			for !stop.Load() {
				for _, name := range []string{"verify", "verifycalls"} {
					begin(c, name, 2000)
				resume:
					for {
						switch x := c.Resume(); x.Reason {
						case ExitCall:
							c.Regs().RAX = 0
							if calls.Add(1)%8 == 0 {
								runtime.Gosched()
							}
						case ExitInterrupt:
							interrupts.Add(1)
							c.ClearInterrupt()
							noHostAddress(t, c, s.regs(guestIn))
						case ExitReturn:
							if c.Regs().RAX != 0 {
								s.regs(guestOut).differ(t, s.regs(guestIn))
								t.Errorf("%s: a register changed", name)
								return
							}
							break resume
						default:
							t.Errorf("%s: %v %v", name, x.Reason, c.Fault())
							return
						}
					}
					runs.Add(1)
				}
				begin(c, bad[runs.Load()%4])
				if x := c.Resume(); x.Reason == ExitFault {
					faults.Add(1)
				} else if x.Reason != ExitInterrupt {
					t.Errorf("fault: %v", x.Reason)
				}
				c.ClearInterrupt()
				c.Leave()
			}
		})
	}
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			watched[i%len(watched)].Interrupt()
			for range i % 40 {
				runtime.Gosched()
			}
		}
	})
	wg.Go(func() {
		runtime.LockOSThread()
		self := syscall.Gettid()
		signals := []syscall.Signal{syscall.SIGURG, syscall.SIGUSR1, syscall.SIGURG, syscall.SIGPROF, syscall.SIGUSR2}
		for i := 0; !stop.Load(); i++ {
			for _, tid := range threads(t) {
				if tid != self {
					syscall.Tgkill(os.Getpid(), tid, signals[i%len(signals)])
					shots.Add(1)
				}
			}
			for range i % 20 {
				runtime.Gosched()
			}
		}
	})
	wg.Go(func() {
		for !stop.Load() {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
		}
	})
	wg.Go(func() {
		for !stop.Load() {
			c, err := makeClassicSandbox()
			if err != nil {
				t.Error(err)
				return
			}
			x, err := NewContext(c.Base(), ContextOptions{Classic: true})
			if err != nil {
				t.Error(err)
				return
			}
			startClassic(x, "add", 1, 2)
			if x.Resume().Reason == ExitReturn && x.Regs().RAX != 3 {
				t.Errorf("add = %d", x.Regs().RAX)
			}
			x.Close()
			c.Close()
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
	t.Logf("%d runs, %d faults, %d interrupts, %d calls, %d signals", runs.Load(), faults.Load(), interrupts.Load(), calls.Load(), shots.Load())
	if runs.Load() == 0 || faults.Load() == 0 {
		t.Error("nothing was tested")
	}
}

// BenchmarkClassicCall is a call of an empty function and its return.
func BenchmarkClassicCall(b *testing.B) {
	_, c := newClassicGuest(b)
	for b.Loop() {
		startClassic(c, "nothing")
		if c.Resume().Reason != ExitReturn {
			b.Fatal("no return")
		}
	}
}

// BenchmarkClassicHostCall is a call of a trampoline and the way back.
func BenchmarkClassicHostCall(b *testing.B) {
	_, c := newClassicGuest(b)
	startClassic(c, "calls", 1<<62)
	for b.Loop() {
		if c.Resume().Reason != ExitCall {
			b.Fatal("no call")
		}
		c.Regs().RAX = 0
	}
	c.Leave()
}

// BenchmarkClassicTLS is a call of tls_get, which stays in the sandbox.
func BenchmarkClassicTLS(b *testing.B) {
	_, c := newClassicGuest(b)
	startClassic(c, "tls", uint64(b.N))
	b.ResetTimer()
	if c.Resume().Reason != ExitReturn {
		b.Fatal("no return")
	}
}
