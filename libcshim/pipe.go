package libcshim

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

const (
	// pipeSize is what a pipe holds at first and at most: it is memory of the host.
	pipeSize = 64 << 10
	// pipeAtomic is PIPE_BUF: a write of so much is never mixed with another.
	pipeAtomic = 4096
)

// pipe is the buffer between two ends inside one process. Memory is taken as it
// fills.
type pipe struct {
	watchers
	number uint64

	mu      sync.Mutex
	size    int
	data    []byte // what was written and not read
	gone    uint64 // bytes that were read
	carried []carried
	readers int
	writers int
}

// carried are the descriptors that came with the bytes from first to end, counted
// from the beginning of the pipe.
type carried struct {
	first, end uint64
	rights     *rights
}

var lastPipe atomic.Uint64

func newPipe() *pipe { return &pipe{number: lastPipe.Add(1), size: pipeSize, readers: 1, writers: 1} }

func (p *pipe) read(b []byte) (int, error) {
	n, r, err := p.take(b)
	r.drop() // who reads does not want them
	return n, err
}

// take reads. What comes with descriptors is read at once with nothing behind it.
func (p *pipe) take(b []byte) (int, *rights, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.data) == 0 {
		if p.writers == 0 || len(b) == 0 {
			return 0, nil, nil
		}
		return 0, nil, unix.EAGAIN
	}
	var r *rights
	if len(p.carried) > 0 && len(b) > 0 {
		if c := &p.carried[0]; p.gone+uint64(len(b)) > c.first {
			b = b[:min(uint64(len(b)), c.end-p.gone)]
			r = c.rights
			p.carried = p.carried[1:]
		}
	}
	n := copy(b, p.data)
	p.gone += uint64(n)
	p.data = p.data[n:]
	if len(p.data) == 0 {
		p.data = nil
	}
	p.notify()
	return n, r, nil
}

func (p *pipe) write(b []byte) (int, error) { return p.put(b, nil) }

// put writes; r goes with the first byte.
func (p *pipe) put(b []byte, r *rights) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers == 0 {
		return 0, unix.EPIPE
	}
	room := p.size - len(p.data)
	if room < len(b) {
		if len(b) <= pipeAtomic || room == 0 {
			return 0, unix.EAGAIN
		}
		b = b[:room]
	}
	if r != nil {
		at := p.gone + uint64(len(p.data))
		p.carried = append(p.carried, carried{at, at + uint64(len(b)), r})
	}
	p.data = append(p.data, b...)
	p.notify()
	return len(b), nil
}

// leave counts an end that was closed.
func (p *pipe) leave(end *int) error {
	var left []carried
	p.mu.Lock()
	*end--
	if p.readers == 0 {
		left, p.carried = p.carried, nil
	}
	p.mu.Unlock()
	p.notify()
	for _, c := range left {
		c.rights.drop()
	}
	return nil
}

func (p *pipe) readReady(events int16) int16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var r int16
	if len(p.data) > 0 {
		r |= events & (unix.POLLIN | pollRdNorm)
	}
	if p.writers == 0 {
		r |= unix.POLLHUP
	}
	return r
}

func (p *pipe) writeReady(events int16) int16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var r int16
	if p.size-len(p.data) >= pipeAtomic {
		r |= events & (unix.POLLOUT | pollWrNorm)
	}
	if p.readers == 0 {
		r |= unix.POLLERR
	}
	return r
}

// resize changes how much the pipe holds, to a power of two of pages.
func (p *pipe) resize(n int) (int, error) {
	if n < 0 {
		return 0, unix.EINVAL
	}
	if n > pipeSize {
		return 0, unix.EPERM
	}
	size := pipeAtomic
	for size < n {
		size *= 2
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.data) > size {
		return 0, unix.EBUSY
	}
	p.size = size
	p.notify()
	return size, nil
}

func (p *pipe) capacity() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

func (p *pipe) pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.data)
}

func (p *pipe) stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 2, Ino: p.number, Nlink: 1, Mode: unix.S_IFIFO | 0o600, Blksize: 4096}, nil
}

func (p *pipe) name() string { return fmt.Sprintf("pipe:[%d]", p.number) }

// pipeReader and pipeWriter are the ends.
type pipeReader struct {
	namespace.Unsupported
	*pipe
}

func (r pipeReader) Read(b []byte) (int, error)    { return r.read(b) }
func (r pipeReader) Write([]byte) (int, error)     { return 0, unix.EBADF }
func (r pipeReader) Stat() (namespace.Stat, error) { return r.stat() }
func (r pipeReader) ready(events int16) int16      { return r.readReady(events) }
func (r pipeReader) watch(t *runtime.Thread)       { r.pipe.watch(t) }
func (r pipeReader) unwatch(t *runtime.Thread)     { r.pipe.unwatch(t) }
func (r pipeReader) Close() error                  { return r.leave(&r.readers) }

type pipeWriter struct {
	namespace.Unsupported
	*pipe
}

func (w pipeWriter) Read([]byte) (int, error)      { return 0, unix.EBADF }
func (w pipeWriter) Write(b []byte) (int, error)   { return w.write(b) }
func (w pipeWriter) Stat() (namespace.Stat, error) { return w.stat() }
func (w pipeWriter) ready(events int16) int16      { return w.writeReady(events) }
func (w pipeWriter) watch(t *runtime.Thread)       { w.pipe.watch(t) }
func (w pipeWriter) unwatch(t *runtime.Thread)     { w.pipe.unwatch(t) }
func (w pipeWriter) Close() error                  { return w.leave(&w.writers) }
