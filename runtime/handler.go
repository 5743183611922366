package runtime

import (
	"errors"

	"github.com/halite-run/halite/internal/engine"
)

// handlerFrame is one handler that was pushed and has not returned.
type handlerFrame struct {
	depth  int // of the control stack when the handler was pushed
	state  *engine.State
	tag    any
	again  bool   // repeat the call that was cut short
	slot   uint32 // of that call
	inCall bool   // the thread was in a call, whose return address is counted in depth
	above  bool   // pushed over a handler that had not begun: both have the same depth
}

// controlReserve is the number of words that must be free on the control stack
// for a handler to be started.
const controlReserve = 64

// maxHandlers bounds the handlers that can be nested; each holds the vector
// state of what it interrupted.
const maxHandlers = 1024

var errClassicHandler = errors.New("halite: a guest of the classic ABI has no signal handlers")

var errNoRoom = errors.New("halite: no room for another signal handler")

// A Handler describes a guest function to be run in front of what a thread was
// doing.
type Handler struct {
	Entry uint32
	// Stack is the data stack pointer the function begins with.
	Stack uint32
	Args  []uint64
	// Restart repeats the call that was cut short, when there is one and it
	// may be repeated, after the handler has returned. Otherwise that call
	// returns -EINTR.
	Restart bool
	// Tag is handed to Personality.HandlerReturn.
	Tag any
}

// PushHandler sets the thread's state aside and prepares it to run h. Handlers
// pushed one after the other run last first. Call it from Personality.Attention
// or Personality.Fault.
func (t *Thread) PushHandler(h Handler) error {
	if t.ctx.Classic() {
		return errClassicHandler
	}
	t.dropDeadFrames()
	if len(t.frames) >= maxHandlers || t.controlRoom() < controlReserve {
		return errNoRoom
	}
	f := handlerFrame{depth: t.ctx.ControlDepth(), tag: h.Tag, inCall: t.inCall, above: t.unbegun}
	if t.cut != 0 {
		if t.cut == Restart && h.Restart {
			f.again, f.slot = true, t.slot
		} else {
			t.ctx.Regs().RAX = negEINTR
		}
		t.cut = 0
	}
	t.progress = nil
	f.state = t.ctx.Save()
	t.ctx.PushSignal(h.Entry, h.Stack, h.Args...)
	t.frames = append(t.frames, f)
	t.inCall, t.unbegun = false, true
	return nil
}

// controlRoom is the number of words free on the control stack.
func (t *Thread) controlRoom() int {
	return t.d.cfg.ControlStackSize/8 - t.ctx.ControlDepth()
}

const negEINTR = ^uint64(errIntr) + 1

// stillUnbegun reports whether an interruption came before the first instruction
// of the handler on top: its stub is not on the control stack. A handler that
// jumped back to the very depth it was started at looks the same; its frame is
// then kept a little longer, which does no harm.
func (t *Thread) stillUnbegun() bool {
	n := len(t.frames)
	return n > t.floor && t.frames[n-1].depth == t.ctx.ControlDepth()
}

// dropDeadFrames forgets handlers that were left without returning: the control
// stack is now at or below the place where they were started.
func (t *Thread) dropDeadFrames() {
	if t.unbegun {
		return // looked at when it was pushed, and its stub is not there yet
	}
	depth := t.ctx.ControlDepth()
	if t.inCall {
		depth-- // the call's own return address
	}
	n := len(t.frames)
	for n > t.floor && t.frames[n-1].depth >= depth {
		n--
	}
	clear(t.frames[n:])
	t.frames = t.frames[:n]
}

// handlerReturned puts back what the handler that has just returned had
// interrupted. Its frame is the one that was pushed at the present depth; frames
// above were left by a jump.
func (t *Thread) handlerReturned() {
	depth := t.ctx.ControlDepth()
	for n := len(t.frames); n > t.floor; n-- {
		f := t.frames[n-1]
		if f.depth > depth {
			continue
		}
		if f.depth < depth {
			break
		}
		clear(t.frames[n-1:])
		t.frames = t.frames[:n-1]
		t.ctx.Restore(f.state)
		t.inCall, t.unbegun = f.inCall, f.above
		if f.again {
			t.cut, t.slot = Restart, f.slot
		}
		t.d.person.HandlerReturn(t, f.tag)
		return
	}
	// The guest returned through a stub whose frame is gone: only a program
	// that plays with control depths can get here.
	t.d.End(Ending{Signal: sigIll, Err: errors.New("halite: a signal handler returned twice")})
}
