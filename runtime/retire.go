package runtime

import (
	"sync"
	"time"
)

// retirements are ranges of code that nothing can enter any more but by a
// return, each with the threads that have not shown yet that they hold no
// return address into it.
//
// A thread looks at its own control stack, which nobody else may touch, when it
// attends to a Kick. Once it has found nothing it is done with that range for
// good, because new return addresses come from calls alone, and the code can't
// be called. The same goes for threads that begin later, and for a HostThread
// between its calls.
//
// Lock order: Domain.mu, then mu. The locks of dyncode and ld come before both.
type retirements struct {
	mu   sync.Mutex
	list []*retirement
}

type retirement struct {
	start, end uint32
	pending    map[*Thread]struct{}
}

// Retire begins the proof that no thread can execute code in [start, end) of the
// sandbox any more. The caller has made sure that the code can't be entered: it
// is unmapped, or every bundle of it begins with hlt. proof is to be called until
// it returns true, and not again; it asks the threads that are left. Safe from
// any goroutine.
//
// A thread that is inside of a call of the host which does not end, or that waits
// for calls of the host, does not answer: the proof waits for it.
func (d *Domain) Retire(start, end uint32) (proof func() bool) {
	r := &retirement{start: start, end: end, pending: map[*Thread]struct{}{}}
	d.mu.Lock()
	d.retiring.mu.Lock()
	for _, t := range d.threads {
		if !t.idle.Load() {
			r.pending[t] = struct{}{}
		}
	}
	if len(r.pending) > 0 {
		d.retiring.list = append(d.retiring.list, r)
	}
	d.retiring.mu.Unlock()
	d.mu.Unlock()
	asked := false
	return func() bool {
		left := d.retiring.left(r)
		if !asked {
			// The first time nobody was asked yet, so as not to disturb threads
			// where the only one is the one that deletes.
			asked = true
			return len(left) == 0
		}
		for _, t := range left {
			t.Kick()
		}
		return len(left) == 0
	}
}

// left returns the threads that r still waits for.
func (l *retirements) left(r *retirement) []*Thread {
	l.mu.Lock()
	defer l.mu.Unlock()
	var left []*Thread
	for t := range r.pending {
		if t.idle.Load() {
			delete(r.pending, t)
		} else {
			left = append(left, t)
		}
	}
	if len(left) == 0 {
		l.sweep()
	}
	return left
}

// answer lets a thread say what it holds. It belongs to the thread's goroutine.
func (l *retirements) answer(t *Thread) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.list {
		if _, asked := r.pending[t]; asked && !t.refersTo(r.start, r.end) {
			delete(r.pending, t)
		}
	}
	l.sweep()
}

// forget takes a thread that is gone out of all questions.
func (l *retirements) forget(t *Thread) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.list {
		delete(r.pending, t)
	}
	l.sweep()
}

// sweep drops the ranges that are proved.
func (l *retirements) sweep() {
	list := l.list[:0]
	for _, r := range l.list {
		if len(r.pending) > 0 {
			list = append(list, r)
		}
	}
	clear(l.list[len(list):])
	l.list = list
}

// refersTo tells whether the thread, which is not running, may still execute
// code in a range without calling it: the control stack, where it stopped, and
// every state that it may go back to.
func (t *Thread) refersTo(start, end uint32) bool {
	if t.ctx.RefersTo(start, end) {
		return true
	}
	if t.parked != nil && t.parked.RefersTo(start, end) {
		return true
	}
	for _, s := range t.saved {
		if s.RefersTo(start, end) {
			return true
		}
	}
	for i := range t.frames {
		if s := t.frames[i].state; s != nil && s.RefersTo(start, end) {
			return true
		}
	}
	return false
}

// AnswerRetirements lets the thread look at its own control stack for the proofs
// of Domain.Retire, as it would when it is kicked.
func (t *Thread) AnswerRetirements() { t.d.retiring.answer(t) }

// retireWait is how long a deletion waits for other threads before it says
// EAGAIN: they are asked by a signal, and answer in microseconds unless they
// have no processor.
const retireWait = 5 * time.Millisecond

// Await calls done until it returns true or some milliseconds have passed, and
// lets t, which may be nil, answer for itself in between. For proofs of Retire.
func (d *Domain) Await(t *Thread, done func() bool) bool {
	var end time.Time
	for pause := time.Duration(0); ; {
		if t != nil {
			t.AnswerRetirements()
		}
		if done() {
			return true
		}
		if pause == 0 {
			end = time.Now().Add(retireWait)
			pause = 10 * time.Microsecond
			continue
		}
		if d.ended() || time.Now().After(end) {
			return false
		}
		time.Sleep(pause)
		pause = min(2*pause, time.Millisecond)
	}
}
