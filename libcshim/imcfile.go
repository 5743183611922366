package libcshim

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// An IMC descriptor is a file in the table like any other, so that close, dup, fstat
// and poll treat it as one. What can be read and written is the business of the IMC
// calls: read and write are EINVAL, as in Native Client. An open file owns one handle.

// imcSocket is an endpoint or a socket.
type imcSocket struct {
	namespace.Unsupported
	desc   imcEndpoint
	number uint64

	mu    sync.Mutex
	stops map[*runtime.Thread][]func()
}

type imcEndpoint interface {
	imc.Desc
	imc.Watchable
}

var lastIMC atomic.Uint64

func (s *imcSocket) ready(events int16) int16 {
	ev := s.desc.Ready()
	var r int16
	if ev&imc.Readable != 0 {
		r |= events & (unix.POLLIN | pollRdNorm)
	}
	if ev&imc.Writable != 0 {
		r |= events & (unix.POLLOUT | pollWrNorm)
	}
	if ev&imc.HangUp != 0 {
		r |= unix.POLLHUP
	}
	return r
}

func (s *imcSocket) watch(t *runtime.Thread) {
	stop, err := s.desc.Watch(t.Unpark)
	if err != nil {
		// The host has no descriptor left to watch with: look now and then.
		stop = everyNowAndThen(t)
	}
	s.mu.Lock()
	if s.stops == nil {
		s.stops = make(map[*runtime.Thread][]func())
	}
	s.stops[t] = append(s.stops[t], stop)
	s.mu.Unlock()
}

func (s *imcSocket) unwatch(t *runtime.Thread) {
	s.mu.Lock()
	list := s.stops[t]
	var stop func()
	if n := len(list); n > 0 {
		stop = list[n-1]
		if s.stops[t] = list[:n-1]; n == 1 {
			delete(s.stops, t)
		}
	}
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func everyNowAndThen(t *runtime.Thread) (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				t.Unpark()
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// Stat calls all of them sockets: C programs know no other kinds.
func (s *imcSocket) Stat() (namespace.Stat, error) {
	perm := uint32(0o600)
	if s.desc.Kind() == imc.KindConnectEndpoint {
		perm = 0o700
	}
	return namespace.Stat{Dev: 6, Ino: s.number, Nlink: 1, Mode: unix.S_IFSOCK | perm, Blksize: 4096}, nil
}

func (s *imcSocket) name() string { return "imc:[" + s.desc.Kind().String() + "]" }
func (s *imcSocket) Close() error { return s.desc.Close() }

// imcMemory is shared memory: it can be mapped, MAP_SHARED, and never executable.
type imcMemory struct {
	namespace.Unsupported
	mem    *imc.SharedMemory
	number uint64
	file   *os.File // the memory file, for mmap
}

func newIMCMemory(m *imc.SharedMemory) (*imcMemory, error) {
	f := &imcMemory{mem: m, number: lastIMC.Add(1)}
	err := m.FD(func(fd int) error {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			f.file = os.NewFile(uintptr(n), "imc")
		}
		return err
	})
	return f, err
}

func (m *imcMemory) HostFile() *os.File { return m.file }

// Guarded: a holder that may only read has a descriptor that may be able to do more.
func (m *imcMemory) Guarded() bool { return m.mem.Writable() }

func (m *imcMemory) Seek(int64, int) (int64, error) { return 0, unix.EINVAL }

func (m *imcMemory) Stat() (namespace.Stat, error) {
	perm := uint32(0o400)
	if m.mem.Writable() {
		perm = 0o600
	}
	return namespace.Stat{Dev: 6, Ino: m.number, Nlink: 1, Mode: unix.S_IFREG | perm, Size: m.mem.Size(), Blksize: 4096}, nil
}

func (m *imcMemory) name() string { return "imc:[shared memory]" }

func (m *imcMemory) Close() error {
	_ = m.file.Close()
	return m.mem.Close()
}

// imcFile is a file that came in a message: a stream of the host's that can be mapped
// if it is a regular file. It shares its position with the sender.
type imcFile struct {
	*hostStream
	desc    *imc.File
	file    *os.File // nil if it is no regular file
	guarded bool
}

func newIMCFile(d *imc.File, ids namespace.Identity) (*imcFile, error) {
	var f *imcFile
	err := d.FD(func(fd int) error {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return err
		}
		h, err := newHostStreamFD(fd, ids)
		if err != nil {
			return err
		}
		f = &imcFile{hostStream: h, desc: d, guarded: flags&unix.O_ACCMODE == d.Flags()&unix.O_ACCMODE}
		if h.mode != unix.S_IFREG {
			return nil
		}
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			_ = h.Close()
			return err
		}
		f.file = os.NewFile(uintptr(n), "imc")
		return nil
	})
	return f, err
}

func (f *imcFile) HostFile() *os.File { return f.file }
func (f *imcFile) Guarded() bool      { return f.guarded }

func (f *imcFile) Close() error {
	if f.file != nil {
		_ = f.file.Close()
	}
	_ = f.hostStream.Close()
	return f.desc.Close()
}

// openDesc makes an open file of a descriptor, which it takes over, also when it
// fails.
func (p *Process) openDesc(d imc.Desc) (*openFile, error) {
	var f namespace.File
	var err error
	access := unix.O_RDWR
	switch d := d.(type) {
	case imcEndpoint:
		imc.Account(d, p.tree.imc)
		f = &imcSocket{desc: d, number: lastIMC.Add(1)}
	case *imc.SharedMemory:
		if !d.Writable() {
			access = unix.O_RDONLY
		}
		f, err = newIMCMemory(d)
	case *imc.File:
		access = d.Flags() & (unix.O_ACCMODE | unix.O_APPEND)
		f, err = newIMCFile(d, p.cfg.Identity)
	default:
		err = unix.EINVAL
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return newOpenFile(f, "", access), nil
}

// desc gives what stands for an open file in a message, as a handle of the
// caller's. A file of the host can be sent if the kernel allows no more with
// it than the guest may do.
func (o *openFile) desc() (imc.Desc, error) {
	if o.isDir {
		return nil, unix.EIO
	}
	switch f := namespace.Unwrap(o.file).(type) {
	case *imcSocket:
		return f.desc.Dup()
	case *imcMemory:
		return f.mem.Dup()
	case *imcFile:
		return f.desc.Dup()
	case *hostStream:
		fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		file := os.NewFile(uintptr(fd), "stream")
		defer file.Close()
		return o.sendable(file)
	case namespace.HostBacked:
		if host := f.HostFile(); host != nil && f.Guarded() {
			return o.sendable(host)
		}
	}
	return nil, unix.EIO
}

func (o *openFile) sendable(f *os.File) (imc.Desc, error) {
	d, err := imc.NewFile(f)
	if err != nil {
		return nil, err
	}
	if d.Flags()&unix.O_ACCMODE != o.getFlags()&unix.O_ACCMODE {
		_ = d.Close()
		return nil, unix.EIO
	}
	return d, nil
}
