package runtime

import (
	"context"
	"errors"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
)

// Invoke calls a guest function from within a call that the guest made, on top
// of what the thread is doing, and returns its result (rax). It may be nested to
// any depth that the control stack has room for. An error means that the thread
// is ending: the caller should return at once.
func (t *Thread) Invoke(fn uint32, args ...uint64) (uint64, error) {
	return t.invoke(fn, handlerStack(t.dataStack()), args)
}

// handlerStack leaves the guest's frame alone: 128 bytes below it, aligned.
func handlerStack(sp uint32) uint32 { return (sp - 128) &^ 15 }

var errControlStack = errors.New("halite: the control stack is full")

func (t *Thread) invoke(fn, stack uint32, args []uint64) (uint64, error) {
	r := Call{Stack: stack}
	copy(r.Int[:], args)
	err := t.Do(fn, &r)
	return r.Int[0], err
}

// Call is what goes into a C function and comes out: the registers and the stack
// arguments of the System V calling convention.
type Call struct {
	// Int are the arguments in rdi, rsi, rdx, rcx, r8, r9; afterwards the results in rax
	// and rdx.
	Int [6]uint64
	// Float are the low halves of xmm0 to xmm7, of which the first NFloat count;
	// afterwards the results in xmm0 and xmm1.
	Float  [8]uint64
	NFloat int
	// Stack is the data stack pointer at the function's entry: what lies there
	// are its stack arguments. It is a multiple of 16. 0: as Thread.Below gives it.
	Stack uint32
}

// Below returns where a data stack may begin that a function is called with on
// top of what the thread is doing, with n bytes free between it and that:
// for what the call points to.
func (t *Thread) Below(n uint32) uint32 {
	top := handlerStack(t.stackTop())
	if n > top {
		return 0
	}
	return (top - n) &^ 15
}

func (t *Thread) stackTop() uint32 {
	if t.ctx.Depth() == 0 && t.hostStack != 0 {
		return t.hostStack + 128
	}
	if t.waits() {
		return t.parkedStack
	}
	return t.dataStack()
}

// waits is whether the thread is between calls of the host, in return_and_wait.
func (t *Thread) waits() bool { return t.parked != nil && t.ctx.Depth() == 1 }

// dataStack is the guest's stack pointer.
func (t *Thread) dataStack() uint32 {
	if t.ctx.Classic() {
		return uint32(t.ctx.Regs().RSP)
	}
	return uint32(t.ctx.Regs().R14)
}

// room looks whether a call has any, and prepares its data stack, which is stack if
// that is not 0.
func (t *Thread) room(stack uint32) (uint32, error) {
	if t.Exiting() {
		return 0, errThreadEnded
	}
	if stack == 0 {
		stack = t.Below(0)
	}
	if t.ctx.Classic() {
		return t.pushReturn(stack)
	}
	if t.controlRoom() < controlReserve {
		return 0, errControlStack
	}
	return stack, nil
}

// outer is what a thread was doing when a call began on top of it.
type outer struct {
	saved    *engine.State
	floor    int
	cut      int64
	slot     uint32
	inCall   bool
	unbegun  bool
	progress any
	context  *callContext
	states   int // len of Thread.saved
}

// waiting is what a thread is doing that waits for calls: nothing, and it was saved
// when it began to.
var waiting = outer{inCall: true}

// Do is Invoke with everything that the calling convention has.
func (t *Thread) Do(fn uint32, c *Call) error {
	stack, err := t.room(c.Stack)
	if err != nil {
		return err
	}
	if t.waits() {
		defer t.back(&waiting, 1)
		return t.run(fn, stack, c)
	}
	o := outer{
		floor: t.floor, cut: t.cut, slot: t.slot, inCall: t.inCall, unbegun: t.unbegun, progress: t.progress,
		context: t.hostCall.context, states: len(t.saved),
	}
	depth := t.ctx.Depth()
	if depth > 0 {
		o.saved = t.ctx.Save()
		t.saved = append(t.saved, o.saved)
	} else { // a thread of the host has nothing to come back to
		t.idle.Store(false)
	}
	defer t.back(&o, depth)
	return t.run(fn, stack, c)
}

// run is a call on top of what the thread was doing. The caller goes back to that, also
// when a Go function that the guest called panics or ends its goroutine.
func (t *Thread) run(fn, stack uint32, c *Call) error {
	t.floor, t.cut, t.unbegun, t.progress = len(t.frames), 0, false, nil
	t.ctx.SetCallRegisters(fn, stack, &c.Int)
	if c.NFloat > 0 {
		for i, v := range c.Float[:c.NFloat] {
			t.ctx.SetXMM(i, v, 0)
		}
		t.ctx.Regs().RAX = uint64(c.NFloat) // for functions with variable arguments
	}
	if err := t.loop(); err != nil {
		return err
	}
	t.results(c)
	return nil
}

func (t *Thread) results(c *Call) {
	r := t.ctx.Regs()
	c.Int[0], c.Int[1] = r.RAX, r.RDX
	c.Float[0], c.Float[1] = t.ctx.FloatResults()
}

// back puts the thread where it was before a call.
func (t *Thread) back(o *outer, depth int) {
	for t.ctx.Depth() > depth {
		t.ctx.Leave()
	}
	if len(t.frames) > t.floor {
		clear(t.frames[t.floor:])
		t.frames = t.frames[:t.floor]
	}
	t.floor, t.cut, t.slot, t.inCall, t.unbegun, t.progress = o.floor, o.cut, o.slot, o.inCall, o.unbegun, o.progress
	if c := t.hostCall.context; c != o.context {
		// A Go function has left by a panic.
		if c != nil {
			c.close()
		}
		t.hostCall.context = o.context
	}
	if o.saved != nil {
		t.ctx.Restore(o.saved)
	}
	if len(t.saved) > o.states {
		clear(t.saved[o.states:])
		t.saved = t.saved[:o.states]
	}
	if depth == 0 {
		t.idle.Store(true)
		t.d.suspension.settled()
	}
}

// A HostThread lets a goroutine of the host call functions of a domain. Each
// goroutine that calls at the same time needs one of its own.
type HostThread struct {
	t     *Thread
	stack uint32
	size  uint64
}

const hostStackSize = 256 << 10

// NewHostThread makes a thread for calls from the host, with a data stack of its
// own. tp is its thread pointer; code that uses thread-local storage needs one
// that its C library has set up.
func (d *Domain) NewHostThread(tp uint32) (*HostThread, error) {
	t, err := d.newThread()
	if err != nil {
		return nil, err
	}
	t.host = true
	off, err := d.cage.Map(0, hostStackSize, cage.ProtRead|cage.ProtWrite, cage.Hint)
	if err != nil {
		t.release()
		return nil, err
	}
	if err := d.register(t); err != nil {
		t.release()
		_ = d.cage.Unmap(off, hostStackSize)
		return nil, err
	}
	t.ctx.SetThreadPointer(tp)
	t.hostStack = off + hostStackSize
	return &HostThread{t: t, stack: off, size: hostStackSize}, nil
}

// Thread is the guest thread behind h.
func (h *HostThread) Thread() *Thread { return h.t }

// Call runs the guest function at fn and returns its result. When ctx ends
// before the function returns, or the function faults, the domain ends: a guest
// that was stopped in the middle can not go on.
func (h *HostThread) Call(ctx context.Context, fn uint32, args ...uint64) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	stop := h.t.d.Bind(ctx)
	defer stop()
	r, err := h.t.invoke(fn, h.stack+uint32(h.size), args)
	return r, h.t.reason(err)
}

// reason says why a call from the host did not return.
func (t *Thread) reason(err error) error {
	if err != errThreadEnded {
		return err
	}
	if e, ok := t.d.Ending(); ok {
		if e.Err != nil {
			return e.Err
		}
		return &ExitError{Ending: e}
	}
	if t.host {
		t.exiting = false
	}
	return errThreadEnded
}

// Close gives the thread back.
func (h *HostThread) Close() error {
	t := h.t
	t.d.person.ThreadEnd(t)
	err := t.d.cage.Unmap(h.stack, h.size)
	t.release()
	t.d.unregister(t)
	return err
}

// Call runs a guest function on a thread made for it; see HostThread.Call.
func (d *Domain) Call(ctx context.Context, fn uint32, args ...uint64) (uint64, error) {
	h, err := d.NewHostThread(0)
	if err != nil {
		return 0, err
	}
	defer h.Close()
	return h.Call(ctx, fn, args...)
}

// An ExitError is returned by a call that did not return because the guest
// ended its domain.
type ExitError struct{ Ending Ending }

func (e *ExitError) Error() string {
	if e.Ending.Signal != 0 {
		return "halite: the guest was ended by " + SignalName(e.Ending.Signal)
	}
	return "halite: the guest called exit"
}
