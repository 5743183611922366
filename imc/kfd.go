package imc

import (
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
	spins      spins
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
	// The answer of a process that is awake comes within microseconds: sooner than a
	// thread that sleeps is awake again, and a wait in poll(2) is cheaper than one through
	// the scheduler.
	var err error
	if !nonblock && !out && k.spins.begin() {
		err = k.spins.try(k, a)
	} else {
		err = a.try(k)
	}
	if err == errAgain && !nonblock && k.glance(out, h, done, nil) {
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
