package libcshim

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

// An openFile is an open file description: what dup shares.
type openFile struct {
	file namespace.File
	refs atomic.Int32
	// numbers is how many descriptors, of all processes, stand for it.
	numbers atomic.Int32

	mu    sync.Mutex
	path  string // absolute in the namespace, empty for pipes and the like
	flags int    // access mode and status flags
	dir   *dirState
	isDir bool
}

// dirState is where a directory is being read: a list made when reading began,
// and the place in it.
type dirState struct {
	entries []namespace.Dirent
	pos     int
}

// statusFlags are what F_SETFL may change.
const statusFlags = unix.O_APPEND | unix.O_NONBLOCK | unix.O_ASYNC | unix.O_DIRECT | unix.O_NOATIME

func newOpenFile(f namespace.File, path string, flags int) *openFile {
	o := &openFile{file: f, path: path, flags: flags &^ (unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC | unix.O_NOCTTY | unix.O_CLOEXEC)}
	o.refs.Store(1)
	return o
}

// release gives one reference back; the last closes the file.
func (o *openFile) release() error {
	if o.refs.Add(-1) == 0 {
		return o.file.Close()
	}
	return nil
}

func (o *openFile) getFlags() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flags
}

func (o *openFile) nonblocking() bool { return o.getFlags()&unix.O_NONBLOCK != 0 }

func (o *openFile) readable() bool {
	f := o.getFlags()
	return f&unix.O_ACCMODE != unix.O_WRONLY && f&unix.O_PATH == 0
}

func (o *openFile) writable() bool {
	f := o.getFlags()
	return f&unix.O_ACCMODE != unix.O_RDONLY && f&unix.O_PATH == 0
}

// fdTable maps numbers to open files. Its owner is one process.
type fdTable struct {
	mu     sync.Mutex
	slots  []fdSlot
	free   int // no free slot is below
	limit  int
	closed bool

	sets atomic.Int32 // epoll sets ever made: without any, closing is cheap
}

type fdSlot struct {
	file    *openFile
	cloexec bool
}

const defaultMaxFiles = 1024

// get returns an open file with a reference that the caller releases.
func (t *fdTable) get(fd int) (*openFile, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < 0 || fd >= len(t.slots) || t.slots[fd].file == nil {
		return nil, unix.EBADF
	}
	o := t.slots[fd].file
	o.refs.Add(1)
	return o, nil
}

// add takes over a reference to o and returns the lowest free number that is at
// least from.
func (t *fdTable) add(o *openFile, from int, cloexec bool) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addLocked(o, from, cloexec)
}

func (t *fdTable) addLocked(o *openFile, from int, cloexec bool) (int, error) {
	if t.closed {
		return -1, unix.EBADF
	}
	start := max(from, t.free)
	fd := start
	for fd < len(t.slots) && t.slots[fd].file != nil {
		fd++
	}
	if fd >= t.limit {
		return -1, unix.EMFILE
	}
	for len(t.slots) <= fd {
		t.slots = append(t.slots, fdSlot{})
	}
	t.slots[fd] = fdSlot{o, cloexec}
	o.numbers.Add(1)
	if start == t.free {
		t.free = fd + 1
	}
	return fd, nil
}

// put takes over a reference to o and gives it this very number; what had it is
// returned, to be released without the lock.
func (t *fdTable) put(o *openFile, fd int, cloexec bool) (old *openFile, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || fd < 0 || fd >= t.limit {
		return nil, unix.EBADF
	}
	for len(t.slots) <= fd {
		t.slots = append(t.slots, fdSlot{})
	}
	if old = t.slots[fd].file; old != nil {
		old.numbers.Add(-1)
	}
	t.slots[fd] = fdSlot{o, cloexec}
	o.numbers.Add(1)
	return old, nil
}

// remove frees a number and returns what had it.
func (t *fdTable) remove(fd int) (*openFile, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < 0 || fd >= len(t.slots) || t.slots[fd].file == nil {
		return nil, unix.EBADF
	}
	o := t.slots[fd].file
	t.slots[fd] = fdSlot{}
	o.numbers.Add(-1)
	t.free = min(t.free, fd)
	return o, nil
}

// removeIf frees a number if it still stands for o: takes back what add has just done.
func (t *fdTable) removeIf(fd int, o *openFile) {
	t.mu.Lock()
	mine := fd < len(t.slots) && t.slots[fd].file == o
	if mine {
		t.slots[fd] = fdSlot{}
		o.numbers.Add(-1)
		t.free = min(t.free, fd)
	}
	t.mu.Unlock()
	if mine {
		_ = o.release()
	}
}

func (t *fdTable) cloexec(fd int) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < 0 || fd >= len(t.slots) || t.slots[fd].file == nil {
		return false, unix.EBADF
	}
	return t.slots[fd].cloexec, nil
}

func (t *fdTable) setCloexec(fd int, on bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < 0 || fd >= len(t.slots) || t.slots[fd].file == nil {
		return unix.EBADF
	}
	t.slots[fd].cloexec = on
	return nil
}

// closeFiles is the end of the process.
func (p *Process) closeFiles() {
	t := &p.fds
	t.mu.Lock()
	slots := t.slots
	t.slots, t.closed = nil, true
	t.mu.Unlock()
	for _, s := range slots {
		if s.file != nil {
			s.file.numbers.Add(-1)
			p.tree.locks.closed(s.file)
			p.tree.records.closed(p.node, s.file)
			_ = s.file.release()
		}
	}
}

// copyFrom makes the descriptors of a new process: all that another one has, for
// the same open files.
func (t *fdTable) copyFrom(old *fdTable) {
	old.mu.Lock()
	defer old.mu.Unlock()
	t.slots = append([]fdSlot(nil), old.slots...)
	t.free, t.limit = old.free, old.limit
	t.sets.Store(old.sets.Load())
	for _, s := range t.slots {
		if s.file != nil {
			s.file.refs.Add(1)
			s.file.numbers.Add(1)
		}
	}
}

// takeFrom makes the descriptors of a new program: those of the old one, which is
// at its end, that are not to be closed.
func (t *fdTable) takeFrom(old *fdTable) {
	old.mu.Lock()
	defer old.mu.Unlock()
	t.free, t.limit = 0, old.limit
	t.sets.Store(old.sets.Load())
	t.slots = make([]fdSlot, len(old.slots))
	for fd, s := range old.slots {
		if s.file != nil && !s.cloexec {
			t.slots[fd], old.slots[fd] = s, fdSlot{}
		}
	}
}

// each calls f with every open file, under the lock.
func (t *fdTable) each(f func(fd int, o *openFile)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for fd, s := range t.slots {
		if s.file != nil {
			f(fd, s.file)
		}
	}
}

// Numbers implements namespace.Descriptors.
func (t *fdTable) Numbers() []int {
	var list []int
	t.each(func(fd int, _ *openFile) { list = append(list, fd) })
	return list
}

// Name implements namespace.Descriptors.
func (t *fdTable) Name(fd int) (string, bool) {
	o, err := t.get(fd)
	if err != nil {
		return "", false
	}
	defer o.release()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.path != "" {
		return o.path, true
	}
	if n, ok := namespace.Unwrap(o.file).(interface{ name() string }); ok {
		return n.name(), true
	}
	return fmt.Sprintf("anon_inode:[%d]", fd), true
}
