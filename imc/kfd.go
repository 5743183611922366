package imc

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// kfd is a descriptor of the kernel with a count of who uses it: handles, calls in
// progress and messages in flight within the process. It is closed with the last.
type kfd struct {
	fd   int
	refs atomic.Int32

	mu         sync.Mutex
	in, out    waitList
	watchers   watchList
	answer     atomic.Uint32 // controlAccepted or controlRefused, once a packet said so
	empty      atomic.Uint32 // not 0: the last receiver found nothing; counts since then
	holders    atomic.Uint32 // who else may hold the socket; changes with mu
	lingering  atomic.Int32  // calls that wait in the kernel with that limit
	registered bool
	sink       func(hungUp bool) // is told of every event, without locks held
	gen        int32             // of the registration; guarded by the poller's lock
	gone       func()            // called after the descriptor was closed; set before k is shared
}

func newKfd(fd int) *kfd {
	k := &kfd{fd: fd}
	k.refs.Store(1)
	return k
}

func (k *kfd) retain() *kfd {
	k.refs.Add(1)
	return k
}

// tryRetain fails if k is closed.
func (k *kfd) tryRetain() bool {
	for {
		n := k.refs.Load()
		if n == 0 {
			return false
		}
		if k.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (k *kfd) release() {
	if k.refs.Add(-1) != 0 {
		return
	}
	k.mu.Lock()
	if k.registered {
		k.registered = false
		thePoller.del(k)
	}
	k.mu.Unlock()
	_ = unix.Close(k.fd)
	if k.gone != nil {
		k.gone()
	}
}

// register has the poller report events of k, whose lock is held.
func (k *kfd) register() error {
	if k.registered {
		return nil
	}
	if err := thePoller.add(k); err != nil {
		return err
	}
	k.registered = true
	return nil
}

// event is called by the poller.
func (k *kfd) event(ev uint32) {
	k.mu.Lock()
	const end = unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLRDHUP
	switch {
	case ev&end != 0:
		k.in.wakeAll()
		k.out.wakeAll()
	default:
		if ev&unix.EPOLLIN != 0 {
			k.in.wakeOne()
		}
		if ev&unix.EPOLLOUT != 0 {
			k.out.wakeOne()
		}
	}
	if k.sink == nil && k.registered && k.in.head == nil && k.out.head == nil && k.watchers.empty() {
		k.registered = false
		thePoller.del(k)
	}
	k.watchers.notify()
	sink := k.sink
	k.mu.Unlock()
	if sink != nil {
		sink(ev&unix.EPOLLHUP != 0)
	}
}

// setSink has f told of every event from now on, or of none if it is nil.
func (k *kfd) setSink(f func(hungUp bool)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sink = f
	if f == nil {
		return nil
	}
	return k.register()
}

// watch registers f with k's events until the returned function is called.
func (k *kfd) watch(f func()) (*watch, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.register(); err != nil {
		return nil, err
	}
	return k.watchers.add(f), nil
}

// wakeHandle makes calls on a closed handle look again.
func (k *kfd) wakeHandle(h *handle) {
	k.mu.Lock()
	k.in.wakeHandle(h)
	k.out.wakeHandle(h)
	k.mu.Unlock()
}

// attempt is one try of a call on k. EAGAIN means to wait and try again.
type attempt interface{ try(k *kfd) error }

// do tries until it succeeds or fails otherwise than by EAGAIN. The caller holds a
// reference to k. A closed handle ends it with EBADF.
func (k *kfd) do(h *handle, done <-chan struct{}, nonblock, out bool, a attempt) error {
	// The answer of a process that is awake comes within microseconds; a wait in
	// poll(2) is then cheaper than one through the scheduler. Who had to wait the last
	// time need not try first.
	if l, ok := a.(lingerer); ok && !nonblock && k.empty.Load() != 0 && k.limited() {
		if err := k.linger(h, done, l); err != errAgain {
			return err
		}
	}
	glanced := !nonblock && !out && k.expect(h, done)
	err := a.try(k)
	if !out && !glanced {
		k.learn(err == errAgain)
	}
	if err == errAgain && !nonblock && !glanced && k.glance(out, h, done, nil) {
		err = a.try(k)
	}
	if err != errAgain && err != errSlowly || nonblock {
		return err
	}
	list := &k.in
	if out {
		list = &k.out
	}
	pause := minPause
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		if h != nil && h.closed.Load() {
			return unix.EBADF
		}
		blind := false
		if err := k.register(); err != nil {
			if !isShortage(err) {
				return err
			}
			blind = true
		}
		w := newWaiter(h)
		list.push(w)
		k.mu.Unlock()
		err := a.try(k)
		k.mu.Lock()
		if err == errSlowly || blind && err == errAgain {
			// No event will say that it can be tried again.
			list.drop(w)
			k.mu.Unlock()
			err = nap(&pause, done)
			k.mu.Lock()
			if err != nil {
				return err
			}
			continue
		}
		if err != errAgain {
			list.drop(w)
			if err == nil {
				list.wakeOne() // there may be more
			}
			return err
		}
		if err := list.await(&k.mu, w, done); err != nil {
			return err
		}
	}
}

// isShortage tells errors that mean that the process or the system has too many
// descriptors or too little memory for waiting by events.
func isShortage(err error) bool {
	switch err {
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOSPC:
		return true
	}
	return false
}

// A socket that nobody else holds may have a time limit for receiving, and then
// waiting and receiving are one call. Where others hold it too, the limit would surprise
// them: a program that receives blockingly would get EAGAIN; and who is hostile could
// take the limit away, and have us wait for ever. So it is for sockets that were made
// here and not given away, not for what was received: a connection that was accepted
// may still be held by who made it.
type lingerer interface{ linger(k *kfd) error }

// holders of a socket
const (
	others  uint32 = iota // there may be some
	alone                 // there are none
	limited               // and it has a time limit
)

// lingerTime is the time limit; the kernel makes it a few milliseconds.
const lingerTime = time.Millisecond

// markAlone is for a new socket whose number is known to nobody.
func (k *kfd) markAlone() *kfd {
	k.holders.Store(alone)
	return k
}

// limited tells whether the socket has the time limit; it gets it if it may.
func (k *kfd) limited() bool {
	switch k.holders.Load() {
	case others:
		return false
	case limited:
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.holders.Load() != alone {
		return k.holders.Load() == limited
	}
	tv := unix.NsecToTimeval(int64(lingerTime))
	if unix.SetsockoptTimeval(k.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv) != nil {
		return false
	}
	k.holders.Store(limited)
	return true
}

// share is called before the socket is given to others.
func (k *kfd) share() {
	k.mu.Lock()
	before := k.holders.Swap(others)
	k.mu.Unlock()
	if before != limited {
		return
	}
	// Who waits now would wait for ever without the limit.
	for k.lingering.Load() > 0 {
		time.Sleep(lingerTime)
	}
	_ = unix.SetsockoptTimeval(k.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{})
}

// linger is EAGAIN if nothing came, and nothing may be expected soon.
func (k *kfd) linger(h *handle, done <-chan struct{}, l lingerer) error {
	if glances.Add(1) > int32(runtime.GOMAXPROCS(0)) {
		glances.Add(-1)
		return errAgain
	}
	defer glances.Add(-1)
	var end time.Time
	for {
		k.lingering.Add(1)
		err := error(errAgain)
		if k.holders.Load() == limited {
			err = l.linger(k)
		}
		k.lingering.Add(-1)
		if err != errAgain || k.holders.Load() != limited || h != nil && h.closed.Load() || done != nil && expired(done) {
			return err
		}
		switch now := time.Now(); {
		case end.IsZero():
			end = now.Add(glanceTime)
		case now.After(end):
			return err
		}
	}
}

// expect waits a moment if there was nothing to receive at first the last time. Now
// and then it does not, to learn whether that is still so.
func (k *kfd) expect(h *handle, done <-chan struct{}) bool {
	n := k.empty.Load()
	if n == 0 {
		return false
	}
	k.empty.Store(max(n+1, 1))
	return n%16 != 0 && k.glance(false, h, done, nil)
}

// learn keeps whether nothing was there.
func (k *kfd) learn(nothing bool) {
	switch n := k.empty.Load(); {
	case !nothing && n != 0:
		k.empty.Store(0)
	case nothing && n == 0:
		k.empty.Store(1)
	}
}

// poll looks at what is ready now.
func (k *kfd) poll(events int16) int16 {
	fds := [1]unix.PollFd{{Fd: int32(k.fd), Events: events}}
	for {
		n, err := unix.Poll(fds[:], 0)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return 0
		}
		return fds[0].Revents
	}
}

// hungUp tells whether all other ends are closed.
func (k *kfd) hungUp() bool { return k.poll(0)&(unix.POLLHUP|unix.POLLNVAL) != 0 }

// errSlowly is EAGAIN without an event to wait for.
var errSlowly error = slowly{}

type slowly struct{}

func (slowly) Error() string { return unix.ETOOMANYREFS.Error() }

const (
	minPause = time.Millisecond
	maxPause = 64 * time.Millisecond
)

// nap sleeps, longer each time.
func nap(pause *time.Duration, done <-chan struct{}) error {
	t := time.NewTimer(*pause)
	defer t.Stop()
	*pause = min(2**pause, maxPause)
	select {
	case <-t.C:
		return nil
	case <-done:
		return errCancelled
	}
}

// socketPair makes two connected ends that keep the boundaries of packets.
func socketPair(op string, k Kind) (a, b int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, hostFailure(op, k, err)
	}
	if smallBuffers() {
		enlarge(fds)
	}
	return fds[0], fds[1], nil
}

// smallBuffers tells whether what the system gives does not hold the largest packet.
var smallBuffers = sync.OnceValue(func() bool {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer closeAll(fds[:])
	n, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF)
	return err != nil || n < kernelBuffer
})

// enlarge asks for twice that, which is as much as the default limit of the system
// allows.
func enlarge(fds [2]int) {
	for _, fd := range fds {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, kernelBuffer)
	}
}

// kernelBuffer holds one message of the largest size, with room to spare.
const kernelBuffer = 212992

// checkSocket refuses what is not an end of such a pair.
func checkSocket(fd int) error {
	for _, want := range [...][2]int{{unix.SO_DOMAIN, unix.AF_UNIX}, {unix.SO_TYPE, unix.SOCK_SEQPACKET}} {
		v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want[0])
		if err != nil || v != want[1] {
			return unix.ENOTSOCK
		}
	}
	return nil
}

func expired(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
