package imc

import (
	"encoding/binary"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A glance is a short wait in poll(2), on the thread of the goroutine that wants
// something: another process that is awake answers within microseconds, sooner than the
// scheduler gets a goroutine back to work. It has no time limit of its own. A timer of
// the kernel that is set and taken back with each wait costs as much as the wait, in a
// virtual machine above all; so one goroutine looks after all glances, and ends those
// that nobody wants any more.

const (
	// glanceTime is how long one lasts, about: longer than another process on a busy
	// machine takes until it runs.
	glanceTime = 20 * time.Millisecond
	// watchTime is how often they are looked after.
	watchTime = 2 * time.Millisecond
	// watchLinger is how long that goes on when there are none.
	watchLinger = 100 * time.Millisecond
)

// glances bounds the threads that wait so.
var glances atomic.Int32

// A lookout is what one glance waits with.
type lookout struct {
	fd    int  // an eventfd, readable once it was ended
	ended bool // for this glance
	age   int  // how often it was looked after
	h     *handle
	done  <-chan struct{}
	stop  *atomic.Bool
}

// lookouts are all of them, and the goroutine that looks after them.
var lookouts struct {
	mu      sync.Mutex
	active  []*lookout
	free    []*lookout
	began   int  // glances, ever
	watched bool // the goroutine runs
}

// unwanted tells whether nobody cares any more what happens.
func (l *lookout) unwanted() bool {
	return l.h != nil && l.h.closed.Load() || l.stop != nil && l.stop.Load() || l.done != nil && expired(l.done)
}

// glance waits a moment, and tells whether something happened. It ends early when the
// handle is closed, done is closed or stop is set; each may be nil.
func (k *kfd) glance(out bool, h *handle, done <-chan struct{}, stop *atomic.Bool) bool {
	if glances.Add(1) > int32(runtime.GOMAXPROCS(0)) {
		glances.Add(-1)
		return false
	}
	defer glances.Add(-1)
	l := beginGlance(h, done, stop)
	if l == nil {
		return false
	}
	defer l.end()
	if l.unwanted() {
		return false
	}
	events := int16(unix.POLLIN)
	if out {
		events = unix.POLLOUT
	}
	for {
		fds := [2]unix.PollFd{{Fd: int32(k.fd), Events: events}, {Fd: int32(l.fd), Events: unix.POLLIN}}
		n, err := unix.Ppoll(fds[:], nil, nil)
		if err != unix.EINTR {
			return n > 0 && err == nil && fds[0].Revents != 0
		}
	}
}

// beginGlance is nil if there is no descriptor for it.
func beginGlance(h *handle, done <-chan struct{}, stop *atomic.Bool) *lookout {
	o := &lookouts
	o.mu.Lock()
	defer o.mu.Unlock()
	var l *lookout
	if n := len(o.free); n > 0 {
		l = o.free[n-1]
		o.free = o.free[:n-1]
	} else {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return nil
		}
		l = &lookout{fd: fd}
	}
	l.h, l.done, l.stop = h, done, stop
	o.active = append(o.active, l)
	o.began++
	if !o.watched {
		o.watched = true
		go watchGlances()
	}
	return l
}

func (l *lookout) end() {
	o := &lookouts
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.ended {
		var b [8]byte
		_, _ = unix.Read(l.fd, b[:])
	}
	*l = lookout{fd: l.fd}
	i := slices.Index(o.active, l)
	o.active = slices.Delete(o.active, i, i+1)
	o.free = append(o.free, l)
}

// watchGlances ends glances that are unwanted or have lasted long enough, until there
// have been none for a while.
func watchGlances() {
	o := &lookouts
	began, idle := 0, time.Duration(0)
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	for {
		time.Sleep(watchTime)
		o.mu.Lock()
		for _, l := range o.active {
			if l.age++; !l.ended && (l.age > int(glanceTime/watchTime) || l.unwanted()) {
				l.ended = true
				_, _ = unix.Write(l.fd, one[:])
			}
		}
		if idle += watchTime; len(o.active) > 0 || o.began != began {
			began, idle = o.began, 0
		}
		if idle >= watchLinger {
			closeLookouts()
			o.watched = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
	}
}

// closeLookouts closes those that are not in use. Called locked.
func closeLookouts() {
	for _, l := range lookouts.free {
		_ = unix.Close(l.fd)
	}
	lookouts.free = nil
}
