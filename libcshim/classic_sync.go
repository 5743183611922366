package libcshim

import (
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// Mutexes, condition variables and semaphores of the classic ABI, which are
// descriptors.
//
// Each has a queue of threads. Who gives something gives it to the first in the
// queue, under the object's lock, and that one need not ask again. A thread that is
// wanted elsewhere stays in the queue and goes on waiting when its call is made
// again (Thread.Progress).

func init() {
	for slot, c := range map[uint32]*call{
		70:  {"mutex_create", classicMutexCreate, list(), rInt},
		71:  {"mutex_lock", classicMutexLock, list(aFD), rInt},
		72:  {"mutex_trylock", classicMutexTrylock, list(aFD), rInt},
		73:  {"mutex_unlock", classicMutexUnlock, list(aFD), rInt},
		74:  {"cond_create", classicCondCreate, list(), rInt},
		75:  {"cond_wait", classicCondWait, list(aFD, aFD), rInt},
		76:  {"cond_signal", classicCondWake(1), list(aFD), rInt},
		77:  {"cond_broadcast", classicCondWake(math.MaxInt), list(aFD), rInt},
		79:  {"cond_timed_wait_abs", classicCondTimedWait, list(aFD, aFD, aPtr), rInt},
		100: {"sem_create", classicSemCreate, list(aInt), rInt},
		101: {"sem_wait", classicSemWait, list(aFD), rInt},
		102: {"sem_post", classicSemPost, list(aFD), rInt},
		103: {"sem_get_value", refuse(unix.EINVAL), list(aFD), rInt},
	} {
		classicCalls[slot] = c
	}
}

// A waitQueue is where threads wait for an object. Its lock is the object's.
type waitQueue struct {
	mu    sync.Mutex
	queue []*queued
}

// queued is a thread in a queue.
type queued struct {
	t     *runtime.Thread
	given bool // by whoever took it out of the queue
}

// join adds the thread at the end. mu is held.
func (q *waitQueue) join(t *runtime.Thread) *queued {
	w := &queued{t: t}
	q.queue = append(q.queue, w)
	return w
}

// give takes the first thread out of the queue; false if there is none. mu is held.
func (q *waitQueue) give() bool {
	if len(q.queue) == 0 {
		return false
	}
	w := q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	w.given = true
	w.t.Unpark()
	return true
}

// drop takes a thread out of the queue, to which nothing was given. mu is held.
func (q *waitQueue) drop(w *queued) {
	q.queue = slices.DeleteFunc(q.queue, func(x *queued) bool { return x == w })
}

// wait waits until w has been given something: nil; errRestart if the thread is
// wanted elsewhere, and ETIMEDOUT, when w is in the queue no longer.
func (q *waitQueue) wait(w *queued, deadline time.Time) error {
	for {
		why := w.t.Park(deadline)
		q.mu.Lock()
		given := w.given
		if !given && why == runtime.TimedOut {
			q.drop(w)
		}
		q.mu.Unlock()
		switch {
		case given:
			return nil
		case why == runtime.TimedOut:
			return unix.ETIMEDOUT
		case why == runtime.Interrupted:
			return errRestart
		}
	}
}

// Types of files that only NaCl knows.
const (
	classicModeSem   = 0o270000
	classicModeCond  = 0o260000
	classicModeMutex = 0o250000
)

// classicSync is what the three have in common.
type classicSync struct {
	namespace.Unsupported
	waitQueue
}

func (*classicSync) Stat() (namespace.Stat, error) { return namespace.Stat{Mode: 0o600}, nil }

type classicMutex struct {
	classicSync
	locked bool
}

type classicCond struct{ classicSync }

type classicSem struct {
	classicSync
	value int32
}

func (*classicMutex) classicMode() uint32 { return classicModeMutex }
func (*classicCond) classicMode() uint32  { return classicModeCond }
func (*classicSem) classicMode() uint32   { return classicModeSem }

// create gives an object a number.
func (k *task) create(f namespace.File) (int64, error) {
	o := newOpenFile(f, "", unix.O_RDWR)
	fd, err := k.p.fds.add(o, 0, false)
	if err != nil {
		_ = o.release()
		return 0, err
	}
	return int64(fd), nil
}

// object finds one by number.
func object[T namespace.File](k *task, fd uint64) (T, error) {
	var none T
	o, err := k.p.fds.get(int32Arg(fd))
	if err != nil {
		return none, err
	}
	defer o.release()
	x, ok := namespace.Unwrap(o.file).(T)
	if !ok {
		return none, unix.EINVAL
	}
	return x, nil
}

func classicMutexCreate(k *task, a *args) (int64, error) { return k.create(new(classicMutex)) }
func classicCondCreate(k *task, a *args) (int64, error)  { return k.create(new(classicCond)) }

// lock waits for the mutex; w is the thread's place from an earlier time, or nil. It
// returns the place to be kept when the call is to be made again.
func (m *classicMutex) lock(t *runtime.Thread, w *queued) (*queued, error) {
	if w == nil {
		m.mu.Lock()
		if !m.locked {
			m.locked = true
			m.mu.Unlock()
			return nil, nil
		}
		w = m.join(t)
		m.mu.Unlock()
	}
	return w, m.wait(w, time.Time{})
}

func (m *classicMutex) unlock() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.locked {
		return unix.EPERM
	}
	m.locked = m.give() // it is another's now
	return nil
}

// locking is the progress of a call that waits for a mutex, in the end.
type locking struct {
	m      *classicMutex
	w      *queued
	result error // of the call, once the mutex is locked
}

// relock waits for a mutex, now or when the call is made again.
func (k *task) relock(l *locking) (int64, error) {
	w, err := l.m.lock(k.t, l.w)
	if err != nil {
		l.w = w
		k.t.SetProgress(l)
		return 0, err
	}
	return 0, l.result
}

func classicMutexLock(k *task, a *args) (int64, error) {
	if l, ok := k.t.Progress().(*locking); ok {
		return k.relock(l)
	}
	m, err := object[*classicMutex](k, a[0])
	if err != nil {
		return 0, err
	}
	return k.relock(&locking{m: m})
}

func classicMutexTrylock(k *task, a *args) (int64, error) {
	m, err := object[*classicMutex](k, a[0])
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return 0, unix.EBUSY
	}
	m.locked = true
	return 0, nil
}

func classicMutexUnlock(k *task, a *args) (int64, error) {
	m, err := object[*classicMutex](k, a[0])
	if err != nil {
		return 0, err
	}
	return 0, m.unlock()
}

// waiting is the progress of a call that waits for a condition variable.
type waiting struct {
	c        *classicCond
	m        *classicMutex
	w        *queued
	deadline time.Time
}

func classicCondWait(k *task, a *args) (int64, error) { return k.condWait(a, time.Time{}) }

func classicCondTimedWait(k *task, a *args) (int64, error) {
	var b [12]byte
	if err := k.read(a[2], b[:]); err != nil {
		return 0, err
	}
	return k.condWait(a, time.Unix(int64(le.Uint64(b[:])), int64(int32(le.Uint32(b[8:])))))
}

func (k *task) condWait(a *args, deadline time.Time) (int64, error) {
	var w *waiting
	switch p := k.t.Progress().(type) {
	case *locking:
		return k.relock(p)
	case *waiting:
		w = p
	default:
		c, err := object[*classicCond](k, a[0])
		if err != nil {
			return 0, err
		}
		m, err := object[*classicMutex](k, a[1])
		if err != nil {
			return 0, err
		}
		w = &waiting{c: c, m: m, deadline: deadline}
		// In the queue before the mutex is free: no signal is lost in between.
		c.mu.Lock()
		w.w = c.join(k.t)
		c.mu.Unlock()
		if err := m.unlock(); err != nil {
			c.leave(w.w)
			return 0, err
		}
	}
	err := w.c.wait(w.w, w.deadline)
	if err == errRestart {
		k.t.SetProgress(w)
		return 0, err
	}
	k.t.SetProgress(nil)
	return k.relock(&locking{m: w.m, result: err})
}

// leave takes a thread out of the queue that has not waited; what it was given goes
// to the next.
func (q *waitQueue) leave(w *queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.given {
		q.give()
		return
	}
	q.drop(w)
}

func classicCondWake(n int) handler {
	return func(k *task, a *args) (int64, error) {
		c, err := object[*classicCond](k, a[0])
		if err != nil {
			return 0, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for i := 0; i < n && c.give(); i++ {
		}
		return 0, nil
	}
}

func classicSemCreate(k *task, a *args) (int64, error) {
	if int32(uint32(a[0])) < 0 {
		return 0, unix.ENOMEM
	}
	return k.create(&classicSem{value: int32(uint32(a[0]))})
}

// semWaiting is the progress of a call that waits for a semaphore.
type semWaiting struct {
	s *classicSem
	w *queued
}

func classicSemWait(k *task, a *args) (int64, error) {
	p, ok := k.t.Progress().(*semWaiting)
	if !ok {
		s, err := object[*classicSem](k, a[0])
		if err != nil {
			return 0, err
		}
		s.mu.Lock()
		if s.value > 0 {
			s.value--
			s.mu.Unlock()
			return 0, nil
		}
		p = &semWaiting{s, s.join(k.t)}
		s.mu.Unlock()
	}
	err := p.s.wait(p.w, time.Time{})
	if err != nil {
		k.t.SetProgress(p)
	}
	return 0, err
}

func classicSemPost(k *task, a *args) (int64, error) {
	s, err := object[*classicSem](k, a[0])
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.give():
	case s.value == math.MaxInt32:
		return 0, unix.ERANGE
	default:
		s.value++
	}
	return 0, nil
}
