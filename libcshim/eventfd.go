package libcshim

import (
	"encoding/binary"
	"math"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

// eventFD is the counter of eventfd(2).
type eventFD struct {
	namespace.Unsupported
	watchers
	semaphore bool

	mu    sync.Mutex
	count uint64
}

func (e *eventFD) Read(p []byte) (int, error) {
	if len(p) < 8 {
		return 0, unix.EINVAL
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count == 0 {
		return 0, unix.EAGAIN
	}
	v := e.count
	if e.semaphore {
		v = 1
	}
	e.count -= v
	binary.NativeEndian.PutUint64(p, v)
	e.notify()
	return 8, nil
}

func (e *eventFD) Write(p []byte) (int, error) {
	if len(p) < 8 {
		return 0, unix.EINVAL
	}
	v := binary.NativeEndian.Uint64(p)
	if v == math.MaxUint64 {
		return 0, unix.EINVAL
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if v > math.MaxUint64-1-e.count {
		return 0, unix.EAGAIN
	}
	e.count += v
	e.notify()
	return 8, nil
}

func (e *eventFD) ready(events int16) int16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	var r int16
	if e.count > 0 {
		r |= events & (unix.POLLIN | pollRdNorm)
	}
	if e.count < math.MaxUint64-1 {
		r |= events & (unix.POLLOUT | pollWrNorm)
	}
	return r
}

func (e *eventFD) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 3, Ino: 1, Nlink: 1, Mode: 0o600, Blksize: 4096}, nil
}
func (e *eventFD) name() string { return "anon_inode:[eventfd]" }

func sysEventfd(k *task, a *args) (int64, error) { return k.eventfd(a[0], 0) }
func sysEventfd2(k *task, a *args) (int64, error) {
	return k.eventfd(a[0], int32Arg(a[1]))
}

func (k *task) eventfd(count uint64, flags int) (int64, error) {
	const semaphore = 1
	if flags&^(semaphore|unix.O_CLOEXEC|unix.O_NONBLOCK) != 0 {
		return 0, unix.EINVAL
	}
	e := &eventFD{semaphore: flags&semaphore != 0, count: uint64(uint32(count))}
	return k.newFD(e, unix.O_RDWR, flags)
}

// newFD gives a new file a descriptor; of flags, O_CLOEXEC and O_NONBLOCK count.
func (k *task) newFD(f namespace.File, access, flags int) (int64, error) {
	o := newOpenFile(f, "", access|flags&unix.O_NONBLOCK)
	fd, err := k.p.fds.add(o, 0, flags&unix.O_CLOEXEC != 0)
	if err != nil {
		_ = o.release()
		return 0, err
	}
	return int64(fd), nil
}

// sysMemfdCreate makes a file in a tree of the process's own that has no name.
func sysMemfdCreate(k *task, a *args) (int64, error) {
	const cloexec, allowSealing = 1, 2
	if a[1]&^(cloexec|allowSealing) != 0 {
		return 0, unix.EINVAL
	}
	if _, err := k.path(a[0]); err != nil {
		return 0, err
	}
	anon := &k.p.tree.anon
	anon.mu.Lock()
	if anon.fs == nil {
		anon.fs = namespace.NewMemory(namespace.MemoryConfig{Identity: k.p.cfg.Identity})
	}
	fs := anon.fs
	anon.last++
	name := strconv.FormatUint(anon.last, 10)
	anon.mu.Unlock()
	f, err := fs.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	if err := fs.Unlink(name); err != nil {
		_ = f.Close()
		return 0, err
	}
	flags := 0
	if a[1]&cloexec != 0 {
		flags = unix.O_CLOEXEC
	}
	return k.newFD(f, unix.O_RDWR, flags)
}
