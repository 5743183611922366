package libcshim

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// epollFile is the set of epoll(7). It is looked through at each wait, as poll
// does: what it saves is the list, not the work. Edge-triggered entries report
// what was not reported since it last did not hold. A set can not be member of
// a set, and poll on it is refused.
type epollFile struct {
	namespace.Unsupported
	watchers

	mu      sync.Mutex
	entries map[int]*epollEntry
	order   []int // descriptors in the order in which they were added
}

type epollEntry struct {
	file     *openFile // holds a reference
	events   uint32
	data     uint64
	reported uint32 // edge-triggered: what was told
}

func (e *epollFile) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 3, Ino: 2, Nlink: 1, Mode: 0o600, Blksize: 4096}, nil
}
func (e *epollFile) name() string { return "anon_inode:[eventpoll]" }

func (e *epollFile) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.entries {
		_ = x.file.release()
	}
	e.entries, e.order = nil, nil
	return nil
}

func sysEpollCreate(k *task, a *args) (int64, error) {
	if int32Arg(a[0]) <= 0 {
		return 0, unix.EINVAL
	}
	return k.newEpoll(0)
}

func sysEpollCreate1(k *task, a *args) (int64, error) {
	if a[0]&^unix.EPOLL_CLOEXEC != 0 {
		return 0, unix.EINVAL
	}
	return k.newEpoll(int(a[0]))
}

func (k *task) newEpoll(flags int) (int64, error) {
	k.p.fds.sets.Add(1)
	return k.newFD(&epollFile{entries: make(map[int]*epollEntry)}, unix.O_RDWR, flags)
}

// withEpoll is withFile for a set.
func (k *task) withEpoll(fd uint64, f func(e *epollFile) (int64, error)) (int64, error) {
	return k.withFile(fd, func(o *openFile) (int64, error) {
		e, ok := o.file.(*epollFile)
		if !ok {
			return 0, unix.EINVAL
		}
		return f(e)
	})
}

// Layout of struct epoll_event on x86-64, where it is packed: events, data.
const epollEventSize = 12

func sysEpollCtl(k *task, a *args) (int64, error) {
	return k.withEpoll(a[0], func(e *epollFile) (int64, error) {
		fd := int32Arg(a[2])
		o, err := k.p.fds.get(fd)
		if err != nil {
			return 0, err
		}
		keep := false
		defer func() {
			if !keep {
				_ = o.release()
			}
		}()
		if _, ok := o.file.(*epollFile); ok {
			return 0, unix.EINVAL
		}
		if st, err := o.file.Stat(); err == nil && (st.IsRegular() || st.IsDir()) {
			return 0, unix.EPERM
		}
		var b [epollEventSize]byte
		if op := int32Arg(a[1]); op != unix.EPOLL_CTL_DEL {
			if err := k.read(a[3], b[:]); err != nil {
				return 0, err
			}
		}
		events, data := le.Uint32(b[0:]), le.Uint64(b[4:])
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.entries == nil {
			return 0, unix.EBADF
		}
		old := e.entries[fd]
		if old != nil && old.file != o {
			// The number was closed and given to another file.
			e.remove(fd)
			old = nil
		}
		switch int32Arg(a[1]) {
		case unix.EPOLL_CTL_ADD:
			if old != nil {
				return 0, unix.EEXIST
			}
			e.entries[fd] = &epollEntry{file: o, events: events, data: data}
			e.order = append(e.order, fd)
			keep = true
		case unix.EPOLL_CTL_MOD:
			if old == nil {
				return 0, unix.ENOENT
			}
			old.events, old.data, old.reported = events, data, 0
		case unix.EPOLL_CTL_DEL:
			if old == nil {
				return 0, unix.ENOENT
			}
			e.remove(fd)
		default:
			return 0, unix.EINVAL
		}
		e.notify()
		return 0, nil
	})
}

// remove takes a descriptor out. The caller holds mu.
func (e *epollFile) remove(fd int) {
	_ = e.entries[fd].file.release()
	delete(e.entries, fd)
	for i, x := range e.order {
		if x == fd {
			e.order = append(e.order[:i], e.order[i+1:]...)
			break
		}
	}
}

// forget takes a descriptor that is being closed out of all sets: it is the file
// that leaves them, when its last descriptor goes.
func (t *fdTable) forget(o *openFile) {
	if t.sets.Load() == 0 || o.numbers.Load() > 0 {
		return
	}
	t.mu.Lock()
	var sets []*epollFile
	for _, s := range t.slots {
		if s.file == nil {
			continue
		}
		if e, ok := s.file.file.(*epollFile); ok {
			sets = append(sets, e)
		}
	}
	t.mu.Unlock()
	for _, e := range sets {
		e.mu.Lock()
		for n, x := range e.entries {
			if x.file == o {
				e.remove(n)
			}
		}
		e.mu.Unlock()
	}
}

func sysEpollWait(k *task, a *args) (int64, error) {
	var deadline time.Time
	if ms := int32Arg(a[3]); ms >= 0 {
		deadline = k.until(unix.NsecToTimespec(int64(ms) * 1e6))
	}
	return k.epollWait(a[0], a[1], int32Arg(a[2]), deadline)
}

func sysEpollPwait(k *task, a *args) (int64, error) {
	if uint32(a[4]) != 0 {
		if a[5] != sigsetSize {
			return 0, unix.EINVAL
		}
		set, err := k.sigsetAt(a[4])
		if err != nil {
			return 0, err
		}
		k.waitMask(set)
	}
	n, err := sysEpollWait(k, a)
	if err != errRestartUnlessHandled {
		k.endWaitMask()
	}
	return n, err
}

func (k *task) epollWait(fd, addr uint64, most int, deadline time.Time) (int64, error) {
	if most <= 0 || most > 1<<20 {
		return 0, unix.EINVAL
	}
	return k.withEpoll(fd, func(e *epollFile) (int64, error) {
		e.watch(k.t)
		defer e.unwatch(k.t)
		for {
			n, out, why, err := k.epollOnce(e, most, deadline)
			switch {
			case err != nil:
				return 0, err
			case n > 0:
				return int64(n), k.write(addr, out)
			case why == runtime.Interrupted:
				return 0, k.interrupted(deadline)
			case why == runtime.TimedOut:
				return 0, nil
			}
		}
	})
}

// epollOnce looks at all members and, if there is nothing to report, sleeps once.
// It watches before it looks, so that no wake-up is lost; after each one it looks
// again, because what an edge-triggered member waits for may have changed.
func (k *task) epollOnce(e *epollFile, most int, deadline time.Time) (n int, out []byte, why runtime.Woken, err error) {
	entries := e.members()
	defer func() {
		for _, x := range entries {
			if f, ok := namespace.Unwrap(x.file.file).(waitable); ok {
				f.unwatch(k.t)
			}
			_ = x.file.release()
		}
	}()
	for _, x := range entries {
		if f, ok := namespace.Unwrap(x.file.file).(waitable); ok {
			f.watch(k.t)
		}
	}
	n, out, fds := e.collect(entries, most)
	if n > 0 {
		return n, out, runtime.Unparked, nil
	}
	why, err = k.t.ParkPoll(fds, deadline)
	return 0, nil, why, err
}

// members lists the entries that may report something, each with a reference to
// its file.
func (e *epollFile) members() []*epollEntry {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*epollEntry, 0, len(e.order))
	for _, fd := range e.order {
		if x := e.entries[fd]; x.events&disabled == 0 {
			x.file.refs.Add(1)
			list = append(list, x)
		}
	}
	return list
}

// disabled marks a one-shot entry that has reported.
const disabled = 1 << 27

// always are the events that are reported whether they were asked for or not.
const always = unix.EPOLLERR | unix.EPOLLHUP

// collect makes the events of what is ready, and lists the descriptors of the
// host that are worth waiting for.
func (e *epollFile) collect(entries []*epollEntry, most int) (n int, out []byte, fds []unix.PollFd) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range entries {
		now, host := x.holds()
		now &= x.events | always
		edge := x.events&unix.EPOLLET != 0
		if edge {
			// What no longer holds may be reported anew.
			x.reported &= now
			now &^= x.reported
		}
		if now == 0 {
			// A descriptor that has hung up is always ready for poll(2).
			if host >= 0 && x.reported&always == 0 {
				want := int16(x.events &^ x.reported)
				fds = append(fds, unix.PollFd{Fd: int32(host), Events: want})
			}
			continue
		}
		if n == most {
			break
		}
		if edge {
			x.reported |= now
		}
		if x.events&unix.EPOLLONESHOT != 0 {
			x.events |= disabled
		}
		out = le.AppendUint32(out, now)
		out = le.AppendUint64(out, x.data)
		n++
	}
	return n, out, fds
}

// holds tells what is true of an entry's file now, and its descriptor on the
// host, or -1.
func (x *epollEntry) holds() (now uint32, host int) {
	it := waitItem{file: x.file.file, events: int16(x.events)}
	var fds []unix.PollFd
	var at []int
	it.look(0, &fds, &at)
	if len(fds) == 0 {
		return uint32(uint16(it.revents)), -1
	}
	if _, err := pollNow(fds); err != nil {
		return 0, -1
	}
	return uint32(uint16(fds[0].Revents)), int(fds[0].Fd)
}
