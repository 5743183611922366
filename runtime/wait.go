package runtime

import (
	"context"
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
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

// Bounds of a message, as those of IMC.
const (
	MaxMessage     = 128 << 10
	MaxDescriptors = 8

	maxSpans = 256
)

// Flags of a message, in the header that the guest passed.
const (
	flagDataTruncated = 1
	flagDescTruncated = 2
)

const naclReturnAndWait = 160

var le = binary.LittleEndian

// exchange is what a thread that waits has answered, and where the next message
// goes.
type exchange struct {
	reply []byte
	descs []Descriptor

	header uint32 // of the request; 0: it takes none
	spans  []span
	descv  uint32
	descn  int
}

type span struct {
	addr uint32
	len  uint32
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
	t.parkedStack = uint32(r.R14)
	t.parked = t.ctx.Save()
	return true
}

func (t *Thread) exchangeOf(reply, request uint32) (e exchange, errno unix.Errno) {
	switch {
	case !t.d.cfg.Invocable:
		return e, unix.ENOSYS
	case t.ctx.Depth() != 1 || len(t.frames) > 0 || t.host:
		return e, unix.EBUSY
	}
	if request != 0 {
		var err error
		if e.spans, e.descv, e.descn, err = t.header(request); err != nil {
			return e, errnoOf(err)
		}
		e.header = request
	}
	if reply == 0 {
		return e, 0
	}
	spans, descv, descn, err := t.header(reply)
	if err != nil {
		return e, errnoOf(err)
	}
	n := 0
	for _, s := range spans {
		n += int(s.len)
	}
	e.reply = make([]byte, n)
	p := e.reply
	for _, s := range spans {
		if t.d.mem.Read(s.addr, p[:s.len]) != nil {
			return e, unix.EFAULT
		}
		p = p[s.len:]
	}
	table, _ := t.d.person.(DescriptorTable)
	for i := range descn {
		fd, err := t.d.mem.Load32(descv + 4*uint32(i))
		if err == nil && table == nil {
			err = unix.EINVAL
		}
		var x Descriptor
		if err == nil {
			x, err = table.Take(t, int(int32(fd)))
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

// header reads a message header: once, so that it can't change after it was
// checked.
func (t *Thread) header(at uint32) (spans []span, descv uint32, descn int, err error) {
	var h [20]byte
	if err := t.d.mem.Read(at, h[:]); err != nil {
		return nil, 0, 0, unix.EFAULT
	}
	iov, n := le.Uint32(h[0:]), le.Uint32(h[4:])
	descv, nd := le.Uint32(h[8:]), le.Uint32(h[12:])
	if n > maxSpans || nd > MaxDescriptors {
		return nil, 0, 0, unix.EINVAL
	}
	raw := make([]byte, 8*n)
	if err := t.d.mem.Read(iov, raw); err != nil {
		return nil, 0, 0, unix.EFAULT
	}
	total := uint64(0)
	for ; len(raw) > 0; raw = raw[8:] {
		s := span{le.Uint32(raw), le.Uint32(raw[4:])}
		if uint64(s.addr)+uint64(s.len) > cage.Size {
			return nil, 0, 0, unix.EFAULT
		}
		if total += uint64(s.len); total > MaxMessage {
			return nil, 0, 0, unix.EINVAL
		}
		if s.len > 0 {
			spans = append(spans, s)
		}
	}
	return spans, descv, int(nd), nil
}

// deliver puts a message where the waiting thread wants it and prepares it to go
// on. After an error it waits as before.
func (t *Thread) deliver(msg []byte, descs []Descriptor) error {
	e := &t.exchange
	if e.header == 0 {
		if len(msg) > 0 || len(descs) > 0 {
			return ErrNoMessage
		}
		t.resumeWith(0)
		return nil
	}
	if len(msg) > MaxMessage || len(descs) > MaxDescriptors {
		return ErrMessageSize
	}
	n, flags := 0, uint32(0)
	for _, s := range e.spans {
		k := min(len(msg)-n, int(s.len))
		if err := t.d.mem.Write(s.addr, msg[n:n+k]); err != nil {
			return err
		}
		n += k
	}
	if n < len(msg) {
		flags |= flagDataTruncated
	}
	if len(descs) > e.descn {
		descs = descs[:e.descn]
		flags |= flagDescTruncated
	}
	table, _ := t.d.person.(DescriptorTable)
	var fds []int
	undo := func(err error) error {
		for _, fd := range fds {
			table.Remove(t, fd)
		}
		return err
	}
	for i, x := range descs {
		if table == nil {
			return errors.New("halite: the domain has no descriptors")
		}
		fd, err := table.Install(t, x)
		if err != nil {
			return undo(err)
		}
		fds = append(fds, fd)
		if err := t.d.mem.Store32(e.descv+4*uint32(i), uint32(fd)); err != nil {
			return undo(err)
		}
	}
	for _, w := range [2]span{{e.header + 12, uint32(len(fds))}, {e.header + 16, flags}} {
		if err := t.d.mem.Store32(w.addr, w.len); err != nil {
			return undo(err)
		}
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
