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
	return t.invoke(fn, handlerStack(uint32(t.ctx.Regs().R14)), args)
}

// handlerStack leaves the guest's frame alone: 128 bytes below it, aligned.
func handlerStack(sp uint32) uint32 { return (sp - 128) &^ 15 }

var errControlStack = errors.New("halite: the control stack is full")

func (t *Thread) invoke(fn, stack uint32, args []uint64) (uint64, error) {
	if t.Exiting() {
		return 0, errThreadEnded
	}
	if t.controlRoom() < controlReserve {
		return 0, errControlStack
	}
	// A thread of the host has nothing to come back to.
	var saved *engine.State
	if t.ctx.Depth() > 0 {
		saved = t.ctx.Save()
	}
	floor, cut, slot, inCall, unbegun, progress := t.floor, t.cut, t.slot, t.inCall, t.unbegun, t.progress
	t.floor, t.cut, t.unbegun, t.progress = len(t.frames), 0, false, nil
	t.ctx.SetCall(fn, stack, args...)
	err := t.loop()
	result := t.ctx.Regs().RAX
	if err != nil {
		t.ctx.Leave()
	}
	clear(t.frames[t.floor:])
	t.frames = t.frames[:t.floor]
	t.floor, t.cut, t.slot, t.inCall, t.unbegun, t.progress = floor, cut, slot, inCall, unbegun, progress
	if saved != nil {
		t.ctx.Restore(saved)
	}
	return result, err
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
	if err == errThreadEnded {
		if e, ok := h.t.d.Ending(); ok {
			if e.Err != nil {
				return 0, e.Err
			}
			return 0, &ExitError{Ending: e}
		}
		h.t.exiting = false
		return 0, errThreadEnded
	}
	return r, err
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
