package runtime

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Woken says why a Park returned.
type Woken uint8

const (
	// Unparked: somebody called Unpark, perhaps for an older wait. Check the
	// condition and park again.
	Unparked Woken = iota
	// TimedOut: the deadline has passed.
	TimedOut
	// Interrupted: the thread has something to attend to (a signal, the end
	// of the domain). Return Restart or RestartUnlessHandled.
	Interrupted
)

// parker is where one thread sleeps. A wake-up that comes while nobody sleeps is
// kept (one of them), so that "register, check, park" loses none.
type parker struct {
	token chan struct{}
	timer *time.Timer

	mu      sync.Mutex
	event   int           // eventfd, -1 until the first ParkPoll
	polling bool          // the thread is, or is about to be, in poll(2)
	waiting *interruption // the thread is, or is about to be, in ParkIn
	spare   *interruption // of a ParkIn that was not interrupted
}

func (p *parker) init() {
	p.token = make(chan struct{}, 1)
	p.event = -1
}

func (p *parker) wake() {
	select {
	case p.token <- struct{}{}:
	default:
	}
	p.mu.Lock()
	if p.polling {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		// EAGAIN means that the counter is full of wake-ups: good enough.
		_, _ = unix.Write(p.event, one[:])
	}
	p.mu.Unlock()
}

func (p *parker) close() {
	p.mu.Lock()
	if p.event >= 0 {
		unix.Close(p.event)
		p.event, p.polling = -1, false
	}
	p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}

// Unpark wakes t if it sleeps in Park or ParkPoll, and otherwise makes its next
// Park return at once. Safe from any goroutine, with any lock held.
func (t *Thread) Unpark() { t.park.wake() }

// Interrupted reports whether a wait must not be begun.
func (t *Thread) Interrupted() bool { return t.attention.Load() }

// Park sleeps until Unpark, Kick, the end of the domain, or the deadline (the
// zero time means none).
func (t *Thread) Park(deadline time.Time) Woken {
	if t.Interrupted() {
		return Interrupted
	}
	var expired <-chan time.Time
	if !deadline.IsZero() {
		d := time.Until(deadline)
		if d <= 0 {
			return TimedOut
		}
		if t.park.timer == nil {
			t.park.timer = time.NewTimer(d)
		} else {
			t.park.timer.Reset(d)
		}
		expired = t.park.timer.C
	}
	select {
	case <-t.park.token:
		if expired != nil {
			t.park.timer.Stop()
		}
		if t.Interrupted() {
			return Interrupted
		}
		return Unparked
	case <-expired:
		return TimedOut
	}
}

// ParkPoll is Park that also ends (Unparked) when one of the host descriptors
// is ready; their revents are set. It occupies an operating system thread while
// it sleeps, which is the price of being woken from both sides.
func (t *Thread) ParkPoll(fds []unix.PollFd, deadline time.Time) (Woken, error) {
	if len(fds) == 0 {
		return t.Park(deadline), nil
	}
	p := &t.park
	p.mu.Lock()
	if p.event < 0 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			p.mu.Unlock()
			return Interrupted, err
		}
		p.event = fd
	}
	p.polling = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.polling = false
		p.mu.Unlock()
	}()

	all := append(append(make([]unix.PollFd, 0, len(fds)+1), fds...), unix.PollFd{Fd: int32(p.event), Events: unix.POLLIN})
	for {
		if t.Interrupted() {
			return Interrupted, nil
		}
		select {
		case <-p.token:
			return Unparked, nil
		default:
		}
		var timeout *unix.Timespec
		if !deadline.IsZero() {
			d := time.Until(deadline)
			if d <= 0 {
				return TimedOut, nil
			}
			ts := unix.NsecToTimespec(int64(d))
			timeout = &ts
		}
		n, err := unix.Ppoll(all, timeout, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Interrupted, err
		}
		if n == 0 {
			continue // the deadline is looked at above
		}
		ready := false
		for i := range fds {
			fds[i].Revents = all[i].Revents
			ready = ready || all[i].Revents != 0
		}
		if all[len(fds)].Revents != 0 {
			var drop [8]byte
			_, _ = unix.Read(p.event, drop[:])
			select {
			case <-p.token:
			default:
			}
			if t.Interrupted() {
				return Interrupted, nil
			}
			return Unparked, nil
		}
		if ready {
			return Unparked, nil
		}
	}
}

// ParkIn calls f, which may wait for as long as its context lasts; that ends with
// Kick and with the end of the domain. f runs on the thread's own goroutine, and must
// return soon after its context has ended.
func (t *Thread) ParkIn(f func(ctx context.Context) error) error {
	p := &t.park
	p.mu.Lock()
	w := p.spare
	if w == nil {
		w = &interruption{done: make(chan struct{})}
	}
	p.waiting, p.spare = w, nil
	if t.Interrupted() {
		w.end()
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.waiting = nil
		if !w.ended.Load() {
			p.spare = w
		}
		p.mu.Unlock()
	}()
	return f(w)
}

// interrupt ends the context of a ParkIn. A Kick that comes late, whose reason the
// thread has attended to before it began to wait, does not.
func (t *Thread) interrupt() {
	t.park.mu.Lock()
	if w := t.park.waiting; w != nil && t.Interrupted() {
		w.end()
	}
	t.park.mu.Unlock()
}

// interruption is the context of a ParkIn; it is made once for many of them.
type interruption struct {
	done  chan struct{}
	ended atomic.Bool
}

func (w *interruption) end() {
	if w.ended.CompareAndSwap(false, true) {
		close(w.done)
	}
}

func (w *interruption) Deadline() (time.Time, bool) { return time.Time{}, false }
func (w *interruption) Done() <-chan struct{}       { return w.done }
func (w *interruption) Value(any) any               { return nil }

func (w *interruption) Err() error {
	if w.ended.Load() {
		return context.Canceled
	}
	return nil
}
