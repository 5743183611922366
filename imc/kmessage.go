package imc

import (
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// sending is one packet on its way out.
type sending struct {
	pieces [2][]byte
	oob    []byte
}

func (s *sending) try(k *kfd) error {
	for {
		err := sendPacket(k.fd, &s.pieces, s.oob)
		switch err {
		case unix.EINTR:
			continue
		case unix.ETOOMANYREFS, unix.ENOMEM, unix.ENOBUFS:
			// Descriptors in flight, or memory: short for a while.
			return errSlowly
		case unix.ECONNRESET:
			return unix.EPIPE
		}
		return err
	}
}

var sendings = sync.Pool{New: func() any { return new(sending) }}

// plain is the header of messages without descriptors.
var plain = appendHeader(nil, nil)

func (k *kfd) sendMessage(h *handle, done <-chan struct{}, nonblock bool, m message) error {
	s := sendings.Get().(*sending)
	defer func() {
		*s = sending{}
		sendings.Put(s)
	}()
	s.pieces = [2][]byte{plain, m.data}
	if len(m.descs) > 0 {
		list := make([]outgoing, 0, len(m.descs))
		defer func() { release(list) }()
		var fds []int
		for _, d := range m.descs {
			o, err := d.outgoing()
			for pause := minPause; err == errSlowly; o, err = d.outgoing() {
				if nonblock {
					return errAgain
				}
				if err := nap(&pause, done); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
			list = append(list, o)
			if o.k != nil {
				fds = append(fds, o.k.fd)
			}
		}
		s.pieces[0] = appendHeader(nil, list)
		if len(fds) > 0 {
			s.oob = unix.UnixRights(fds...)
		}
	}
	err := k.do(h, done, nonblock, true, s)
	if err == errSlowly {
		err = errAgain
	}
	if err == nil {
		// The kernel has its own references; what was duplicated for the message goes.
		Message{Descs: m.descs}.Close()
	}
	return err
}

// receiving is one packet on its way in.
type receiving struct {
	pieces [3][]byte // where it goes
	into   []byte    // where its data goes, if it fits and there are no descriptors
	big    *packetBuffer
	n      int
	fds    []int
	lost   bool
	oob    [48]byte // room for eight descriptors
}

// packetBuffer has room for any packet. Who waits has none: there can be thousands.
type packetBuffer [maxPacket + 1]byte

var packetBuffers = sync.Pool{New: func() any { return new(packetBuffer) }}

// bigTry is a receiving of a packet of any size.
type bigTry receiving

func (b *bigTry) try(k *kfd) error {
	r := (*receiving)(b)
	r.big = packetBuffers.Get().(*packetBuffer)
	if len(r.into) > 0 {
		r.pieces = [3][]byte{r.big[:headerSize], r.into, r.big[headerSize:]}
	} else {
		r.pieces[0] = r.big[:]
	}
	err := r.try(k)
	if err != nil {
		r.free()
	}
	return err
}

// free gives the buffer back, and forgets the caller's.
func (r *receiving) free() {
	packetBuffers.Put(r.big)
	r.big, r.pieces = nil, [3][]byte{}
}

// header is the beginning of what was received.
func (r *receiving) header() []byte { return r.pieces[0][:min(r.n, len(r.pieces[0]))] }

// whole is what was received, in one piece.
func (r *receiving) whole() []byte {
	if len(r.pieces[1]) == 0 {
		return r.header()
	}
	b := make([]byte, 0, r.n)
	for _, p := range r.pieces {
		b = append(b, p[:min(len(p), r.n-len(b))]...)
	}
	return b
}

var receivings = sync.Pool{New: func() any { return new(receiving) }}

func (r *receiving) try(k *kfd) error {
	for {
		n, oobn, lost, err := receivePacket(k.fd, &r.pieces, r.oob[:])
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNRESET:
			// A reset is said once, before what is still there to be received.
			continue
		default:
			return err
		}
		r.n, r.fds, r.lost = n, rights(r.oob[:oobn]), lost
		if n > 0 {
			return nil
		}
		closeAll(r.fds)
		if k.atEnd() {
			return io.EOF
		}
	}
}

// atEnd tells whether receiving nothing means the end. It does not if an empty packet
// came, which is none of ours; nor if the other side sent something and closed between
// the kernel's looking into the queue and its looking whether the other side is
// open. What is in the queue after that is all there will be.
func (k *kfd) atEnd() bool {
	if k.poll(unix.POLLRDHUP)&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLNVAL) == 0 {
		return false
	}
	n, err := unix.IoctlGetInt(k.fd, unix.TIOCINQ)
	return err != nil || n == 0
}

func rights(oob []byte) (fds []int) {
	if len(oob) == 0 {
		return nil
	}
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range list {
		if got, err := unix.ParseUnixRights(&list[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// receiveMessage receives the data into a slice if that is not nil, or into a new one.
// What does not fit is dropped, and the error is EMSGSIZE.
func (k *kfd) receiveMessage(kind Kind, h *handle, done <-chan struct{}, nonblock bool, into []byte) (message, error) {
	r := receivings.Get().(*receiving)
	defer receivings.Put(r)
	r.into = into
	for {
		if err := k.do(h, done, nonblock, false, (*bigTry)(r)); err != nil {
			r.into = nil
			return message{}, err
		}
		if r.n == headerSize && le.Uint32(r.header()) == wordControl {
			// How a connection went, which this end did not wait for.
			closeAll(r.fds)
			k.answer.CompareAndSwap(0, le.Uint32(r.header()[4:]))
			r.free()
			continue
		}
		break
	}
	r.into = nil
	defer r.free()
	if n := r.n - headerSize; into != nil && n >= 0 && n <= len(into) && len(r.fds) == 0 && !r.lost && [headerSize]byte(r.header()) == [headerSize]byte(plain) {
		return message{data: into[:n]}, nil // it is there already
	}
	p, err := decode(r.whole(), r.fds, r.lost)
	if err == nil && kind == KindDataSocket && len(p.descs) > 0 {
		err = malformed("descriptors on a socket for data")
	}
	if err != nil {
		closeAll(r.fds)
		return message{}, err
	}
	var m message
	if into == nil {
		// Not by make, which would clear it first.
		m.data = append([]byte(nil), p.data...)
	} else {
		m.data = into[:copy(into, p.data)]
		if len(p.data) > len(into) {
			err = unix.EMSGSIZE
		}
	}
	if len(p.descs) == 0 {
		return m, err
	}
	m.descs = make([]Desc, 0, len(p.descs))
	for i, in := range p.descs {
		if in.kind != KindInvalid && in.fd < 0 {
			m.descs = append(m.descs, Invalid)
			err = unix.EMFILE
			continue
		}
		d, aerr := in.adopt()
		if aerr != nil {
			for _, rest := range p.descs[i+1:] {
				if rest.fd >= 0 {
					_ = unix.Close(rest.fd)
				}
			}
			closeMessages([]message{m})
			return message{}, &adoptError{in.kind, aerr}
		}
		m.descs = append(m.descs, d)
	}
	return m, err
}

// adoptError is a descriptor that is not what its packet says.
type adoptError struct {
	kind Kind
	err  error
}

func (e *adoptError) Error() string { return e.kind.String() + " in a message: " + e.err.Error() }

// isMalformed tells errors about what the other side sent.
func isMalformed(err error) bool {
	var m malformed
	var a *adoptError
	return errors.As(err, &m) || errors.As(err, &a)
}
