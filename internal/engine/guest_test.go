package engine

import (
	"sync"
	"testing"
	"unsafe"

	"github.com/halite-run/halite/internal/assembled"
	"github.com/halite-run/halite/internal/cage"
)

//go:generate sh -c "cd testdata && ../../assembled/assemble.sh guest classic"

// Where the guest code of the tests expects things.
const (
	guestText     = 0x20000
	guestIn       = 0x100000
	guestOut      = 0x101000
	guestReadOnly = 0x110000
	guestStack    = 0x200000
)

// program is the contents of a .hex file of testdata.
type program struct {
	code    []byte
	symbols map[string]uint32
}

var (
	guestProgram   = sync.OnceValues(func() (*program, error) { return readProgram("testdata/guest.hex") })
	classicProgram = sync.OnceValues(func() (*program, error) { return readProgram("testdata/classic.hex") })
)

func readProgram(name string) (*program, error) {
	code, symbols, err := assembled.Read(name)
	return &program{code, symbols}, err
}

// guestRegs is what load and store in guest.s move.
type guestRegs struct {
	GPR   [16]uint64 // rax rbx rcx rdx rsi rdi rbp - r8...r15
	YMM   [16][4]uint64
	MXCSR uint32
	FCW   uint16
	FSW   uint16 // entry only
	_     uint64
	Env   [8]uint32 // entry only, at 0x290
	_     [0x2c0 - 0x2b0]byte
	MMX   [8]uint64
}

// sandbox is a cage with the test program in it.
type sandbox struct {
	*cage.Cage
	tb testing.TB
}

var guestTextOnce = sync.OnceValues(func() (*cage.Text, error) {
	p, err := guestProgram()
	if err != nil {
		return nil, err
	}
	return cage.NewText("guest.s", p.code, guestText)
})

// makeSandbox is newSandbox without a test to end it.
func makeSandbox() (*cage.Cage, error) {
	text, err := guestTextOnce()
	if err != nil {
		return nil, err
	}
	if err := Init(); err != nil {
		return nil, err
	}
	c, err := cage.New(cage.Config{Trampolines: Trampolines()})
	if err != nil {
		return nil, err
	}
	if err := c.MapText(guestText, text); err != nil {
		return nil, err
	}
	if _, err := c.Map(guestIn, 0x2000, cage.ProtRead|cage.ProtWrite, cage.Fixed); err != nil {
		return nil, err
	}
	if _, err := c.Map(guestReadOnly, 0x1000, cage.ProtRead, cage.Fixed); err != nil {
		return nil, err
	}
	return c, nil
}

func newSandbox(tb testing.TB) *sandbox {
	tb.Helper()
	c, err := makeSandbox()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return &sandbox{Cage: c, tb: tb}
}

func symbol(name string) uint32 {
	p, err := guestProgram()
	if err != nil {
		panic(err)
	}
	at, ok := p.symbols[name]
	if !ok {
		panic("guest.hex has no " + name)
	}
	return at
}

func (s *sandbox) regs(at uint32) *guestRegs {
	return (*guestRegs)(ptr(s.Base() + uintptr(at)))
}

func (s *sandbox) word(at uint32) *uint64 { return (*uint64)(ptr(s.Base() + uintptr(at))) }

func (s *sandbox) context(o ContextOptions) *Context {
	s.tb.Helper()
	c, err := NewContext(s.Base(), o)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(c.Close)
	return c
}

// newGuest is a sandbox with one thread.
func newGuest(tb testing.TB) (*sandbox, *Context) {
	tb.Helper()
	s := newSandbox(tb)
	return s, s.context(ContextOptions{})
}

// start prepares a call by name.
func start(c *Context, name string, args ...uint64) { c.SetCall(symbol(name), guestStack, args...) }

// call runs a function to its end; calls of the host return 0.
func call(tb testing.TB, c *Context, name string, args ...uint64) uint64 {
	tb.Helper()
	start(c, name, args...)
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

// want runs until the given reason, and fails on any other.
func want(tb testing.TB, c *Context, reason ExitReason) Exit {
	tb.Helper()
	x := c.Resume()
	if x.Reason != reason {
		tb.Fatalf("exit %v (fault %v), want %v", x.Reason, c.Fault(), reason)
	}
	return x
}

// pattern fills a register block with values that differ everywhere.
func (r *guestRegs) pattern(seed uint64) {
	for i := range r.GPR {
		r.GPR[i] = seed + 0x1111_0000_0000_0001*uint64(i+1)
	}
	for i := range r.YMM {
		for j := range r.YMM[i] {
			r.YMM[i][j] = seed ^ (0xa5a5_0000_0000_0000 + uint64(i)<<32 + uint64(j))
		}
	}
	r.MXCSR = 0x1f80
	r.FCW = 0x37f
}

var gprNames = [...]string{"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// differ reports registers of got that are not as in want, but those named.
func (r *guestRegs) differ(tb testing.TB, want *guestRegs, except ...string) {
	tb.Helper()
next:
	for i, name := range gprNames {
		for _, e := range append(except, "") {
			if name == e {
				continue next
			}
		}
		if r.GPR[i] != want.GPR[i] {
			tb.Errorf("%s = %#x, want %#x", name, r.GPR[i], want.GPR[i])
		}
	}
	for i := range r.YMM {
		if r.YMM[i] != want.YMM[i] {
			tb.Errorf("ymm%d = %#x, want %#x", i, r.YMM[i], want.YMM[i])
		}
	}
}

var _ [0x2c0 - unsafe.Offsetof(guestRegs{}.MMX)]byte
var _ [unsafe.Offsetof(guestRegs{}.MMX) - 0x2c0]byte
