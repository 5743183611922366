package libcshim

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

// A Port is a descriptor by which a guest and the host talk (Config.Ports): a
// stream in both directions. What the host sends waits until the guest reads
// it; what the guest writes is given to Receive at once.
//
// All methods may be called from any goroutine. A port belongs to one process.
type Port struct {
	// Receive gets the bytes of each write of the guest, in order, on the
	// goroutine of the guest's thread, which it holds up; p is valid during the
	// call only and the guest chose every byte of it. An error is EIO for
	// the guest. Receive must not wait for the guest.
	Receive func(p []byte) error

	watchers
	mu      sync.Mutex
	pending [][]byte
	waiting int // bytes in pending
	closed  bool
}

// Send queues bytes for the guest, without bound and without waiting; b belongs
// to the port from now on. Who answers a guest looks at Pending first: a guest
// that asks and never reads would have the host keep all answers.
func (p *Port) Send(b []byte) {
	if len(b) == 0 {
		return
	}
	p.mu.Lock()
	p.pending = append(p.pending, b)
	p.waiting += len(b)
	p.mu.Unlock()
	p.notify()
}

// Pending is how many bytes wait for the guest.
func (p *Port) Pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// Close lets the guest read the end of the stream behind what was sent.
func (p *Port) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.notify()
}

// portFile is the guest's side.
type portFile struct {
	namespace.Unsupported
	*Port
}

func (f portFile) Read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for n < len(b) && len(f.pending) > 0 {
		c := copy(b[n:], f.pending[0])
		n += c
		if f.pending[0] = f.pending[0][c:]; len(f.pending[0]) == 0 {
			f.pending[0] = nil
			f.pending = f.pending[1:]
		}
	}
	f.waiting -= n
	if n == 0 && len(b) > 0 && !f.closed {
		return 0, unix.EAGAIN
	}
	return n, nil
}

func (f portFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return 0, unix.EPIPE
	}
	if f.Receive == nil {
		return 0, unix.EBADF
	}
	if err := f.Receive(b); err != nil {
		return 0, unix.EIO
	}
	return len(b), nil
}

func (f portFile) ready(events int16) int16 {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := events & (unix.POLLOUT | pollWrNorm)
	if len(f.pending) > 0 || f.closed {
		r |= events & (unix.POLLIN | pollRdNorm)
	}
	return r
}

func (f portFile) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 5, Ino: 1, Nlink: 1, Mode: unix.S_IFIFO | 0o600, Blksize: 4096}, nil
}
func (f portFile) name() string { return "host:[port]" }
func (f portFile) Close() error { f.Port.Close(); return nil }
