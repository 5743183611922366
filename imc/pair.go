package imc

import (
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Limits of the queue at each end in memory. A queue takes a message whenever it
// is below both limits, so that any message fits into an empty one. What is queued
// fits into the buffer of a socket (see kernelBuffer), also as the kernel counts:
// up to twice the bytes, and 1.3 KiB for each packet. So a pair that moves into the
// kernel does not wait there for a reader.
const (
	queueBytes    = 64 << 10
	queueMessages = 128
)

// Events says what can be done with an endpoint without waiting.
type Events uint8

const (
	Readable Events = 1 << iota // a message, a connection or the end can be received
	Writable                    // a message can be sent, or fails at once
	HangUp                      // all handles of the other end are closed
)

// connection states of a pair that connect made
type connState uint8

const (
	connected connState = iota // also of pairs that no connect made
	pending
	refused
)

// pair is two ends that are connected in memory; one lock for both. An end that
// was sent to another process, and its peer with it, go on through the kernel. An
// end that came from another process is the first of a pair whose second is unused.
type pair struct {
	mu    sync.Mutex
	state connState
	local atomic.Pointer[string] // why files and shared memory can't be sent, or nil
	ends  [2]end
}

// end is what the handles of one end share.
type end struct {
	p        *pair
	kind     Kind
	second   bool // which of the pair's
	shared   bool // its socket was given away: others may hold it
	flushing bool // moved: what peer.rx holds still has to be sent through k, in order
	refs     int  // handles

	rx       fifo[message] // what arrived
	rxBytes  int
	owner    *Budget // is charged for what is sent here without one
	recvWait waitList
	sendWait waitList
	watchers watchList

	direct    atomic.Bool // what is sent goes into the kernel at once; never false again
	k         *kfd        // not nil: the end is a socket of the kernel
	forwarded *watch      // passes k's events on to watchers
}

type message struct {
	data  []byte
	descs []Desc
	paid  *Budget // charged, or nil
}

func newPair(k Kind) *pair {
	p := new(pair)
	p.init(k)
	return p
}

func (p *pair) init(k Kind) {
	for i := range p.ends {
		e := &p.ends[i]
		e.p, e.kind, e.refs, e.second = p, k, 1, i == 1
	}
}

// callPair is a pair made by connect, with all that a call needs, in one piece of
// memory.
type callPair struct {
	pair
	request Request
	handles [2]ConnectedSocket
	first   [2][1]message // the queues, as long as they are short
}

func newCallPair(ack bool) *callPair {
	c := new(callPair)
	c.init(KindConnectedSocket)
	for i := range c.ends {
		c.ends[i].rx.list = c.first[i][:0]
		c.handles[i].e = &c.ends[i]
	}
	c.request = Request{e: &c.ends[1], ack: ack, s: &c.handles[1]}
	if ack {
		c.state = pending
	}
	return c
}

func newKernelEnd(k *kfd, kind Kind) *end {
	p := new(pair)
	e := &p.ends[0]
	e.p, e.kind, e.refs, e.k = p, kind, 1, k
	e.direct.Store(true)
	return e
}

func (e *end) peer() *end {
	if e.second {
		return &e.p.ends[0]
	}
	return &e.p.ends[1]
}

// full tells whether the queue of the end takes no message now.
func (e *end) full() bool { return e.rxBytes >= queueBytes || e.rx.len() >= queueMessages }

// send takes the message over if it succeeds.
func (e *end) send(h *handle, done <-chan struct{}, nonblock bool, m message) error {
	p := e.p
	p.mu.Lock()
	for {
		if h.closed.Load() {
			p.mu.Unlock()
			return unix.EBADF
		}
		if e.k != nil && !e.flushing {
			k := e.k.retain()
			p.mu.Unlock()
			err := k.sendMessage(h, done, nonblock, m)
			k.release()
			return err
		}
		to := e.peer()
		if e.k == nil && (to.refs == 0 || p.state == refused) {
			p.mu.Unlock()
			return unix.EPIPE
		}
		if to.takes(h.budget) {
			if !m.charge(h.budget, to.owner) {
				e.sendWait.wakeOne() // the room that woke us is for somebody else
				p.mu.Unlock()
				return errNoBudget
			}
			to.rx.push(m)
			to.rxBytes += len(m.data)
			if e.k == nil {
				to.recvWait.wakeOne()
				to.watchers.notify()
			}
			if !to.full() {
				e.sendWait.wakeOne()
			}
			p.mu.Unlock()
			return nil
		}
		if nonblock {
			p.mu.Unlock()
			return errAgain
		}
		if err := e.sendWait.sleep(&p.mu, h, done); err != nil {
			p.mu.Unlock()
			return err
		}
	}
}

// receive may return a message together with EMFILE: some of its descriptors were
// lost because the process has too many. The data goes into the slice if that is not
// nil; if it is too short, the rest is dropped and the error is EMSGSIZE.
func (e *end) receive(h *handle, done <-chan struct{}, nonblock bool, into []byte) (message, error) {
	p := e.p
	p.mu.Lock()
	for {
		if h.closed.Load() {
			p.mu.Unlock()
			return message{}, unix.EBADF
		}
		if e.k != nil {
			k := e.k.retain()
			p.mu.Unlock()
			m, err := k.receiveMessage(e.kind, h, done, nonblock, into)
			k.release()
			return m, err
		}
		if e.rx.len() > 0 {
			m := e.take()
			p.mu.Unlock()
			if into == nil {
				return m, nil
			}
			n := copy(into, m.data)
			short := n < len(m.data)
			m.data = into[:n]
			if short {
				return m, unix.EMSGSIZE
			}
			return m, nil
		}
		if e.peer().refs == 0 || p.state == refused {
			p.mu.Unlock()
			return message{}, io.EOF
		}
		if nonblock {
			p.mu.Unlock()
			return message{}, errAgain
		}
		if err := e.recvWait.sleep(&p.mu, h, done); err != nil {
			p.mu.Unlock()
			return message{}, err
		}
	}
}

// take removes the first message of the end's queue.
func (e *end) take() message {
	wasFull := e.full()
	m := e.rx.pop()
	e.rxBytes -= len(m.data)
	m.settle()
	from := e.peer()
	if wasFull && !e.full() || e.owner != nil && e.rx.len() == 0 {
		from.watchers.notify()
	}
	if !e.full() {
		from.sendWait.wakeOne()
	}
	if e.rx.len() > 0 {
		e.recvWait.wakeOne()
	}
	return m
}

// ready tells what holds now.
func (e *end) ready(h *handle) Events {
	e.p.mu.Lock()
	if h.closed.Load() || e.refs == 0 {
		e.p.mu.Unlock()
		return Readable | Writable | HangUp
	}
	if k := e.k; k != nil {
		k.retain()
		room := !e.flushing || !e.peer().full()
		flushing := e.flushing
		e.p.mu.Unlock()
		defer k.release()
		return k.ready(room, flushing)
	}
	defer e.p.mu.Unlock()
	var r Events
	if e.peer().refs == 0 || e.p.state == refused {
		return Readable | Writable | HangUp
	}
	if e.rx.len() > 0 {
		r |= Readable
	}
	if e.peer().takes(h.budget) {
		r |= Writable
	}
	return r
}

// ready of a socket; room says whether what is before it takes a message.
func (k *kfd) ready(room, flushing bool) Events {
	var r Events
	ev := k.poll(unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP)
	if ev&(unix.POLLIN|unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0 {
		r |= Readable
	}
	if flushing && room || !flushing && ev&unix.POLLOUT != 0 {
		r |= Writable
	}
	if ev&(unix.POLLHUP|unix.POLLNVAL) != 0 {
		r |= HangUp | Writable
	}
	return r
}

// watch registers f, and returns what takes it back.
func (e *end) watch(f func()) (func(), error) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	w := e.watchers.add(f)
	if err := e.forward(); err != nil {
		e.watchers.remove(w)
		return nil, err
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if e.watchers.remove(w) == 0 && e.forwarded != nil {
			e.k.watchers.remove(e.forwarded)
			e.forwarded = nil
		}
	}, nil
}

// forward has the watchers told of the socket's events too, if there is one.
func (e *end) forward() error {
	if e.k == nil || e.forwarded != nil || e.watchers.empty() {
		return nil
	}
	w, err := e.k.watch(e.watchers.notify)
	e.forwarded = w
	return err
}

func (e *end) retain() error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.refs == 0 {
		return unix.EBADF
	}
	e.refs++
	return nil
}

// release gives one handle's share back; calls that wait on this handle end. h may
// be nil.
func (e *end) release(h *handle) {
	p := e.p
	p.mu.Lock()
	e.recvWait.wakeHandle(h)
	e.sendWait.wakeHandle(h)
	if e.k != nil && h != nil {
		e.k.wakeHandle(h)
	}
	e.refs--
	if e.refs > 0 {
		p.mu.Unlock()
		return
	}
	peer := e.peer()
	var drop []message
	k := e.k
	if k == nil {
		drop = e.rx.takeAll()
		e.rxBytes = 0
		peer.recvWait.wakeAll()
		peer.sendWait.wakeAll()
		peer.watchers.notify()
	} else if e.forwarded != nil {
		k.watchers.remove(e.forwarded)
		e.forwarded = nil
	}
	if k != nil && e.flushing && !e.shared {
		e.stopReading()
	}
	p.mu.Unlock()
	if k != nil {
		k.release()
	}
	closeMessages(drop)
}

// stopReading tells the other side that nobody will receive here any more, although
// the socket stays open until what was sent has gone. Without it two ends that both
// still send would keep each other alive.
func (e *end) stopReading() {
	_ = unix.Shutdown(e.k.fd, unix.SHUT_RD)
	// No event tells those that wait for room.
	k := e.peer().k
	k.mu.Lock()
	k.out.wakeAll()
	k.mu.Unlock()
}

func closeMessages(list []message) {
	for _, m := range list {
		m.settle()
		Message{Descs: m.descs}.Close()
	}
}

// move makes sockets of the kernel of both ends of a pair in memory, so that one
// can be given to another process. What is in the queues follows, in order.
func (e *end) move(op string) error {
	p := e.p
	p.mu.Lock()
	if e.k != nil {
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	a, b, err := socketPair(op, e.kind)
	if err != nil {
		return err
	}
	enlarge([2]int{a, b}) // for what is queued
	p.mu.Lock()
	if e.k != nil || e.refs == 0 {
		closed := e.k == nil
		p.mu.Unlock()
		_ = unix.Close(a)
		_ = unix.Close(b)
		if closed {
			return errClosed(op, e.kind)
		}
		return nil
	}
	fds := [2]int{a, b}
	var flush []*end
	for i := range p.ends {
		x := &p.ends[i]
		x.k = newKfd(fds[i])
		if x.peer().rx.len() > 0 {
			x.flushing = true
			x.k.retain()
			flush = append(flush, x)
		} else {
			x.direct.Store(true)
		}
	}
	for i := range p.ends {
		x := &p.ends[i]
		x.recvWait.wakeAll()
		if !x.flushing {
			x.sendWait.wakeAll()
		}
		if ferr := x.forward(); ferr != nil && err == nil {
			err = hostFailure(op, e.kind, ferr)
		}
		x.watchers.notify()
		if x.refs == 0 {
			// Its handles are gone; only what it sent before is still to come.
			if x.flushing {
				x.stopReading()
			}
			x.k.release()
		}
	}
	p.mu.Unlock()
	for _, x := range flush {
		if !x.flush(true) {
			go x.flush(false)
		}
	}
	return err
}

// flush sends what was in the queue of the peer when the pair moved, and what is
// sent before that is done. It ends with that, or when nobody holds the other end,
// or, if it may not wait, when it had to; then it is false.
func (e *end) flush(nonblock bool) bool {
	p, k := e.p, e.k
	pause := minPause
	for {
		p.mu.Lock()
		to := e.peer()
		if to.rx.len() == 0 {
			e.flushing = false
			e.direct.Store(true)
			e.sendWait.wakeAll()
			e.watchers.notify()
			p.mu.Unlock()
			k.release()
			return true
		}
		m := to.rx.list[to.rx.head]
		p.mu.Unlock()
		err := k.sendMessage(nil, nil, nonblock, m)
		if err != nil && err != unix.EPIPE && !k.hungUp() {
			// Room, descriptors or memory are short; that passes.
			if nonblock {
				return false
			}
			_ = nap(&pause, nil)
			continue
		}
		p.mu.Lock()
		var drop []message
		if err != nil {
			drop = to.rx.takeAll()
			to.rxBytes = 0
		} else {
			wasFull := to.full()
			m = to.rx.pop()
			to.rxBytes -= len(m.data)
			m.settle()
			e.sendWait.wakeOne()
			if wasFull {
				e.watchers.notify()
			}
		}
		p.mu.Unlock()
		closeMessages(drop)
	}
}
