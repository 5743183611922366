package libcshim

import (
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

func sysFcntl(k *task, a *args) (int64, error) {
	fd, cmd := int32Arg(a[0]), int32Arg(a[1])
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		switch cmd {
		case unix.F_DUPFD, unix.F_DUPFD_CLOEXEC:
			from := int32Arg(a[2])
			if from < 0 || from >= k.p.fds.limit {
				return 0, unix.EINVAL
			}
			return k.dupFrom(fd, from, cmd == unix.F_DUPFD_CLOEXEC)
		case unix.F_GETFD:
			on, err := k.p.fds.cloexec(fd)
			if on {
				return unix.FD_CLOEXEC, err
			}
			return 0, err
		case unix.F_SETFD:
			return 0, k.p.fds.setCloexec(fd, a[2]&unix.FD_CLOEXEC != 0)
		case unix.F_GETFL:
			return int64(o.getFlags() | oLargefile), nil
		case unix.F_SETFL:
			return 0, o.setFlags(int32Arg(a[2]))
		case unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
			return k.recordLock(o, cmd, a[2])
		case unix.F_GETOWN, unix.F_GETSIG:
			return 0, nil
		case unix.F_SETOWN, unix.F_SETSIG:
			return 0, nil
		case unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ:
			p, ok := o.file.(interface {
				resize(n int) (int, error)
				capacity() int
			})
			if !ok {
				return 0, unix.EBADF
			}
			if cmd == unix.F_GETPIPE_SZ {
				return int64(p.capacity()), nil
			}
			n, err := p.resize(int32Arg(a[2]))
			return int64(n), err
		}
		return 0, unix.EINVAL
	})
}

const oLargefile = 0o100000

func (o *openFile) setFlags(flags int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	flags = o.flags&^statusFlags | flags&statusFlags
	if (flags^o.flags)&unix.O_APPEND != 0 {
		if err := o.file.SetAppend(flags&unix.O_APPEND != 0); err != nil {
			return err
		}
	}
	o.flags = flags
	return nil
}

// A lockTable keeps the advisory locks of flock: of a whole file, held by an open
// file.
type lockTable struct {
	mu    sync.Mutex
	files map[[2]uint64]*fileLock // by device and inode
}

type fileLock struct {
	exclusive *openFile
	shared    map[*openFile]bool
	watchers  watchers
}

func lockKey(o *openFile) ([2]uint64, error) {
	st, err := o.file.Stat()
	return [2]uint64{st.Dev, st.Ino}, err
}

// try takes a lock for o; false when another open file is in the way.
func (t *lockTable) try(key [2]uint64, o *openFile, exclusive bool) (bool, *fileLock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files == nil {
		t.files = make(map[[2]uint64]*fileLock)
	}
	l := t.files[key]
	if l == nil {
		l = &fileLock{shared: make(map[*openFile]bool)}
		t.files[key] = l
	}
	if l.exclusive != nil && l.exclusive != o {
		return false, l
	}
	if exclusive {
		for other := range l.shared {
			if other != o {
				return false, l
			}
		}
		delete(l.shared, o)
		l.exclusive = o
		return true, l
	}
	if l.exclusive == o {
		l.exclusive = nil
		l.watchers.notify()
	}
	l.shared[o] = true
	return true, l
}

// unlock takes o's lock of one file away.
func (t *lockTable) unlock(key [2]uint64, o *openFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.files[key]; l != nil {
		t.drop(key, l, o)
	}
}

func (t *lockTable) drop(key [2]uint64, l *fileLock, o *openFile) {
	if l.exclusive != o && !l.shared[o] {
		return
	}
	if l.exclusive == o {
		l.exclusive = nil
	}
	delete(l.shared, o)
	l.watchers.notify()
	if l.exclusive == nil && len(l.shared) == 0 {
		l.watchers.mu.Lock()
		idle := len(l.watchers.list) == 0
		l.watchers.mu.Unlock()
		if idle {
			delete(t.files, key)
		}
	}
}

// closed drops the locks of an open file whose last descriptor goes.
func (t *lockTable) closed(o *openFile) {
	if o.refs.Load() > 1 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.files {
		t.drop(key, l, o)
	}
}

func (k *task) lock(o *openFile, exclusive, wait bool) error {
	key, err := lockKey(o)
	if err != nil {
		return err
	}
	t := &k.p.tree.locks
	ok, l := t.try(key, o, exclusive)
	if ok {
		return nil
	}
	if !wait {
		return unix.EWOULDBLOCK
	}
	l.watchers.watch(k.t)
	defer l.watchers.unwatch(k.t)
	for {
		if ok, _ := t.try(key, o, exclusive); ok {
			return nil
		}
		if k.park() {
			return errRestart
		}
	}
}

func sysFlock(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		op := int32Arg(a[1])
		wait := op&unix.LOCK_NB == 0
		switch op &^ unix.LOCK_NB {
		case unix.LOCK_SH:
			return 0, k.lock(o, false, wait)
		case unix.LOCK_EX:
			return 0, k.lock(o, true, wait)
		case unix.LOCK_UN:
			key, err := lockKey(o)
			if err == nil {
				k.p.tree.locks.unlock(key, o)
			}
			return 0, err
		}
		return 0, unix.EINVAL
	})
}

// ioctl: what programs ask of terminals and pipes. Numbers are passed on to a
// terminal of the host only if they are in this list.
func sysIoctl(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		req := uint(uint32(a[1]))
		switch req {
		case fionbio:
			v, err := k.p.mem.Load32(uint32(a[2]))
			if err != nil {
				return 0, err
			}
			flags := o.getFlags() &^ unix.O_NONBLOCK
			if v != 0 {
				flags |= unix.O_NONBLOCK
			}
			return 0, o.setFlags(flags)
		case fioclex, fionclex:
			return 0, k.p.fds.setCloexec(int32Arg(a[0]), req == fioclex)
		}
		inner := namespace.Unwrap(o.file)
		if req == fionread {
			if f, ok := inner.(interface{ pending() int }); ok {
				return 0, k.store32(a[2], uint32(f.pending()))
			}
			st, err := o.file.Stat()
			if err == nil && st.IsRegular() {
				pos, err := o.file.Seek(0, unix.SEEK_CUR)
				if err != nil {
					return 0, err
				}
				return 0, k.store32(a[2], uint32(max(0, min(st.Size-pos, math.MaxInt32))))
			}
		}
		switch f := inner.(type) {
		case *hostStream:
			return k.hostIoctl(f, req, a[2])
		case *ptyMaster:
			return k.ptyIoctl(f.pty, true, req, a[2])
		case *ptySlave:
			return k.ptyIoctl(f.pty, false, req, a[2])
		}
		return 0, unix.ENOTTY
	})
}

const (
	fioclex  = 0x5451
	fionread = 0x541b
	fionbio  = 0x5421
	fionclex = 0x5450
	// The kernel's struct termios, which has no speeds at its end.
	termiosSize = 36
)

// A changedTerminal is a terminal of the host as it was before the guest changed
// it.
type changedTerminal struct {
	fd   int // a duplicate
	rdev uint64
	as   unix.Termios
}

// changedTerminals are those of a tree.
type changedTerminals struct {
	mu   sync.Mutex
	list []changedTerminal
}

// remember keeps a terminal's first settings, to be restored when the first
// process ends: a guest may die in raw mode.
func (c *changedTerminals) remember(fd int, as unix.Termios) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.list {
		if t.rdev == st.Rdev {
			return
		}
	}
	if dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		c.list = append(c.list, changedTerminal{dup, st.Rdev, as})
	}
}

// restore undoes what the guest did to terminals.
func (c *changedTerminals) restore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.list {
		_ = unix.IoctlSetTermios(t.fd, unix.TCSETSW, &t.as)
		unix.Close(t.fd)
	}
	c.list = nil
}

func (k *task) hostIoctl(s *hostStream, req uint, addr uint64) (int64, error) {
	switch req {
	case unix.TIOCGWINSZ:
		w, err := unix.IoctlGetWinsize(s.fd, unix.TIOCGWINSZ)
		if err != nil {
			return 0, err
		}
		var b [8]byte
		le.PutUint16(b[0:], w.Row)
		le.PutUint16(b[2:], w.Col)
		le.PutUint16(b[4:], w.Xpixel)
		le.PutUint16(b[6:], w.Ypixel)
		return 0, k.write(addr, b[:])
	case unix.TCGETS:
		t, err := unix.IoctlGetTermios(s.fd, unix.TCGETS)
		if err != nil {
			return 0, err
		}
		return 0, k.write(addr, encodeTermios(t))
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF:
		var b [termiosSize]byte
		if err := k.read(addr, b[:]); err != nil {
			return 0, err
		}
		t, err := unix.IoctlGetTermios(s.fd, unix.TCGETS)
		if err != nil {
			return 0, err
		}
		k.p.tree.ttys.remember(s.fd, *t)
		line := t.Line
		decodeTermios(t, b[:])
		t.Line = line
		return 0, unix.IoctlSetTermios(s.fd, req, t)
	case unix.TIOCGPGRP:
		if !s.isTerminal() {
			return 0, unix.ENOTTY
		}
		t := k.p.tree
		t.mu.Lock()
		group := t.foreground
		t.mu.Unlock()
		return 0, k.store32(addr, uint32(group))
	case unix.TIOCSPGRP:
		if !s.isTerminal() {
			return 0, unix.ENOTTY
		}
		group, err := k.p.mem.Load32(uint32(addr))
		if err != nil {
			return 0, err
		}
		return 0, k.setForeground(int(int32(group)))
	case fionread, unix.TIOCOUTQ:
		n, err := unix.IoctlGetInt(s.fd, req)
		if err != nil {
			return 0, err
		}
		return 0, k.store32(addr, uint32(n))
	}
	return 0, unix.ENOTTY
}
