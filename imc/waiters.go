package imc

import (
	"sync"
	"sync/atomic"
)

// A waiter is one goroutine that waits for a change under somebody's lock.
type waiter struct {
	ch         chan struct{} // holds one signal
	h          *handle       // the handle that the caller used
	next, prev *waiter
	queued     bool
}

var waiterPool = sync.Pool{New: func() any { return &waiter{ch: make(chan struct{}, 1)} }}

func newWaiter(h *handle) *waiter {
	w := waiterPool.Get().(*waiter)
	w.h = h
	return w
}

// waitList is a queue of waiters, guarded by its owner's lock.
type waitList struct{ head, tail *waiter }

func (l *waitList) push(w *waiter) {
	w.queued = true
	w.prev = l.tail
	if l.tail != nil {
		l.tail.next = w
	} else {
		l.head = w
	}
	l.tail = w
}

func (l *waitList) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.tail = w.prev
	}
	w.next, w.prev, w.queued = nil, nil, false
}

func (l *waitList) wake(w *waiter) {
	l.remove(w)
	w.ch <- struct{}{} // never blocks: a waiter is signalled once for each push
}

func (l *waitList) wakeOne() {
	if l.head != nil {
		l.wake(l.head)
	}
}

func (l *waitList) wakeAll() {
	for l.head != nil {
		l.wake(l.head)
	}
}

// wakeHandle wakes those that wait on one handle, because it was closed.
func (l *waitList) wakeHandle(h *handle) {
	for w := l.head; w != nil; {
		next := w.next
		if w.h == h {
			l.wake(w)
		}
		w = next
	}
}

// sleep waits in the list until it is woken or done is closed. The lock is held at
// the call and at the return, not meanwhile. A waiter whose signal came together
// with done hands the signal on: it may have been the only one.
func (l *waitList) sleep(mu *sync.Mutex, h *handle, done <-chan struct{}) error {
	w := newWaiter(h)
	l.push(w)
	return l.await(mu, w, done)
}

// await is sleep for a waiter that is in the list already.
func (l *waitList) await(mu *sync.Mutex, w *waiter, done <-chan struct{}) error {
	mu.Unlock()
	var err error
	if done == nil {
		<-w.ch
		mu.Lock()
	} else {
		select {
		case <-w.ch:
			mu.Lock()
		case <-done:
			mu.Lock()
			l.abandon(w)
			err = errCancelled
		}
	}
	w.h = nil
	waiterPool.Put(w)
	return err
}

// abandon takes a waiter out of the list, or hands on the signal it got.
func (l *waitList) abandon(w *waiter) {
	if w.queued {
		l.remove(w)
		return
	}
	<-w.ch
	l.wakeOne()
}

// drop is abandon for a waiter that got what it wanted without waiting.
func (l *waitList) drop(w *waiter) {
	l.abandon(w)
	w.h = nil
	waiterPool.Put(w)
}

// watchList holds the functions that Watch registered. The zero value is empty.
type watchList struct {
	n    atomic.Int32 // of list
	mu   sync.Mutex
	list []*watch
}

type watch struct{ f func() }

func (l *watchList) add(f func()) *watch {
	w := &watch{f}
	l.mu.Lock()
	l.list = append(l.list, w)
	l.n.Store(int32(len(l.list)))
	l.mu.Unlock()
	return w
}

func (l *watchList) remove(w *watch) (left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, x := range l.list {
		if x == w {
			last := len(l.list) - 1
			l.list[i] = l.list[last]
			l.list[last] = nil
			l.list = l.list[:last]
			l.n.Store(int32(last))
			break
		}
	}
	return len(l.list)
}

func (l *watchList) empty() bool { return l.n.Load() == 0 }

// notify need not see a watch that is being added: who adds one looks afterwards.
func (l *watchList) notify() {
	if l.empty() {
		return
	}
	l.mu.Lock()
	for _, w := range l.list {
		w.f()
	}
	l.mu.Unlock()
}

// fifo is a queue in a slice.
type fifo[T any] struct {
	list []T
	head int
}

func (q *fifo[T]) len() int { return len(q.list) - q.head }

func (q *fifo[T]) push(v T) {
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, v)
}

func (q *fifo[T]) pop() T {
	var zero T
	v := q.list[q.head]
	q.list[q.head] = zero
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
	return v
}

func (q *fifo[T]) takeAll() []T {
	all := q.list[q.head:]
	q.list, q.head = nil, 0
	return all
}
