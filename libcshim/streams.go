package libcshim

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

// hostStream is a descriptor that the host gave: a terminal, a pipe, a file, a
// socket. It is a duplicate, so that it stays valid whatever the host does with
// its own; what they share is the position and the O_NONBLOCK flag, which is
// left as it is: waiting is done in poll(2), where it can be interrupted.
type hostStream struct {
	namespace.Unsupported
	fd   int
	mode uint32 // S_IF* of it
	ids  namespace.Identity
}

func newHostStream(f *os.File, ids namespace.Identity) (*hostStream, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var s *hostStream
	if cerr := raw.Control(func(fd uintptr) { s, err = newHostStreamFD(int(fd), ids) }); cerr != nil {
		return nil, cerr
	}
	return s, err
}

// newHostStreamFD duplicates a descriptor of this process.
func newHostStreamFD(fd int, ids namespace.Identity) (*hostStream, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(dup, &st); err != nil {
		unix.Close(dup)
		return nil, err
	}
	return &hostStream{fd: dup, mode: st.Mode & unix.S_IFMT, ids: ids}, nil
}

func (s *hostStream) hostFD() int { return s.fd }
func (s *hostStream) name() string {
	if s.isTerminal() {
		return "/dev/tty"
	}
	return "host:[stream]"
}

func (s *hostStream) isTerminal() bool {
	_, err := unix.IoctlGetTermios(s.fd, unix.TCGETS)
	return err == nil
}

// waits reports whether a read or write of it can block.
func (s *hostStream) waits() bool { return s.mode != unix.S_IFREG && s.mode != unix.S_IFDIR }

// isReady asks poll(2).
func (s *hostStream) isReady(events int16) bool {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: events}}
	n, err := pollNow(fds)
	return n > 0 || err != nil
}

func (s *hostStream) Read(p []byte) (int, error) {
	if s.waits() && !s.isReady(unix.POLLIN) {
		return 0, unix.EAGAIN
	}
	return retryEINTR(func() (int, error) { return unix.Read(s.fd, p) })
}

func (s *hostStream) Write(p []byte) (int, error) {
	if s.waits() {
		if !s.isReady(unix.POLLOUT) {
			return 0, unix.EAGAIN
		}
		// A pipe that is ready has room for this much; more might block.
		const pipeBuf = 4096
		if len(p) > pipeBuf && s.mode != unix.S_IFCHR {
			p = p[:pipeBuf]
		}
	}
	return retryEINTR(func() (int, error) { return unix.Write(s.fd, p) })
}

func (s *hostStream) ReadAt(p []byte, off int64) (int, error) {
	return retryEINTR(func() (int, error) { return unix.Pread(s.fd, p, off) })
}

func (s *hostStream) WriteAt(p []byte, off int64) (int, error) {
	return retryEINTR(func() (int, error) { return unix.Pwrite(s.fd, p, off) })
}

func (s *hostStream) Seek(off int64, whence int) (int64, error) { return unix.Seek(s.fd, off, whence) }
func (s *hostStream) Sync() error                               { return unix.Fsync(s.fd) }

func (s *hostStream) Truncate(size int64) error { return unix.Ftruncate(s.fd, size) }

func (s *hostStream) Stat() (namespace.Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(s.fd, &st); err != nil {
		return namespace.Stat{}, err
	}
	return namespace.Stat{
		Dev: 1, Ino: st.Ino, Nlink: uint64(st.Nlink), Mode: st.Mode, UID: s.ids.UID, GID: s.ids.GID,
		Rdev: st.Rdev, Size: st.Size, Blksize: int64(st.Blksize), Blocks: st.Blocks,
		Atim: st.Atim, Mtim: st.Mtim, Ctim: st.Ctim,
	}, nil
}

func (s *hostStream) Close() error {
	err := unix.Close(s.fd)
	s.fd = -1
	return err
}

func retryEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// readerStream is a standard input that is not a file. See the package comment
// for how it waits.
type readerStream struct {
	namespace.Unsupported
	watchers
	direct bool // r never blocks

	mu   sync.Mutex
	r    io.Reader
	busy bool // a goroutine is in r.Read
	data []byte
	err  error
}

func newReaderStream(r io.Reader) *readerStream {
	s := &readerStream{r: r}
	switch r.(type) {
	case *bytes.Reader, *strings.Reader, *bytes.Buffer:
		s.direct = true
	}
	return s
}

func (s *readerStream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.direct && len(p) > 0 && s.err == nil {
		n, err := s.r.Read(p)
		s.err = err
		if n > 0 {
			return n, nil
		}
	}
	switch {
	case len(s.data) > 0:
		n := copy(p, s.data)
		s.data = s.data[n:]
		return n, nil
	case s.err == nil:
		s.fill()
		return 0, unix.EAGAIN
	case errors.Is(s.err, io.EOF):
		return 0, nil
	}
	return 0, unix.EIO
}

// fill starts a read if none is under way. The caller holds mu.
func (s *readerStream) fill() {
	if s.busy || s.direct {
		return
	}
	s.busy = true
	go func() {
		buf := make([]byte, chunkSize)
		n, err := s.r.Read(buf)
		s.mu.Lock()
		s.data, s.err, s.busy = buf[:n], err, false
		s.mu.Unlock()
		s.notify()
	}()
}

func (s *readerStream) ready(events int16) int16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.direct || len(s.data) > 0 || s.err != nil {
		return events & (unix.POLLIN | pollRdNorm)
	}
	if events&(unix.POLLIN|pollRdNorm) != 0 {
		s.fill()
	}
	return 0
}

func (s *readerStream) Write([]byte) (int, error) { return 0, unix.EBADF }
func (s *readerStream) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 1, Ino: 1, Nlink: 1, Mode: unix.S_IFIFO | 0o600, Blksize: 4096}, nil
}
func (s *readerStream) name() string { return "pipe:[stdin]" }

// pending is what FIONREAD tells.
func (s *readerStream) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.data)
}

// writerStream is a standard output that is not a file.
type writerStream struct {
	namespace.Unsupported
	mu sync.Mutex
	w  io.Writer
}

func (s *writerStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.w.Write(p)
	switch {
	case err == nil || n > 0:
		return n, nil
	case errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.EPIPE), errors.Is(err, os.ErrClosed):
		return 0, unix.EPIPE
	}
	return 0, unix.EIO
}

func (s *writerStream) Read([]byte) (int, error) { return 0, unix.EBADF }
func (s *writerStream) Sync() error              { return unix.EINVAL }
func (s *writerStream) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 1, Ino: 2, Nlink: 1, Mode: unix.S_IFIFO | 0o600, Blksize: 4096}, nil
}
func (s *writerStream) name() string { return "pipe:[stdout]" }
