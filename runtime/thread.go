package runtime

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/halite-run/halite/internal/engine"
)

// A Thread is one guest thread. Its methods belong to the goroutine that runs it
// (that is, to code called by a Personality), except where said otherwise.
type Thread struct {
	local atomic.Pointer[any] // see Local

	d    *Domain
	tid  int
	host bool // a HostThread: its goroutine belongs to a caller

	// attention is set when the guest must not go on before attend has run.
	attention atomic.Bool
	park      parker

	mu  sync.Mutex // guards ctx against release while Kick uses it
	ctx *engine.Context

	start    *startState // nil for a thread that Fork made
	exiting  bool
	exitCode int32
	clearTID uint32

	frames   []handlerFrame // handlers that have not returned, outermost first
	floor    int            // frames below belong to outer invocations
	cut      int64          // Restart or RestartUnlessHandled when the last call was cut short
	slot     uint32         // slot of that call
	inCall   bool           // the guest waits for the result of a call
	answered bool           // answerCall has given it, and Resume returns nevertheless
	unbegun  bool           // the handler on top of frames has not begun
	// Progress is where a call that is cut short leaves what it needs when it
	// is made again (an absolute deadline). It is nil in a fresh call.
	progress any

	// Of a thread on which the host makes calls.
	hostStack   uint32        // top of the data stack that NewHostThread gave it
	parked      *engine.State // it waits for calls (return_and_wait): what goes on then
	parkedStack uint32        // its data stack pointer
	visitStack  uint32        // where a call begins that has no wishes; 0: it is not as easy as that
	exchange    exchange      // the messages of that wait
	hostCall    HostCall
	bound       binding
	calling     context.Context // of the call from the host that is in progress

	futex futexWaiter
	tls2  uint32 // NaCl's second thread-local word, of the halite ABI
	seen  sample // by the clock of processor time

	classic classicThread

	// idle: there is nothing on the control stack, and what comes begins at the
	// start of a function. Read by those who delete code.
	idle    atomic.Bool
	saved   []*engine.State // of outer invocations
	patched uint64          // what dyncode.Region.Retry said last
}

// startState is what a thread begins with.
type startState struct {
	entry, stack, tp uint32
	args             []uint64
}

// errThreadEnded leaves the loop of a thread that exits or whose domain ended.
var errThreadEnded = errors.New("halite: the guest thread has ended")

// errWaits leaves the loop of a thread that waits for calls of the host.
var errWaits = errors.New("halite: the guest thread waits for calls")

// Local is the Personality's own state of the thread, nil until SetLocal; the runtime
// never looks at it. Safe from any goroutine: who asks for a domain's Threads finds
// some that are not ready yet.
func (t *Thread) Local() any {
	if v := t.local.Load(); v != nil {
		return *v
	}
	return nil
}

// SetLocal sets it. Call it before Start. Safe from any goroutine.
func (t *Thread) SetLocal(v any) { t.local.Store(&v) }

// TID is the thread's number. Safe from any goroutine.
func (t *Thread) TID() int { return t.tid }

// Domain is the thread's domain. Safe from any goroutine.
func (t *Thread) Domain() *Domain { return t.d }

// ThreadConfig says where a thread begins.
type ThreadConfig struct {
	// Entry is the code address it begins at, 32-aligned.
	Entry uint32
	// Stack is its first data stack pointer.
	Stack uint32
	// ThreadPointer is its first thread pointer, SecondThreadPointer the second one
	// of the classic ABI.
	ThreadPointer, SecondThreadPointer uint32
	// ClearTID, when not 0, is a word that is set to 0 and woken (as a futex)
	// when the thread has gone.
	ClearTID uint32
	// Args go to the argument registers.
	Args []uint64
}

// NewThread makes a guest thread that runs when Start is called. A thread that is
// not started must be given to Drop.
func (d *Domain) NewThread(c ThreadConfig) (*Thread, error) {
	t, err := d.newThread()
	if err != nil {
		return nil, err
	}
	t.clearTID = c.ClearTID
	if d.cfg.Classic {
		t.ctx.SetSecondThreadPointer(c.SecondThreadPointer)
	}
	t.start = &startState{entry: c.Entry, stack: c.Stack, tp: c.ThreadPointer, args: c.Args}
	if err := d.register(t); err != nil {
		t.release()
		return nil, err
	}
	return t, nil
}

func (d *Domain) newThread() (*Thread, error) {
	ctx, err := engine.NewContext(d.cage.Base(), engine.ContextOptions{ControlStackSize: d.cfg.ControlStackSize, Classic: d.cfg.Classic})
	if err != nil {
		return nil, err
	}
	t := newThread(d, ctx)
	t.idle.Store(true)
	return t, nil
}

func newThread(d *Domain, ctx *engine.Context) *Thread {
	t := &Thread{d: d, ctx: ctx}
	ctx.SetServer(t.answerCall)
	if d.cfg.Profile != nil && !d.cfg.Classic {
		_ = ctx.Profile() // without memory for it the thread is missing in the profile
	}
	t.park.init()
	return t
}

// fork is a thread of d that stands where t does, in a call.
func (t *Thread) fork(d *Domain) (*Thread, error) {
	ctx, err := t.ctx.Clone(d.cage.Base())
	if err != nil {
		return nil, err
	}
	n := newThread(d, ctx)
	n.inCall, n.tls2 = true, t.tls2
	return n, nil
}

// Start runs the thread on a goroutine of its own.
func (t *Thread) Start() { go t.begin() }

// Run runs the thread on the caller's goroutine, until it ends or waits for calls
// of the host. It tells whether it waits.
func (t *Thread) Run() (waits bool) { return t.begin() }

// begin runs the thread from its start.
func (t *Thread) begin() (waits bool) {
	// A Go function that the guest called and that panics, or ends the goroutine,
	// ends this thread, which is nobody's but the guest's.
	defer func() {
		if waits {
			return
		}
		if p := recover(); p != nil {
			t.d.End(Ending{Signal: sigAbrt, Err: &PanicError{Value: p, Stack: debug.Stack()}})
		}
		t.end()
	}()
	t.idle.Store(false)
	if s := t.start; s != nil { // not a copy in the middle of its work
		t.ctx.SetThreadPointer(s.tp)
		t.ctx.SetCall(s.entry, s.stack, s.args...)
	}
	switch err := t.loop(); {
	case err == errWaits:
		t.d.callers.offer(t)
		return true
	case err == nil && t.tid == t.d.cfg.FirstThread:
		// The entry function returned: for the first thread this is the end
		// of the program, for another one the end of the thread.
		t.d.Exit(int(t.ctx.Regs().RAX))
	}
	return false
}

// Drop gives back a thread that was never started.
func (t *Thread) Drop() {
	t.release()
	t.d.unregister(t)
}

// end is the last thing a thread does.
func (t *Thread) end() {
	if t.hostCall.context != nil {
		t.hostCall.context.close()
	}
	t.bound.release()
	closeAll(t.exchange.descs)
	t.d.person.ThreadEnd(t)
	if t.clearTID != 0 {
		// The address may have been unmapped meanwhile: nobody waits then.
		if t.d.mem.Store32(t.clearTID, 0) == nil {
			t.d.FutexWake(t.clearTID, true, 1, ^uint32(0))
		}
	}
	t.release()
	t.d.unregister(t)
}

func (t *Thread) release() {
	if p := t.d.cfg.Profile; p != nil {
		p.take(t)
	}
	t.mu.Lock()
	if t.ctx != nil {
		t.ctx.Close()
		t.ctx = nil
	}
	t.mu.Unlock()
	t.park.close()
}

// SetClearTID sets the word that is cleared and woken at the thread's end.
func (t *Thread) SetClearTID(addr uint32) { t.clearTID = addr }

// SetThreadPointer sets the guest's thread pointer.
func (t *Thread) SetThreadPointer(tp uint32) { t.ctx.SetThreadPointer(tp) }

// Exit makes the thread leave instead of going back to the guest. Code counts
// when it is the domain's first thread and the last to leave is not killed.
func (t *Thread) Exit(code int) {
	t.exiting = true
	t.exitCode = int32(code & 0xff)
}

// Exiting reports whether the thread will not go back to the guest.
func (t *Thread) Exiting() bool { return t.exiting || t.d.ended() }

// Kick makes the thread call Personality.Attention soon, whether it runs guest
// code or waits in Park or ParkIn. Safe from any goroutine.
func (t *Thread) Kick() {
	t.attention.Store(true)
	if t.d.callers.rests(t) {
		return // who calls it looks at attention first
	}
	t.mu.Lock()
	if t.ctx != nil {
		t.ctx.Interrupt()
	}
	t.mu.Unlock()
	t.interrupt()
	t.park.wake()
}

// Progress returns what SetProgress was given when this very call was cut
// short before, or nil.
func (t *Thread) Progress() any { return t.progress }

// SetProgress keeps x for the repetition of the call. Use it with
// RestartUnlessHandled.
func (t *Thread) SetProgress(x any) { t.progress = x }

// loop runs the guest until the innermost invocation returns (nil), the thread
// ends (errThreadEnded), or it waits for calls of the host (errWaits).
func (t *Thread) loop() error {
	for {
		if t.attention.Load() {
			t.attend()
		}
		if t.exiting || t.d.ended() {
			return errThreadEnded
		}
		if t.cut != 0 {
			// Nothing was worth an interruption: go on waiting.
			t.serve(t.slot)
			continue
		}
		if done, err := t.came(t.ctx.Resume()); done {
			return err
		}
	}
}

// came does what the guest has left for. It reports whether that ends loop, and how.
func (t *Thread) came(exit engine.Exit) (done bool, err error) {
	t.inCall = exit.Reason == engine.ExitCall
	t.unbegun = t.unbegun && exit.Reason == engine.ExitInterrupt && t.stillUnbegun()
	switch exit.Reason {
	case engine.ExitCall:
		switch {
		case t.answered:
			t.answered = false
		case t.mayWait(exit.Slot):
			t.progress = nil
			if t.returnAndWait() {
				return true, errWaits
			}
		default:
			t.handle(exit.Slot)
		}
	case engine.ExitReturn:
		return true, nil
	case engine.ExitInterrupt:
		// If attention is not set yet it is about to be, or a Kick of the past
		// arrives late: attend clears the engine's flag either way.
		t.attention.Store(true)
	case engine.ExitSignalReturn:
		t.handlerReturned()
	case engine.ExitFault:
		t.fault()
	}
	return false, nil
}

// answerCall answers a call of the guest while Resume is in progress. It is false if
// the guest can't go on: loop goes on then.
func (t *Thread) answerCall(slot uint32) bool {
	if t.mayWait(slot) {
		return false
	}
	t.inCall, t.unbegun = true, false
	t.handle(slot)
	t.answered = t.attention.Load() || t.exiting || t.d.ended() || t.cut != 0
	return !t.answered
}

// mayWait is whether a call may make the thread wait for calls of the host.
func (t *Thread) mayWait(slot uint32) bool {
	return slot == naclReturnAndWait && (t.d.cfg.Invocable || !t.d.cfg.Classic)
}

func (t *Thread) handle(slot uint32) {
	t.progress = nil
	if slot >= firstHostSlot {
		t.callHost(slot)
	} else {
		t.serve(slot)
	}
}

// attend lets the Personality see why the thread was kicked. The engine's flag
// goes first: a Kick in between is then seen by the next Resume.
func (t *Thread) attend() {
	t.ctx.ClearInterrupt()
	t.attention.Store(false)
	if t.d.ended() {
		t.attention.Store(true) // no wait may begin any more
		return
	}
	t.d.retiring.answer(t)
	t.d.suspension.hold(t)
	t.d.person.Attention(t)
}

// serve answers one call of the guest.
func (t *Thread) serve(slot uint32) {
	regs := t.ctx.Regs()
	t.cut = 0
	var result int64
	if t.ctx.Classic() {
		result = t.classicCall(slot)
	} else if slot == slotLinux {
		result = t.d.person.Syscall(t, regs.RAX, [6]uint64{regs.RDI, regs.RSI, regs.RDX, regs.R10, regs.R8, regs.R9})
	} else {
		result = t.naclCall(slot)
	}
	if result == Restart || result == RestartUnlessHandled {
		t.cut, t.slot = result, slot
		// The flag may have been consumed by the wait itself.
		t.attention.Store(true)
		return
	}
	t.progress = nil
	regs.RAX = uint64(result)
	if t.ctx.Classic() {
		regs.RAX = uint64(uint32(result))
	}
}

// Registers returns the guest's view of its registers: no host address is in it.
// The data stack pointer stands for the stack pointer.
func (t *Thread) Registers() Registers { return t.guestRegisters(t.ctx.Regs()) }

// Attend is Kick from the thread's own goroutine, which needs no interruption:
// the guest does not run, and a wait that is about to begin does not.
func (t *Thread) Attend() { t.attention.Store(true) }
