package engine

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/halite-run/halite/internal/cage"
)

// ExitReason says why Resume returned.
type ExitReason uint32

const (
	ExitReturn       ExitReason = iota + 1 // the function returned: RAX, RDX, XMM0
	ExitCall                               // a trampoline was called: Exit.Slot, arguments in Regs
	ExitFault                              // the guest did what it can't: Fault
	ExitInterrupt                          // Interrupt was called
	ExitSignalReturn                       // the handler of PushSignal returned: Restore
)

var reasonNames = [...]string{"nothing", "return", "call", "fault", "interrupt", "signal return"}

func (r ExitReason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// Exit is what Resume returns.
type Exit struct {
	Reason ExitReason
	Slot   uint32 // of ExitCall: which trampoline
}

// ContextOptions sets what a Context has of its own.
type ContextOptions struct {
	ControlStackSize int // bytes, 8 for each call in progress; 0 = 1 MiB; pages are used as touched

	// Classic says that the guest is one of the classic ABI, whose return addresses
	// are on the guest's own stack. Its cage has ClassicTrampolines and guards.
	Classic bool
}

const defaultControlStack = 1 << 20

// Context is one guest thread: its registers and its control stack. One
// goroutine at a time may use it, on whatever OS thread; Interrupt may be
// called by anybody.
type Context struct {
	core    *core
	block   block
	classic bool
	frames  []invocation // innermost last
	seq     uint64       // for core.id
	fault   *Fault
	server  func(slot uint32) bool
	sampled uint32 // of core.nsamples, what EachSample has had; guarded by mu
	detach  bool   // see SetDetached
	full    bool   // the next Resume is refused: no room on the control stack

	mu     sync.Mutex // Interrupt against Close
	closed bool
}

// invocation is what SetCall must put back.
type invocation struct {
	sp    uint64
	floor uintptr
}

var contextIDs atomic.Uint64

// NewContext makes a guest thread for the sandbox at base.
func NewContext(base uintptr, o ContextOptions) (*Context, error) {
	if err := Init(); err != nil {
		return nil, err
	}
	if base == 0 || base%cage.Size != 0 {
		return nil, errors.New("engine: a sandbox begins at a multiple of 4 GiB")
	}
	size := o.ControlStackSize
	if size == 0 {
		size = defaultControlStack
	}
	if size < pageSize || size > math.MaxInt32 {
		return nil, fmt.Errorf("engine: a control stack of %d bytes: want 4096 to 2 GiB", size)
	}
	if o.Classic {
		if err := InitClassic(); err != nil {
			return nil, err
		}
	}
	if err := reinstall(); err != nil {
		return nil, err
	}
	o.ControlStackSize = size
	return newContext(base, o)
}

func newContext(base uintptr, o ContextOptions) (*Context, error) {
	stack := (uintptr(o.ControlStackSize) + pageSize - 1) &^ (pageSize - 1)
	entry := handler.dispatch
	if o.Classic {
		stack, entry = 0, handler.called
	}
	b, err := newBlock(stack)
	if err != nil {
		return nil, err
	}
	c := &Context{block: b, core: b.core(), classic: o.Classic}
	k := c.core
	k.entry = entry
	k.gs = machine.gs
	if o.Classic {
		k.gs = gsUnused
	}
	k.base = base
	k.tid = noThread
	k.reason = reasonTurnBack
	k.xmask = machine.xmask
	k.env = [8]uint32{hostFCW, 0, 0xffff}
	k.ctlTop = b.top()
	k.ctlFloor = b.top()
	if !o.Classic {
		k.regs.RSP = uint64(b.top())
	}
	c.seq = 1<<63 | contextIDs.Add(1)<<24 // not canonical: no jump target is like it
	c.newID()
	c.clear()
	return c, nil
}

// SetDetached makes the guest run like a system call from the start, not only
// once it has computed for 10 ms. An entry takes some 20 ns more and keeps an
// OS thread; in return, Interrupt and timers need not wait for a processor.
func (c *Context) SetDetached(on bool) { c.detach = on }

// SetServer lets f answer calls of the guest before Resume returns with them, which keeps
// the CPU's return predictor in step (README.md). f is called by Resume, with the Context
// as Resume would have left it, and may do with it what Resume's caller may. If it returns
// true, the guest goes on; otherwise Resume returns ExitCall for the call. Some calls do
// not come to f: the first after a long computation, and those of the classic ABI.
func (c *Context) SetServer(f func(slot uint32) bool) { c.server = f }

// newID makes threads forget that they hold our x87 registers.
func (c *Context) newID() {
	c.seq++
	c.core.id = c.seq
}

// Close gives the control stack and the registers back. The Context must not
// be running; a later Interrupt does nothing.
func (c *Context) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.dropSamples()
	c.core = nil
	c.block.release()
}

// Regs returns the registers of a Context that is not running. RSP is not to
// be changed; RIP counts only before a call begins and after a fault or an
// interruption.
func (c *Context) Regs() *Registers { return &c.core.regs }

// Base returns the address of the sandbox.
func (c *Context) Base() uintptr { return c.core.base }

// SetThreadPointer sets what guest code reads as its thread pointer.
func (c *Context) SetThreadPointer(tp uint32) { c.core.tp = tp }

// ThreadPointer returns what SetThreadPointer set.
func (c *Context) ThreadPointer() uint32 { return c.core.tp }

// clear gives all registers but the control stack pointer the values that a
// function starts with.
func (c *Context) clear() {
	k := c.core
	sp := k.regs.RSP
	k.regs = Registers{}
	k.regs.RSP = sp
	k.regs.R15 = uint64(k.base)
	k.regs.RFLAGS = 0x202
	k.mode = modeNone
	c.full = false
	c.fresh()
}

// fresh gives the registers that are not general ones, but for the vectors, what a
// function starts with.
func (c *Context) fresh() {
	k := c.core
	k.mxcsr, k.fcw, k.fsw = hostMXCSR, hostFCW, 0
	k.x87, k.vec = 0, 0
	c.fault = nil
}

// margin is what an invocation wants of the control stack at the least: its
// stub, a call, and room for the call of a trampoline.
const margin = 64

// begin prepares a call of entry with the given stub. Of the argument registers those
// of a are set.
func (c *Context) begin(mode uint32, entry, dataStack uint32, a *[6]uint64) {
	k := c.core
	r := &k.regs
	r.RDI, r.RSI, r.RDX, r.RCX, r.R8, r.R9 = a[0], a[1], a[2], a[3], a[4], a[5]
	r.RAX, r.RBX, r.RBP, r.R10, r.R11, r.R12, r.R13, r.R14 = 0, 0, 0, 0, 0, 0, 0, 0
	r.R15 = uint64(k.base)
	r.RIP = uint64(k.base) + uint64(entry&^31)
	r.RFLAGS = 0x202
	if c.classic {
		r.RSP, r.RBP = uint64(dataStack), uint64(dataStack)
	} else {
		r.R14 = uint64(dataStack)
	}
	c.fresh()
	k.mode = mode
	c.full = !c.classic && uintptr(r.RSP) < c.block.bottom()+margin
}

func registers(args []uint64) (a [6]uint64) {
	if copy(a[:], args) < len(args) {
		panic("engine: more than six register arguments")
	}
	return a
}

// SetCall prepares a call of the function at entry, with the data stack and up
// to six register arguments, on top of whatever is on the control stack. If a
// guest is in the middle of something, Save it before and Restore it after.
//
// The invocation is a floor: the guest can't unwind the control stack past it.
// It ends when Resume says ExitReturn, or with Leave. If the control stack has
// no room, Resume reports that as the guest's fault.
//
// A function of the classic ABI returns to what is on top of dataStack, 8 bytes
// that the caller has put there: the offset of trampoline SlotClassicReturn, so that
// Resume says ExitReturn. Such invocations have no floor and no bound of their own.
func (c *Context) SetCall(entry, dataStack uint32, args ...uint64) {
	a := registers(args)
	c.SetCallRegisters(entry, dataStack, &a)
}

// SetCallRegisters is SetCall with all six argument registers.
func (c *Context) SetCallRegisters(entry, dataStack uint32, a *[6]uint64) {
	k := c.core
	c.frames = append(c.frames, invocation{k.regs.RSP, k.ctlFloor})
	if c.classic {
		c.begin(modeClassicStart, entry, dataStack, a)
		return
	}
	k.ctlFloor = uintptr(k.regs.RSP) - 8
	c.begin(modeCall, entry, dataStack, a)
}

// PushSignal prepares a call of a guest's signal handler. It is no floor: the
// handler may unwind past it, into what it interrupted. When it returns,
// Resume says ExitSignalReturn, and the caller Restores what it had Saved.
func (c *Context) PushSignal(handler, dataStack uint32, args ...uint64) {
	if c.classic {
		panic("engine: PushSignal to a guest of the classic ABI, which has no signals")
	}
	a := registers(args)
	c.begin(modeSignal, handler, dataStack, &a)
}

// Leave ends the innermost invocation without its consent. The registers are
// no longer of use: what was saved before SetCall must be Restored, or a new
// call set.
func (c *Context) Leave() {
	if len(c.frames) == 0 {
		return
	}
	c.leave()
	c.core.mode = modeNone
	c.fault = nil
	c.full = false
}

func (c *Context) leave() {
	i := len(c.frames) - 1
	c.core.regs.RSP = c.frames[i].sp
	c.core.ctlFloor = c.frames[i].floor
	c.frames = c.frames[:i]
}

// Depth returns the number of invocations in progress.
func (c *Context) Depth() int { return len(c.frames) }

// Fault returns the fault that the last Resume reported, or nil.
func (c *Context) Fault() *Fault { return c.fault }

// Interrupt makes the Resume that runs, or otherwise the next one, return
// ExitInterrupt, and every one after it until ClearInterrupt.
func (c *Context) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	atomic.StoreUint32(&c.core.intr, 1)
	if tid := atomic.LoadUint64(&c.core.tid); tid != noThread {
		reinstall() // in vain if the signal is ignored, and so is kick
		kick(tid)
	}
}

// Running returns the OS thread on which the guest is executed at this moment,
// false if it is not. Safe from any goroutine.
func (c *Context) Running() (tid int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || atomic.LoadUint32(&c.core.reason) != reasonNone {
		return 0, false
	}
	return int(atomic.LoadUint64(&c.core.tid)), true
}

// ClearInterrupt takes Interrupt back.
func (c *Context) ClearInterrupt() { atomic.StoreUint32(&c.core.intr, 0) }

// Interrupted reports whether Interrupt is in effect.
func (c *Context) Interrupted() bool { return atomic.LoadUint32(&c.core.intr) != 0 }
