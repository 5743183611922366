package runtime

import (
	"context"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// A Descriptor is what Invoke passes in and out beside bytes: whatever the
// Personality keeps in its table. The descriptors of package imc are some.
type Descriptor interface{ Close() error }

// A DescriptorTable is a Personality that can pass descriptors. A Personality
// that is none refuses them.
type DescriptorTable interface {
	// Install gives the guest its own reference to x under a new number. x stays
	// the caller's.
	Install(t *Thread, x Descriptor) (fd int, err error)
	// Take returns a reference to what the guest has under a number, for the
	// host to Close.
	Take(t *Thread, fd int) (Descriptor, error)
	// Remove takes back what Install has just given.
	Remove(t *Thread, fd int)
}

const naclReturnAndWait = 160

var le = binary.LittleEndian

// exchange is what a thread that waits has answered, and where the next message
// goes.
type exchange struct {
	reply []byte
	descs []Descriptor

	header  *MessageHeader // of the request; nil: it takes none
	request uint32         // where it was read
}

var (
	// ErrNoMessage is returned by Invoke when the thread that waits takes no
	// messages.
	ErrNoMessage = errors.New("halite: the guest waits for calls and takes no message")
	// ErrMessageSize is returned for a message that is too long or has too many
	// descriptors.
	ErrMessageSize = errors.New("halite: a message of more than 128 KiB or 8 descriptors")
)

// returnAndWait serves return_and_wait(reply, request). It is true when the thread
// waits from now on; otherwise the call has its (negative) result.
func (t *Thread) returnAndWait() bool {
	r := t.ctx.Regs()
	e, errno := t.exchangeOf(uint32(r.RDI), uint32(r.RSI))
	if errno != 0 {
		r.RAX = uint64(-int64(errno))
		return false
	}
	t.exchange = e
	t.waitAt(t.dataStack())
	return true
}

// waitAt makes the thread one that waits for calls of the host, with its data stack at sp.
func (t *Thread) waitAt(sp uint32) {
	t.parkedStack = sp
	t.parked = t.ctx.Save()
	t.visitStack = 0
	if !t.ctx.Classic() && t.controlRoom() >= controlReserve {
		t.visitStack = t.Below(0)
	}
}

func (t *Thread) exchangeOf(reply, request uint32) (e exchange, errno unix.Errno) {
	switch {
	case !t.d.cfg.Invocable:
		return e, unix.ENOSYS
	case t.ctx.Depth() != 1 || len(t.frames) > 0 || t.host:
		return e, unix.EBUSY
	}
	if request != 0 {
		e.request = request
		var err error
		if e.header, err = t.header(request); err != nil {
			return e, errnoOf(err)
		}
	}
	if reply == 0 {
		return e, 0
	}
	h, err := t.header(reply)
	if err != nil {
		return e, errnoOf(err)
	}
	if e.reply, err = h.Gather(); err != nil {
		return e, errnoOf(err)
	}
	fds, err := h.Numbers()
	if err != nil {
		return e, errnoOf(err)
	}
	table, _ := t.d.person.(DescriptorTable)
	for _, fd := range fds {
		err := error(unix.EINVAL)
		var x Descriptor
		if table != nil {
			x, err = table.Take(t, int(fd))
		}
		if err != nil {
			closeAll(e.descs)
			return exchange{}, errnoOf(err)
		}
		e.descs = append(e.descs, x)
	}
	return e, 0
}

func closeAll(list []Descriptor) {
	for _, x := range list {
		_ = x.Close()
	}
}

func errnoOf(err error) unix.Errno {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return unix.EFAULT
}

// header reads a message header, whose data must not be longer than a message.
func (t *Thread) header(at uint32) (*MessageHeader, error) {
	h, err := ReadHeader(t.d.mem, at)
	if err == nil && h.Total > MaxMessage {
		err = unix.EINVAL
	}
	return h, err
}

// deliver puts a message where the waiting thread wants it and prepares it to go
// on. After an error it waits as before.
func (t *Thread) deliver(msg []byte, descs []Descriptor) error {
	e := &t.exchange
	h := e.header
	if h == nil {
		if len(msg) > 0 || len(descs) > 0 {
			return ErrNoMessage
		}
		t.resumeWith(0)
		return nil
	}
	if len(msg) > MaxMessage || len(descs) > MaxDescriptors {
		return ErrMessageSize
	}
	n, err := h.Scatter(msg)
	if err != nil {
		return err
	}
	flags := uint32(0)
	if n < len(msg) {
		flags |= FlagDataTruncated
	}
	if len(descs) > h.Descs {
		descs = descs[:h.Descs]
		flags |= FlagDescTruncated
	}
	table, _ := t.d.person.(DescriptorTable)
	var fds []int32
	undo := func(err error) error {
		for _, fd := range fds {
			table.Remove(t, int(fd))
		}
		return err
	}
	for _, x := range descs {
		if table == nil {
			return errors.New("halite: the domain has no descriptors")
		}
		fd, err := table.Install(t, x)
		if err != nil {
			return undo(err)
		}
		fds = append(fds, int32(fd))
	}
	if err := h.Finish(fds, flags); err != nil {
		return undo(err)
	}
	t.resumeWith(uint64(n))
	return nil
}

// resumeWith lets return_and_wait return.
func (t *Thread) resumeWith(result uint64) {
	t.ctx.Restore(t.parked)
	t.ctx.Regs().RAX = result
	t.parked = nil
	t.exchange = exchange{}
}

// Invoke gives a message to a thread of the guest that waits for one
// (return_and_wait), lets it go on, on the caller's own goroutine, and returns what
// it answers when it waits again. Descriptors given stay the caller's; those
// returned are for the caller to Close.
//
// An error of delivery leaves the guest waiting. If the guest faults, exits, or
// ctx ends, the domain is over, and the error says why.
func (d *Domain) Invoke(ctx context.Context, msg []byte, descs ...Descriptor) (reply []byte, out []Descriptor, err error) {
	v, err := d.enter(ctx, true)
	if err != nil {
		return nil, nil, err
	}
	t := v.t
	if err := t.deliver(msg, descs); err != nil {
		return nil, nil, v.Leave(err)
	}
	v.through = true // until it waits again
	over := false
	defer func() {
		if !over {
			// A Go function that the guest called has left by a panic, and the guest
			// is nowhere that it could go on from.
			d.End(Ending{Signal: sigAbrt, Err: errLeft})
		}
		err = v.Leave(err)
	}()
	switch err = t.loop(); err {
	case errWaits:
		v.through, err = false, nil
		reply, out = t.answer()
	case nil:
		// Its outermost function returned.
		if t.tid == d.cfg.FirstThread {
			d.Exit(int(t.ctx.Regs().RAX))
		}
		t.exiting = true
		err = errThreadEnded
	}
	over = true
	return reply, out, err
}

var errLeft = errors.New("halite: a Go function left an invocation by a panic or by runtime.Goexit")

// answer takes what the guest answered when it began to wait.
func (t *Thread) answer() ([]byte, []Descriptor) {
	e := &t.exchange
	reply, descs := e.reply, e.descs
	e.reply, e.descs = nil, nil
	return reply, descs
}

// FirstAnswer is what the first thread answered with its first return_and_wait,
// for the one who started it by Run.
func (t *Thread) FirstAnswer() ([]byte, []Descriptor) { return t.answer() }
