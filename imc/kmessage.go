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
	pieces := s.pieces[:]
	if len(pieces[1]) == 0 {
		pieces = pieces[:1]
	}
	for {
		_, err := unix.SendmsgBuffers(k.fd, pieces, s.oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
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

// plain is the header of messages without descriptors.
var plain = appendHeader(nil, nil)

func (k *kfd) sendMessage(h *handle, done <-chan struct{}, nonblock bool, m message) error {
	s := sending{pieces: [2][]byte{plain, m.data}}
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
	err := k.do(h, done, nonblock, true, &s)
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
	buf  []byte
	big  *packetBuffer // buf is this, while a packet is in it
	n    int
	fds  []int
	lost bool
	oob  [64]byte // room for eight descriptors: CMSG_SPACE(32)
}

// packetBuffer has room for any packet. Who waits has none: there can be thousands.
type packetBuffer [maxPacket + 1]byte

var packetBuffers = sync.Pool{New: func() any { return new(packetBuffer) }}

// bigTry is a receiving of a packet of any size.
type bigTry receiving

func (b *bigTry) try(k *kfd) error {
	r := (*receiving)(b)
	r.big = packetBuffers.Get().(*packetBuffer)
	r.buf = r.big[:]
	err := r.try(k)
	if err != nil {
		r.free()
	}
	return err
}

func (r *receiving) free() {
	packetBuffers.Put(r.big)
	r.big, r.buf = nil, nil
}

var receivings = sync.Pool{New: func() any { return new(receiving) }}

func (r *receiving) try(k *kfd) error {
	pieces := [1][]byte{r.buf}
	for {
		n, oobn, flags, _, err := unix.RecvmsgBuffers(k.fd, pieces[:], r.oob[:unix.CmsgSpace(4*MaxDescs)], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNRESET:
			// A reset is said once, before what is still there to be received.
			continue
		default:
			return err
		}
		r.n, r.fds = n, rights(r.oob[:oobn])
		r.lost = flags&unix.MSG_CTRUNC != 0
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

func (k *kfd) receiveMessage(h *handle, done <-chan struct{}, nonblock bool) (message, error) {
	r := receivings.Get().(*receiving)
	defer receivings.Put(r)
	for {
		if err := k.do(h, done, nonblock, false, (*bigTry)(r)); err != nil {
			return message{}, err
		}
		if r.n == headerSize && le.Uint32(r.buf) == wordControl {
			// How a connection went, which this end did not wait for.
			closeAll(r.fds)
			k.answer.CompareAndSwap(0, le.Uint32(r.buf[4:]))
			r.free()
			continue
		}
		break
	}
	defer r.free()
	p, err := decode(r.buf[:r.n], r.fds, r.lost)
	if err != nil {
		closeAll(r.fds)
		return message{}, err
	}
	var m message
	m.data = append(make([]byte, 0, len(p.data)), p.data...)
	if len(p.descs) == 0 {
		return m, nil
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
