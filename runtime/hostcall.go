package runtime

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halite-run/halite/internal/safemem"
)

// Trampolines that are Go functions to the guest.
const (
	firstHostSlot = 1088
	lastHostSlot  = 2047
	// MaxHostFuncs is how many a domain can have at once.
	MaxHostFuncs = lastHostSlot - firstHostSlot + 1
	// The last two trampolines of the classic ABI are no functions.
	maxClassicHostFuncs = MaxHostFuncs - 2

	slotBase = 0x10000
	slotSize = 32
)

// A HostFunc is a Go function that the guest can call as a C function. It runs on
// the goroutine of the guest's thread. The guest may call it whenever it likes,
// with any arguments: nothing about them is checked, but that those that are
// addresses are read and written through Memory. It may call the guest again.
//
// A panic leaves the guest's functions up to the call from the host, which it
// leaves too; runtime.Goexit likewise. What the guest held (locks, memory) stays
// held, as after a longjmp. On a thread that the guest started, where there is no
// such call, a panic ends the domain with a PanicError.
type HostFunc func(c *HostCall)

// A PanicError is the end of a domain whose own thread ran into a panic in a Go
// function.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("halite: panic in a function called by the guest: %v", e.Value)
}

func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ErrHostFuncs is returned when a domain has as many Go functions as it can.
var ErrHostFuncs = errors.New("halite: too many Go functions in the domain")

// A RevokedError is the end of a domain that called a Go function after it was
// revoked, or one that never was.
type RevokedError struct {
	Address   uint32
	Backtrace []Frame
}

func (e *RevokedError) Error() string {
	s := fmt.Sprintf("halite: the guest called the Go function at %#x, which is revoked or never was one", e.Address)
	if len(e.Backtrace) > 0 {
		s += " in " + e.Backtrace[0].String()
	}
	return s
}

// hostFuncs are a domain's Go functions. Slots are read without a lock: the
// guest calls them on all its threads.
type hostFuncs struct {
	slots atomic.Pointer[[MaxHostFuncs]atomic.Pointer[HostFunc]]

	mu     sync.Mutex
	shared bool  // slots is other domains' too, and is copied before it changes
	next   int   // slots from here on were never used
	free   []int // revoked ones, longest ago first
}

// own returns slots that nobody shares. Called locked.
func (h *hostFuncs) own() *[MaxHostFuncs]atomic.Pointer[HostFunc] {
	all := h.slots.Load()
	if all != nil && !h.shared {
		return all
	}
	mine := new([MaxHostFuncs]atomic.Pointer[HostFunc])
	for i := range h.next {
		mine[i].Store(all[i].Load())
	}
	h.slots.Store(mine)
	h.shared = false
	return mine
}

// shareWith makes o, which has no functions, have those that h has now.
func (h *hostFuncs) shareWith(o *hostFuncs) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if all := h.slots.Load(); all != nil {
		h.shared, o.shared = true, true
		o.slots.Store(all)
		o.next, o.free = h.next, slices.Clone(h.free)
	}
}

// AddHostFunc makes f callable by the guest and returns the address of the C
// function that it is to it. Safe from any goroutine.
func (d *Domain) AddHostFunc(f HostFunc) (uint32, error) {
	h := &d.host
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.own()
	most := MaxHostFuncs
	if d.cfg.Classic {
		most = maxClassicHostFuncs
	}
	var i int
	switch {
	// An address is given out again as late as can be: a stale pointer then
	// meets nothing rather than something else.
	case h.next < most:
		i = h.next
		h.next++
	case len(h.free) > 0:
		i = h.free[0]
		h.free = h.free[1:]
	default:
		return 0, ErrHostFuncs
	}
	all[i].Store(&f)
	return slotBase + slotSize*uint32(firstHostSlot+i), nil
}

// RevokeHostFunc takes back what AddHostFunc gave. A call that is in progress
// goes on; a later one ends the domain with a RevokedError. It does nothing for
// an address that is no Go function's.
func (d *Domain) RevokeHostFunc(addr uint32) {
	i := int(addr-slotBase)/slotSize - firstHostSlot
	if addr < slotBase || addr%slotSize != 0 || i < 0 || i >= MaxHostFuncs {
		return
	}
	h := &d.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if i < h.next && h.own()[i].Swap(nil) != nil {
		h.free = append(h.free, i)
	}
}

// callHost serves a call of a Go function.
func (t *Thread) callHost(slot uint32) {
	i := slot - firstHostSlot
	all := t.d.host.slots.Load()
	if all == nil || i >= MaxHostFuncs {
		t.revoked(slot)
		return
	}
	f := all[i].Load()
	if f == nil {
		t.revoked(slot)
		return
	}
	c := &t.hostCall
	c.t = t
	around := c.context
	c.context = nil
	t.ctx.Regs().RAX = 0
	(*f)(c)
	if c.context != nil {
		c.context.close()
	}
	c.context = around
}

func (t *Thread) revoked(slot uint32) {
	if t.ctx.Classic() && !t.d.everHost(int(slot-firstHostSlot)) {
		t.ctx.Regs().RAX = classicNoSlot
		return
	}
	e := &RevokedError{Address: slotBase + slotSize*slot}
	for _, ret := range t.ctx.Backtrace(maxBacktrace) {
		e.Backtrace = append(e.Backtrace, t.d.frame(ret, ret-1))
	}
	t.d.End(Ending{Signal: sigSegv, Err: e})
}

// A HostCall is a call of a HostFunc: its arguments, and where its result goes.
// It is valid until the function returns, on its goroutine alone.
type HostCall struct {
	t       *Thread
	context *callContext
}

// Thread is the guest thread that calls.
func (c *HostCall) Thread() *Thread { return c.t }

// Memory is the guest's memory. Other threads of the guest may change it at any
// time: read once, then check, then use.
func (c *HostCall) Memory() safemem.Memory { return c.t.d.mem }

// Arg returns integer argument i: what the caller's C type does not define of its
// 64 bits is arbitrary. Arguments from the seventh on lie on the guest's stack;
// if that can't be read they are 0.
func (c *HostCall) Arg(i int) uint64 {
	r := c.t.ctx.Regs()
	switch i {
	case 0:
		return r.RDI
	case 1:
		return r.RSI
	case 2:
		return r.RDX
	case 3:
		if c.t.ctx.Classic() {
			return r.RCX
		}
		return r.R10 // the trampoline put it there
	case 4:
		return r.R8
	case 5:
		return r.R9
	}
	return c.StackArg(i - 6)
}

// StackArg returns the i-th of the 8-byte words that the caller passed on its
// stack, 0 if it can't be read.
func (c *HostCall) StackArg(i int) uint64 {
	if i < 0 || i > 1<<20 {
		return 0
	}
	v, err := c.t.d.mem.Load64(c.t.dataStack() + 8*uint32(i))
	if err != nil {
		return 0
	}
	return v
}

// Float64 returns argument i among those in floating-point registers, 0 to 7.
func (c *HostCall) Float64(i int) float64 {
	lo, _ := c.t.ctx.XMM(i)
	return math.Float64frombits(lo)
}

// Float32 is Float64 for an argument of C's type float.
func (c *HostCall) Float32(i int) float32 {
	lo, _ := c.t.ctx.XMM(i)
	return math.Float32frombits(uint32(lo))
}

// Return sets an integer or pointer result. Without it the result is 0.
func (c *HostCall) Return(v uint64) { c.t.ctx.Regs().RAX = v }

// Return2 sets a result of two words, as of a structure of 16 bytes.
func (c *HostCall) Return2(lo, hi uint64) {
	r := c.t.ctx.Regs()
	r.RAX, r.RDX = lo, hi
}

// ReturnFloat64 sets a floating-point result. Calls of the classic ABI have none:
// they return with empty vector registers, and their arguments in such registers
// are not kept beyond the second.
func (c *HostCall) ReturnFloat64(v float64) { c.t.ctx.SetResultXMM(math.Float64bits(v)) }

// ReturnFloat32 sets a result of C's type float.
func (c *HostCall) ReturnFloat32(v float32) { c.t.ctx.SetResultXMM(uint64(math.Float32bits(v))) }

// Context is the context of the host's call that the guest is in, and carries the
// thread: a call of this domain with it, or with one derived from it, is made on
// top of what the thread is doing. When the function has returned, the context is
// still the call's, but carries nothing any more.
func (c *HostCall) Context() context.Context {
	if c.context == nil {
		parent := c.t.calling
		if parent == nil {
			parent = context.Background()
		}
		c.t.d.contexts.Add(1)
		c.context = &callContext{Context: parent, root: parent, t: c.t}
		if outer, ok := parent.(*callContext); ok {
			c.context.root = outer.root
		}
	}
	return c.context
}

// callContext carries the thread of a HostCall. mu is held during a call that was
// made with it: one at a time.
type callContext struct {
	context.Context
	t *Thread
	// root is the innermost context around that is none of these: when it ends, this
	// one does. Calls may be nested very deep.
	root context.Context

	mu   sync.Mutex
	over bool
}

// threadKey is what callContext answers to.
type threadKey struct{ d *Domain }

func (c *callContext) Done() <-chan struct{}       { return c.root.Done() }
func (c *callContext) Err() error                  { return c.root.Err() }
func (c *callContext) Deadline() (time.Time, bool) { return c.root.Deadline() }

func (c *callContext) Value(key any) any {
	if k, ok := key.(threadKey); ok && k.d == c.t.d {
		return c
	}
	return c.Context.Value(key)
}

// close makes the context one without a thread. It waits for a call that somebody
// makes with it on another goroutine.
func (c *callContext) close() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.t.d.contexts.Add(-1)
}

// callContextOf finds the call of a HostFunc of this domain that ctx belongs to.
func (d *Domain) callContextOf(ctx context.Context) *callContext {
	if d.contexts.Load() == 0 {
		return nil // none that is not over
	}
	if c, ok := ctx.(*callContext); ok && c.t.d == d {
		return c
	}
	c, _ := ctx.Value(threadKey{d}).(*callContext)
	return c
}
