package runtime

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halite-run/halite/internal/cage"
)

// Errors of the futex calls.
var (
	// ErrFutexValue: the word does not hold the expected value.
	ErrFutexValue = errors.New("halite: futex: value differs")
	// ErrFutexTimeout: the deadline has passed.
	ErrFutexTimeout = errors.New("halite: futex: timed out")
	// ErrFutexInterrupted: the thread has something to attend to.
	ErrFutexInterrupted = errors.New("halite: futex: interrupted")
)

// A futexTable holds waiters in buckets by key. Each domain has one for futexes of its
// own, whose keys are addresses. Those in shared memory are in the table of the Futexes
// that its Config names, if the call says that they may be shared: their key is the
// place in that memory, wherever it is mapped. Without such a table they are
// keyed by address too, so that two mappings of a page are two futexes.
//
// Under its bucket's lock a waiter compares the word and joins the queue, and a
// waker takes waiters out of it; a store to the word before a wake is therefore
// seen by whoever might sleep after the wake.
type futexTable struct {
	buckets [futexBuckets]futexBucket
}

const futexBuckets = 64

// Futexes are the futexes in shared memory of some domains, which can wake each other
// by them. Others can't, whatever memory they share.
type Futexes struct{ table futexTable }

// NewFutexes makes an empty set.
func NewFutexes() *Futexes {
	f := new(Futexes)
	f.table.init(futexBuckets)
	return f
}

// A futexKey is a word of memory: an address in a domain, or a place in an object.
type futexKey struct {
	object cage.Object
	at     uint64
}

type futexBucket struct {
	mu sync.Mutex
	// order is that in which the buckets of a domain and those that it shares with
	// others are locked.
	order int
	// first and last of the queue, in order of arrival.
	first, last *futexWaiter
}

// futexWaiter is one thread's place in a queue.
type futexWaiter struct {
	thread     *Thread
	next, prev *futexWaiter
	// home is the bucket it is queued in, nil when it was woken. It changes
	// under the lock of that bucket (both buckets when it moves).
	home   atomic.Pointer[futexBucket]
	key    futexKey
	bitset uint32
}

func (f *futexTable) init(first int) {
	for i := range f.buckets {
		f.buckets[i].order = first + i
	}
}

func (f *futexTable) bucket(k futexKey) *futexBucket {
	// Fibonacci hashing of the word's number: neighbours spread out.
	return &f.buckets[uint32(k.at>>2)*2654435769>>(32-6)]
}

// futex finds the futex at addr. What is mapped there may change right after: whoever
// does that to its own waiters lets them sleep.
func (d *Domain) futex(addr uint32, shared bool) (*futexBucket, futexKey) {
	if shared && d.cfg.Futexes != nil {
		if o, at, ok := d.cage.Shared(addr); ok {
			k := futexKey{o, at}
			return d.cfg.Futexes.table.bucket(k), k
		}
	}
	k := futexKey{at: uint64(addr)}
	return d.futexes.bucket(k), k
}

func (b *futexBucket) push(w *futexWaiter) {
	w.prev, w.next = b.last, nil
	if b.last != nil {
		b.last.next = w
	} else {
		b.first = w
	}
	b.last = w
	w.home.Store(b)
}

// remove takes w out of the queue; the caller sets home.
func (b *futexBucket) remove(w *futexWaiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		b.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		b.last = w.prev
	}
	w.next, w.prev = nil, nil
}

// FutexWait sleeps until a FutexWake at addr whose bitset meets bitset, provided
// that the word at addr holds value. Shared says that it may be in memory that other
// domains have too, see Config.Futexes.
func (t *Thread) FutexWait(addr uint32, shared bool, value, bitset uint32, deadline time.Time) error {
	w := &t.futex
	b, key := t.d.futex(addr, shared)
	w.thread, w.key, w.bitset = t, key, bitset
	b.mu.Lock()
	now, err := t.d.mem.Load32(addr)
	if err != nil || now != value {
		b.mu.Unlock()
		if err == nil {
			err = ErrFutexValue
		}
		return err
	}
	b.push(w)
	b.mu.Unlock()

	for {
		why := t.Park(deadline)
		if w.home.Load() == nil {
			return nil
		}
		if why == Unparked {
			continue // meant for an earlier wait
		}
		if !w.withdraw() {
			return nil // woken at the last moment: that wake must not be lost
		}
		if why == TimedOut {
			return ErrFutexTimeout
		}
		return ErrFutexInterrupted
	}
}

// withdraw takes a waiter out of whatever queue it is in; false when it was
// woken.
func (w *futexWaiter) withdraw() bool {
	for {
		b := w.home.Load()
		if b == nil {
			return false
		}
		b.mu.Lock()
		if w.home.Load() == b {
			b.remove(w)
			w.home.Store(nil)
			b.mu.Unlock()
			return true
		}
		b.mu.Unlock()
	}
}

// FutexWake wakes at most n of the threads that wait at addr with a bitset that
// meets bitset, in order of arrival, and returns how many. Safe from any
// goroutine.
func (d *Domain) FutexWake(addr uint32, shared bool, n int, bitset uint32) int {
	b, key := d.futex(addr, shared)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wake(key, n, bitset)
}

func (b *futexBucket) wake(key futexKey, n int, bitset uint32) int {
	woken := 0
	for w := b.first; w != nil && woken < n; {
		next := w.next
		if w.key == key && w.bitset&bitset != 0 {
			t := w.thread
			b.remove(w)
			w.home.Store(nil) // from here on the thread may reuse w
			t.Unpark()
			woken++
		}
		w = next
	}
	return woken
}

// FutexRequeue wakes at most n waiters of addr and moves at most move of the
// rest to target. With compare set, the word at addr must hold *compare. It
// returns the numbers of both.
func (d *Domain) FutexRequeue(addr uint32, shared bool, n int, target uint32, move int, compare *uint32) (woken, moved int, err error) {
	from, key := d.futex(addr, shared)
	to, targetKey := d.futex(target, shared)
	lockBoth(from, to)
	defer unlockBoth(from, to)
	if compare != nil {
		now, err := d.mem.Load32(addr)
		if err != nil {
			return 0, 0, err
		}
		if now != *compare {
			return 0, 0, ErrFutexValue
		}
	}
	woken = from.wake(key, n, ^uint32(0))
	if key == targetKey {
		// Nothing would change but the order.
		for w := from.first; w != nil && moved < move; w = w.next {
			if w.key == key {
				moved++
			}
		}
		return woken, moved, nil
	}
	// The last one that stood here at the beginning bounds the walk: what is
	// moved within one bucket is put at its end and must not be met again.
	stop := from.last
	for w := from.first; w != nil && moved < move; {
		next, last := w.next, w == stop
		if w.key == key {
			from.remove(w)
			w.key = targetKey
			to.push(w)
			moved++
		}
		if last {
			break
		}
		w = next
	}
	return woken, moved, nil
}

func lockBoth(a, b *futexBucket) {
	if a.order > b.order {
		a, b = b, a
	}
	a.mu.Lock()
	if b != a {
		b.mu.Lock()
	}
}

func unlockBoth(a, b *futexBucket) {
	a.mu.Unlock()
	if b != a {
		b.mu.Unlock()
	}
}
