package libcshim

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// A waitable file has a readiness of its own. Its Read and Write never block:
// they return EAGAIN.
type waitable interface {
	// ready returns those of the POLL* events that hold, and POLLHUP and
	// POLLERR whether they were asked for or not.
	ready(events int16) int16
	// watch registers t to be unparked whenever readiness may have grown, until
	// unwatch. One thread may watch a file several times.
	watch(t *runtime.Thread)
	unwatch(t *runtime.Thread)
}

// A hostWaitable file is a descriptor of the host that poll(2) understands; its
// Read and Write return EAGAIN too.
type hostWaitable interface{ hostFD() int }

// watchers is the list behind watch and unwatch. The zero value is empty.
type watchers struct {
	mu   sync.Mutex
	list []*runtime.Thread
}

func (w *watchers) watch(t *runtime.Thread) {
	w.mu.Lock()
	w.list = append(w.list, t)
	w.mu.Unlock()
}

func (w *watchers) unwatch(t *runtime.Thread) {
	w.mu.Lock()
	for i, x := range w.list {
		if x == t {
			last := len(w.list) - 1
			w.list[i] = w.list[last]
			w.list[last] = nil
			w.list = w.list[:last]
			break
		}
	}
	w.mu.Unlock()
}

// notify wakes everybody; who was not meant looks and sleeps again.
func (w *watchers) notify() {
	w.mu.Lock()
	for _, t := range w.list {
		t.Unpark()
	}
	w.mu.Unlock()
}

// waitFor sleeps until o may be ready for one of events. A file that is neither
// kind of waitable is always ready.
func (k *task) waitFor(o *openFile, events int16) error {
	w := []waitItem{{file: o.file, events: events}}
	_, err := k.waitAny(w, time.Time{})
	if err == errInterrupted {
		return errRestart
	}
	return err
}

// waitItem is one file of a poll.
type waitItem struct {
	file    namespace.File
	events  int16
	revents int16
}

// errInterrupted ends waitAny when the thread has something to attend to.
const errInterrupted = unix.EINTR

// look asks one file about its readiness without waiting; host descriptors are
// left for poll(2) and appended to fds.
func (it *waitItem) look(index int, fds *[]unix.PollFd, at *[]int) {
	switch f := namespace.Unwrap(it.file).(type) {
	case waitable:
		it.revents = f.ready(it.events)
	case hostWaitable:
		*fds = append(*fds, unix.PollFd{Fd: int32(f.hostFD()), Events: it.events})
		*at = append(*at, index)
	default:
		// Files and devices never block.
		it.revents = it.events & (unix.POLLIN | unix.POLLOUT | pollRdNorm | pollWrNorm)
	}
}

// waitAny sleeps until one of the files is ready, and returns how many are. With
// a deadline in the past it only looks. The error is errInterrupted or one of
// poll(2).
func (k *task) waitAny(items []waitItem, deadline time.Time) (int, error) {
	for i := range items {
		if f, ok := namespace.Unwrap(items[i].file).(waitable); ok {
			f.watch(k.t)
			defer f.unwatch(k.t)
		}
	}
	var fds []unix.PollFd
	var at []int
	for {
		fds, at = fds[:0], at[:0]
		n := 0
		for i := range items {
			items[i].revents = 0
			items[i].look(i, &fds, &at)
			if items[i].revents != 0 {
				n++
			}
		}
		if len(fds) > 0 {
			if _, err := pollNow(fds); err != nil {
				return 0, err
			}
			for j := range fds {
				if fds[j].Revents != 0 {
					items[at[j]].revents = fds[j].Revents
					n++
				}
			}
		}
		if n > 0 {
			return n, nil
		}
		why, err := k.t.ParkPoll(fds, deadline)
		switch {
		case err != nil:
			return 0, err
		case why == runtime.TimedOut:
			return 0, nil
		case why == runtime.Interrupted:
			return 0, errInterrupted
		}
	}
}

// pollNow looks at host descriptors without waiting.
func pollNow(fds []unix.PollFd) (int, error) {
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// transfer does one read or write that may have to wait.
func (k *task) transfer(o *openFile, events int16, try func() (int, error)) (int, error) {
	n, err := try()
	if err != unix.EAGAIN || o.nonblocking() {
		return n, err
	}
	if f, ok := namespace.Unwrap(o.file).(waitable); ok {
		// Not by readiness: a pipe may have room, but not enough. Each change
		// is a reason to try again.
		f.watch(k.t)
		defer f.unwatch(k.t)
		for {
			if n, err = try(); err != unix.EAGAIN {
				return n, err
			}
			if k.park() {
				return 0, errRestart
			}
		}
	}
	for {
		if err := k.waitFor(o, events); err != nil {
			return 0, err
		}
		if n, err = try(); err != unix.EAGAIN {
			return n, err
		}
		if k.t.Interrupted() {
			return 0, errRestart
		}
	}
}

// Two poll events that golang.org/x/sys does not name.
const (
	pollRdNorm = 0x40
	pollWrNorm = 0x100
)
