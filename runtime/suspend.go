package runtime

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// suspension stops all threads of a domain in front of their next entry of the
// guest.
//
// A thread that is kicked passes through attend, and stops there. Others stand
// still by themselves, and were kicked before that was looked at, so that they stop
// when they begin to move: a HostThread between its calls, and one that waits for
// calls of the host.
//
// Lock order: Domain.mu, then mu; callers.mu is taken without mu.
type suspension struct {
	mu      sync.Mutex
	depth   int              // calls of Suspend that Resume has not answered
	gate    chan struct{}    // closed when depth gets 0 again
	stopped map[*Thread]bool // threads that wait at the gate
	changed chan struct{}    // closed when stopped has grown or a thread stands still

	active atomic.Bool // depth is not 0
}

// Suspend stops the guest: when it returns nil, no instruction of the guest is
// executed until Resume. It waits for threads that are in a Go function which the
// guest called, since these stop when it returns; a system call that waits is
// interrupted and goes on afterwards. When ctx ends before, the guest goes on and the error says
// so. Suspensions nest: the guest goes on after as many calls of Resume.
//
// Memory may be read and written meanwhile, and calls of the guest that begin wait.
// A domain that has ended, or ends, needs no Resume. Safe from any goroutine; in a Go
// function that the guest called, Suspend with its context returns ErrBusy, and with
// another one waits for itself until that ends.
func (d *Domain) Suspend(ctx context.Context) error {
	if d.callContextOf(ctx) != nil {
		return ErrBusy
	}
	s := &d.suspension
	s.mu.Lock()
	if s.depth++; s.depth == 1 {
		s.gate = make(chan struct{})
		s.changed = make(chan struct{})
		s.stopped = map[*Thread]bool{}
		s.active.Store(true)
	}
	s.mu.Unlock()
	// A thread that registers later sees that it is active.
	for _, t := range d.Threads() {
		t.Kick()
	}
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		left := d.moving()
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-d.done:
			d.Resume()
			return d.endedError()
		case <-ctx.Done():
			d.Resume()
			return fmt.Errorf("halite: %d threads of the guest did not stop: %w", left, context.Cause(ctx))
		}
	}
}

// moving counts the threads that may execute guest code.
func (d *Domain) moving() (n int) {
	waiting := d.callers.all()
	s := &d.suspension
	d.mu.Lock()
	defer d.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range d.threads {
		if !s.stopped[t] && !t.idle.Load() && !waiting[t] {
			n++
		}
	}
	return n
}

// Resume takes one Suspend back.
func (d *Domain) Resume() {
	s := &d.suspension
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.depth == 0 {
		return
	}
	if s.depth--; s.depth == 0 {
		s.active.Store(false)
		close(s.gate)
		s.stopped = nil
	}
}

// hold keeps a thread at the gate. It belongs to the thread's goroutine.
func (s *suspension) hold(t *Thread) {
	s.mu.Lock()
	for s.depth > 0 {
		gate := s.gate
		s.stopped[t] = true
		s.note()
		s.mu.Unlock()
		select {
		case <-gate:
		case <-t.d.done:
			return
		}
		s.mu.Lock() // it may be suspended anew
	}
	s.mu.Unlock()
}

// note tells who suspends that something has changed. mu is held.
func (s *suspension) note() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// settled is called when a thread stands still otherwise, after what moving looks
// at was set.
func (s *suspension) settled() {
	if !s.active.Load() {
		return
	}
	s.mu.Lock()
	if s.depth > 0 {
		s.note()
	}
	s.mu.Unlock()
}

// all returns the threads that wait for calls of the host.
func (c *callers) all() map[*Thread]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.handed)
	if all == nil {
		all = map[*Thread]bool{}
	}
	for _, t := range c.idle {
		all[t] = true
	}
	if t := c.hot.Load(); t != nil && c.free.Load() {
		all[t] = true
	}
	if c.starter != nil && c.adding.TryLock() { // otherwise it runs
		all[c.starter] = true
		c.adding.Unlock()
	}
	return all
}
