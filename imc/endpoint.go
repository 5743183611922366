package imc

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// lineLimit is how many connections of one address wait in memory for being
// accepted. What a limit does: Connect and ConnectAsync wait for room, TryConnect
// returns EAGAIN. No request is dropped.
const lineLimit = 4096

// address is what the handles of a pair of endpoints share in the process of the
// AcceptEndpoint.
type address struct {
	mu       sync.Mutex
	accepts  int // handles of AcceptEndpoints
	connects int // handles of ConnectEndpoints here, and bridges that are not hung up
	line     fifo[*Request]
	wait     waitList // for connections
	room     waitList // in the line
	watchers watchList
	roomers  watchList
	gone     chan struct{} // closed when connects is 0; made when asked for
	bridges  []*bridge
	ready    []*bridge // those from which requests may be received
	serving  *serving  // answers calls that come from this process
	local    *string   // why connections can't carry files and shared memory, or nil
	kernel   bool      // made as a pair of sockets: the one bridge is the accepting end
}

// bridge is the accepting end of a socket pair whose other end is, or was sent to
// another process as, a ConnectEndpoint. Requests are received from it when
// somebody accepts, not before: each needs a descriptor.
type bridge struct {
	a      *address
	k      *kfd
	listed bool // in ready
	hungUp bool // no other end is left; what it holds is still accepted
	closed bool
}

// A ConnectEndpoint is the right to connect to the holder of an AcceptEndpoint: a
// capability. It can be sent.
type ConnectEndpoint struct {
	handle
	a *address // in this process, or
	k *kfd     // a socket; neither: nobody can ever accept
}

// An AcceptEndpoint receives the connections that are made through
// ConnectEndpoints. It can't be sent.
type AcceptEndpoint struct {
	handle
	a *address
}

// The names that NaCl gave.
type (
	SocketAddress = ConnectEndpoint
	BoundSocket   = AcceptEndpoint
)

func newMemoryEndpoints() (*AcceptEndpoint, *ConnectEndpoint) {
	a := &address{accepts: 1, connects: 1}
	return &AcceptEndpoint{a: a}, &ConnectEndpoint{a: a}
}

func newKernelEndpoints() (*AcceptEndpoint, *ConnectEndpoint, error) {
	server, client, err := socketPair("make a pair", KindAcceptEndpoint)
	if err != nil {
		return nil, nil, err
	}
	acc, err := newKernelAccept(newKfd(server))
	if err != nil {
		_ = unix.Close(client)
		return nil, nil, err
	}
	return acc, newKernelConnect(newKfd(client)), nil
}

func newKernelConnect(k *kfd) *ConnectEndpoint {
	c := &ConnectEndpoint{k: k}
	guard(&c.handle, k.release)
	return c
}

// newKernelAccept takes k over, whatever the result.
func newKernelAccept(k *kfd) (*AcceptEndpoint, error) {
	a := &address{accepts: 1, kernel: true}
	if err := a.addBridge(k); err != nil {
		k.release()
		return nil, hostFailure("make a pair", KindAcceptEndpoint, err)
	}
	acc := &AcceptEndpoint{a: a}
	guard(&acc.handle, func() { a.releaseAccept(nil) })
	return acc, nil
}

// DeadEndpoint is a ConnectEndpoint through which every connect fails with
// ECONNREFUSED.
func DeadEndpoint() *ConnectEndpoint { return new(ConnectEndpoint) }

// addBridge takes k over if it succeeds.
func (a *address) addBridge(k *kfd) error {
	b := &bridge{a: a, k: k}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accepts == 0 {
		return unix.ECONNREFUSED
	}
	if err := k.setSink(b.event); err != nil {
		return err
	}
	a.bridges = append(a.bridges, b)
	a.connects++
	b.list()
	return nil
}

// list is called with the lock.
func (b *bridge) list() {
	if !b.listed {
		b.listed = true
		b.a.ready = append(b.a.ready, b)
	}
}

// event is called by the poller when requests came, or the other end went.
func (b *bridge) event(hungUp bool) {
	a := b.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.closed {
		return
	}
	b.list()
	if hungUp && !b.hungUp {
		b.hungUp = true
		a.lose()
		if n, err := unix.IoctlGetInt(b.k.fd, unix.TIOCINQ); err == nil && n == 0 && !a.kernel {
			a.removeBridge(b)
			return
		}
	}
	a.wait.wakeOne()
	a.watchers.notify()
}

// removeBridge is called with the lock, after the bridge hung up.
func (a *address) removeBridge(b *bridge) {
	b.closed = true
	if i := slices.Index(a.bridges, b); i >= 0 {
		last := len(a.bridges) - 1
		a.bridges[i] = a.bridges[last]
		a.bridges[last] = nil
		a.bridges = a.bridges[:last]
		_ = b.k.setSink(nil)
		b.k.release()
	}
	if i := slices.Index(a.ready, b); i >= 0 {
		a.ready = slices.Delete(a.ready, i, i+1)
	}
}

// lose counts one way to connect less. The lock is held.
func (a *address) lose() {
	a.connects--
	if a.connects > 0 {
		return
	}
	if a.gone != nil {
		close(a.gone)
	}
	a.wait.wakeAll()
	a.watchers.notify()
}

func (a *address) releaseAccept(h *handle) {
	a.mu.Lock()
	a.wait.wakeHandle(h)
	a.accepts--
	if a.accepts > 0 {
		a.mu.Unlock()
		return
	}
	line := a.line.takeAll()
	bridges := a.bridges
	for _, b := range bridges {
		b.closed = true
	}
	a.bridges, a.ready = nil, nil
	a.room.wakeAll()
	a.roomers.notify()
	a.mu.Unlock()
	for _, r := range line {
		r.Refuse()
	}
	for _, b := range bridges {
		_ = b.k.setSink(nil)
		b.k.release()
	}
}

// Kinds of connecting.
type connectMode uint8

const (
	connectWait  connectMode = iota // for room and for being accepted
	connectAsync                    // for room
	connectTry                      // for nothing
	connectCall                     // for room; whether it was accepted is learnt later
)

// Connect makes a connection and waits until it is accepted. Errors: ECONNREFUSED
// (nobody can ever accept, or the holder of the AcceptEndpoint refused), EBADF,
// EMFILE. A cancelled Connect leaves nothing behind.
func (c *ConnectEndpoint) Connect(ctx context.Context) (*ConnectedSocket, error) {
	return c.connectContext(ctx, connectWait)
}

// ConnectAsync makes a connection without waiting for its being accepted, as NaCl's
// imc_connect does: messages can be sent at once. If it is refused later, sending
// gives EPIPE and receiving io.EOF. It waits only while the line is full.
func (c *ConnectEndpoint) ConnectAsync(ctx context.Context) (*ConnectedSocket, error) {
	return c.connectContext(ctx, connectAsync)
}

// TryConnect is ConnectAsync that returns EAGAIN instead of waiting.
func (c *ConnectEndpoint) TryConnect() (*ConnectedSocket, error) {
	return c.connect(nil, connectTry)
}

func (c *ConnectEndpoint) connectContext(ctx context.Context, mode connectMode) (*ConnectedSocket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := c.connect(ctx.Done(), mode)
	if err == errCancelled {
		err = ctx.Err()
	}
	return s, err
}

func (c *ConnectEndpoint) connect(done <-chan struct{}, mode connectMode) (*ConnectedSocket, error) {
	switch {
	case c.closed.Load():
		return nil, errClosed("connect", KindConnectEndpoint)
	case c.a != nil:
		return c.connectMemory(done, mode)
	case c.k != nil:
		return c.connectKernel(done, mode)
	}
	return nil, errRefused()
}

func errRefused() error {
	return failure("connect", KindConnectEndpoint, unix.ECONNREFUSED, whyRefused)
}

// errDeclined: the request got an answer, which was no.
func errDeclined() error {
	return failure("connect", KindConnectEndpoint, unix.ECONNREFUSED, whyDeclined)
}

func (c *ConnectEndpoint) connectMemory(done <-chan struct{}, mode connectMode) (*ConnectedSocket, error) {
	a := c.a
	a.mu.Lock()
	for {
		if c.closed.Load() {
			// Those who accept may have been told already that there will be nobody more.
			a.room.wakeOne()
			a.mu.Unlock()
			return nil, errClosed("connect", KindConnectEndpoint)
		}
		if a.accepts == 0 || a.line.len() < lineLimit {
			break
		}
		if mode == connectTry {
			a.mu.Unlock()
			return nil, failure("connect", KindConnectEndpoint, unix.EAGAIN, whyLine)
		}
		if err := a.room.sleep(&a.mu, &c.handle, done); err != nil {
			a.mu.Unlock()
			return nil, err
		}
	}
	if a.accepts == 0 {
		a.mu.Unlock()
		return nil, errRefused()
	}
	if c.budget != nil && !c.budget.Take(costConnect) {
		a.room.wakeOne() // the room that woke us is for somebody else
		a.mu.Unlock()
		return nil, errBudget("connect", KindConnectEndpoint)
	}
	p := newCallPair(mode == connectWait)
	p.request.paid, p.ends[0].owner, p.handles[0].budget = c.budget, c.budget, c.budget
	if a.local != nil {
		p.local.Store(a.local)
	}
	a.line.push(&p.request)
	a.wait.wakeOne()
	a.watchers.notify()
	if a.line.len() < lineLimit {
		a.room.wakeOne()
	}
	a.mu.Unlock()
	e := &p.ends[0]
	if mode == connectWait {
		p.mu.Lock()
		var err error
		for p.state == pending && err == nil {
			err = e.recvWait.sleep(&p.mu, nil, done)
		}
		if p.state == refused {
			err = errDeclined()
		} else if p.state == connected {
			err = nil
		}
		p.mu.Unlock()
		if err != nil {
			e.release(nil)
			return nil, err
		}
	}
	return &p.handles[0], nil
}

func (c *ConnectEndpoint) connectKernel(done <-chan struct{}, mode connectMode) (*ConnectedSocket, error) {
	k := c.k.retain()
	defer k.release()
	word := requestPlain
	if mode == connectWait || mode == connectCall {
		word = requestAck
	}
	for pause := minPause; ; {
		mine, theirs, err := socketPair("connect", KindConnectEndpoint)
		if err != nil {
			return nil, err
		}
		req := sending{pieces: [2][]byte{[]byte(word)}, oob: unix.UnixRights(theirs)}
		err = k.do(&c.handle, done, mode == connectTry, true, &req)
		_ = unix.Close(theirs)
		conn := newKfd(mine)
		if err == nil && mode == connectWait {
			err = awaitAnswer(conn, done)
		}
		switch err {
		case nil:
			e := newKernelEnd(conn, KindConnectedSocket)
			if mode == connectCall {
				e.p.state = pending
			}
			return newSocket(e).(*ConnectedSocket), nil
		case io.EOF:
			// The request is lost. If somebody can still accept, he had no descriptor
			// left to receive it.
			conn.release()
			if k.hungUp() {
				return nil, errRefused()
			}
			if err := nap(&pause, done); err != nil {
				return nil, err
			}
			continue
		}
		conn.release()
		switch err {
		case unix.EPIPE:
			return nil, errRefused()
		case unix.ECONNREFUSED:
			return nil, errDeclined()
		case errAgain, errSlowly:
			return nil, failure("connect", KindConnectEndpoint, unix.EAGAIN, whyLine)
		case unix.EBADF:
			return nil, errClosed("connect", KindConnectEndpoint)
		case errCancelled:
			return nil, err
		}
		if isMalformed(err) {
			return nil, failure("connect", KindConnectEndpoint, unix.EIO, err.Error())
		}
		return nil, hostFailure("connect", KindConnectEndpoint, err)
	}
}

// awaitAnswer receives the packet that says how the request went.
func awaitAnswer(conn *kfd, done <-chan struct{}) error {
	r := &receiving{pieces: [3][]byte{make([]byte, headerSize+1)}}
	if err := conn.do(nil, done, false, false, r); err != nil {
		return err
	}
	closeAll(r.fds)
	if r.n != headerSize || le.Uint32(r.header()) != wordControl {
		return malformed("it should say whether the connection is accepted")
	}
	switch le.Uint32(r.header()[4:]) {
	case controlAccepted:
		return nil
	case controlRefused:
		return unix.ECONNREFUSED
	}
	return malformed("an unknown answer to a connection")
}

func (c *ConnectEndpoint) Kind() Kind                   { return KindConnectEndpoint }
func (c *ConnectEndpoint) SetMetadata(m Metadata) error { return c.setMetadata(c.Kind(), m) }

func (c *ConnectEndpoint) Close() error {
	if err := c.shut(KindConnectEndpoint); err != nil {
		return err
	}
	switch {
	case c.a != nil:
		c.a.mu.Lock()
		c.a.room.wakeHandle(&c.handle)
		c.a.lose()
		c.a.mu.Unlock()
	case c.k != nil:
		c.k.wakeHandle(&c.handle)
		c.k.release()
	}
	return nil
}

func (c *ConnectEndpoint) Dup() (Desc, error) {
	var d *ConnectEndpoint
	switch {
	case c.a != nil:
		c.a.mu.Lock()
		if c.closed.Load() {
			c.a.mu.Unlock()
			return nil, errClosed("duplicate", KindConnectEndpoint)
		}
		c.a.connects++
		c.a.mu.Unlock()
		d = &ConnectEndpoint{a: c.a}
	case c.closed.Load() || c.k != nil && !c.k.tryRetain():
		return nil, errClosed("duplicate", KindConnectEndpoint)
	case c.k != nil:
		d = newKernelConnect(c.k)
	default:
		d = DeadEndpoint()
	}
	c.copyMeta(d)
	return d, nil
}

func (c *ConnectEndpoint) outgoing() (outgoing, error) {
	o := outgoing{kind: KindConnectEndpoint, flags: unix.O_RDWR, meta: c.Metadata()}
	switch {
	case c.closed.Load() || c.k != nil && !c.k.tryRetain():
		return o, errClosed("send", KindConnectEndpoint)
	case c.k != nil:
		o.k = c.k
		return o, nil
	}
	server, client, err := socketPair("send", KindConnectEndpoint)
	if err != nil {
		return o, err
	}
	o.k = newKfd(client)
	k := newKfd(server)
	if c.a == nil {
		err = unix.ECONNREFUSED
	} else {
		err = c.a.addBridge(k)
	}
	if err != nil {
		// With the server's end closed the other process finds the endpoint dead, which
		// it is if nobody can accept.
		k.release()
	}
	if err != nil && err != unix.ECONNREFUSED {
		o.k.release()
		return o, hostFailure("send", KindConnectEndpoint, err)
	}
	return o, nil
}

// Ready: Writable means that TryConnect would not return EAGAIN; HangUp that nobody
// can ever accept.
func (c *ConnectEndpoint) Ready() Events {
	switch {
	case c.closed.Load() || c.a == nil && c.k == nil:
		return Writable | HangUp
	case c.k != nil:
		return c.k.ready(true, false) &^ Readable
	}
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	switch {
	case c.a.accepts == 0:
		return Writable | HangUp
	case c.a.line.len() < lineLimit:
		return Writable
	}
	return 0
}

func (c *ConnectEndpoint) Watch(f func()) (stop func(), err error) {
	list := new(watchList)
	if c.a != nil {
		list = &c.a.roomers
	}
	if c.k != nil {
		w, err := c.k.watch(f)
		if err != nil {
			return nil, hostFailure("watch", KindConnectEndpoint, err)
		}
		return func() { c.k.watchers.remove(w) }, nil
	}
	w := list.add(f)
	return func() { list.remove(w) }, nil
}

// File gives the endpoint as a file, for a child process to inherit.
func (c *ConnectEndpoint) File() (*os.File, error) {
	o, err := c.outgoing()
	if err != nil {
		return nil, err
	}
	defer o.k.release()
	return o.k.file(KindConnectEndpoint)
}

// NewConnectEndpoint makes an endpoint of the socket that File gave in another
// process. It takes f over, unless there is an error.
func NewConnectEndpoint(f *os.File) (*ConnectEndpoint, error) {
	k, err := fromFile(f, KindConnectEndpoint)
	if err != nil {
		return nil, err
	}
	return newKernelConnect(k), nil
}

// Accept waits for a connection and accepts it. When no ConnectEndpoint is left
// anywhere, and every connection was accepted, the error is EPIPE. EMFILE: the
// process has no descriptor left; the connection goes on waiting.
func (s *AcceptEndpoint) Accept(ctx context.Context) (*ConnectedSocket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := s.accept(ctx.Done(), false, nil)
	if err == errCancelled {
		err = ctx.Err()
	}
	return c, err
}

// TryAccept is Accept that returns EAGAIN instead of waiting.
func (s *AcceptEndpoint) TryAccept() (*ConnectedSocket, error) { return s.accept(nil, true, nil) }

func (s *AcceptEndpoint) accept(done <-chan struct{}, nonblock bool, stop *atomic.Bool) (*ConnectedSocket, error) {
	for {
		r, err := s.next(done, nonblock, stop)
		if err != nil {
			return nil, err
		}
		if c, err := r.Accept(); err != errGaveUp {
			return c, err
		}
	}
}

// Next waits for a connection and leaves the decision to the caller, who must
// accept or refuse it.
func (s *AcceptEndpoint) Next(ctx context.Context) (*Request, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := s.next(ctx.Done(), false, nil)
	if err == errCancelled {
		err = ctx.Err()
	}
	return r, err
}

// AwaitNext is Next that does not fail while the process, or the system, has no
// descriptor left for the connection: it waits in line meanwhile. It is what servers want,
// which others could end otherwise by opening one connection after another.
func (s *AcceptEndpoint) AwaitNext(ctx context.Context) (*Request, error) {
	for pause := minPause; ; {
		r, err := s.Next(ctx)
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
			return r, err
		}
		if nap(&pause, ctx.Done()) != nil {
			return nil, ctx.Err()
		}
	}
}

// next looks at stop whenever it was woken: a flag costs less than a channel that has
// to be selected from.
func (s *AcceptEndpoint) next(done <-chan struct{}, nonblock bool, stop *atomic.Bool) (*Request, error) {
	a := s.a
	glanced := false
	a.mu.Lock()
	for {
		if s.closed.Load() {
			a.more()
			a.mu.Unlock()
			return nil, errClosed("accept", KindAcceptEndpoint)
		}
		if stop != nil && stop.Load() {
			a.more()
			a.mu.Unlock()
			return nil, errCancelled
		}
		if a.line.len() > 0 {
			wasFull := a.line.len() >= lineLimit
			r := a.line.pop()
			a.room.wakeOne()
			if wasFull {
				a.roomers.notify()
			}
			a.more()
			a.mu.Unlock()
			return r, nil
		}
		if n := len(a.ready); n > 0 {
			b := a.ready[0]
			a.ready = slices.Delete(a.ready, 0, 1)
			b.listed = false
			b.k.retain()
			a.mu.Unlock()
			r, err := b.receive()
			a.mu.Lock()
			if a.accepts == 0 {
				// Closed meanwhile; this request is still ours to answer.
				a.mu.Unlock()
				b.k.release()
				if r != nil {
					r.Refuse()
				}
				return nil, errClosed("accept", KindAcceptEndpoint)
			}
			switch err {
			case nil, unix.EMFILE, unix.ENFILE:
				if !b.closed {
					b.list()
				}
			case io.EOF:
				if !b.hungUp {
					b.hungUp = true
					a.lose()
				}
				if !a.kernel && !b.closed {
					a.removeBridge(b)
				}
			}
			if err == nil {
				a.more()
			}
			b.k.release()
			switch err {
			case nil:
				a.mu.Unlock()
				return r, nil
			case unix.EMFILE, unix.ENFILE:
				a.mu.Unlock()
				return nil, hostFailure("accept", KindAcceptEndpoint, err)
			}
			continue
		}
		if a.connects == 0 {
			a.mu.Unlock()
			return nil, failure("accept", KindAcceptEndpoint, unix.EPIPE, whyAlone)
		}
		if nonblock && !glanced {
			// The poller may not have told yet what a moment ago came; with many it is
			// not worth asking each.
			glanced = true
			for _, b := range a.bridges[:min(len(a.bridges), 16)] {
				b.list()
			}
			continue
		}
		if nonblock {
			a.mu.Unlock()
			return nil, againAccept
		}
		if a.kernel && !glanced {
			glanced = true
			b := a.bridges[0]
			b.k.retain()
			a.mu.Unlock()
			came := b.k.glance(false, &s.handle, done, stop)
			a.mu.Lock()
			if came && !b.closed {
				b.list()
			}
			b.k.release()
			continue
		}
		if err := a.wait.sleep(&a.mu, &s.handle, done); err != nil {
			a.mu.Unlock()
			return nil, err
		}
	}
}

var againAccept = failure("accept", KindAcceptEndpoint, unix.EAGAIN, whyNoCaller)

// wakeAll makes those that wait on this handle look again.
func (s *AcceptEndpoint) wakeAll() {
	s.a.mu.Lock()
	s.a.wait.wakeHandle(&s.handle)
	s.a.mu.Unlock()
}

// more wakes another acceptor if there may be more connections. The lock is held.
func (a *address) more() {
	if a.line.len() > 0 || len(a.ready) > 0 {
		a.wait.wakeOne()
	}
}

// receive takes one request from the socket. What is no request is dropped: who
// can connect must not be able to stop the server by sending something else.
func (b *bridge) receive() (*Request, error) {
	// Without a free number the kernel would drop the connection's descriptor.
	probe, err := unix.FcntlInt(uintptr(b.k.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	_ = unix.Close(probe)
	r := &receiving{pieces: [3][]byte{make([]byte, 4)}}
	for {
		if err := r.try(b.k); err != nil {
			return nil, err
		}
		word := string(r.header())
		if len(r.fds) == 1 && !r.lost && (word == requestPlain || word == requestAck) && checkSocket(r.fds[0]) == nil {
			return &Request{e: newKernelEnd(newKfd(r.fds[0]), KindConnectedSocket), ack: word == requestAck}, nil
		}
		closeAll(r.fds)
	}
}

// A Request is a connection that waits for being accepted or refused.
type Request struct {
	e        *end
	s        *ConnectedSocket // made with the request, or nil
	ack      bool             // the other side waits for the answer
	paid     *Budget          // charged with costConnect until it is answered, or nil
	answered atomic.Bool
}

// errGaveUp: who wanted to connect does not any more.
var errGaveUp error = failure("accept", KindAcceptEndpoint, unix.ECONNABORTED, "the other side gave up")

// Accept accepts the connection. The error is ECONNABORTED if the other side gave
// up waiting, EBADF if the request was answered before.
func (r *Request) Accept() (*ConnectedSocket, error) {
	if !r.answered.CompareAndSwap(false, true) {
		return nil, errClosed("accept", KindAcceptEndpoint)
	}
	r.settle()
	if err := r.answer(connected); err != nil {
		r.e.release(nil)
		return nil, err
	}
	if r.s != nil {
		return r.s, nil
	}
	return newSocket(r.e).(*ConnectedSocket), nil
}

// Refuse refuses the connection.
func (r *Request) Refuse() {
	if r.answered.CompareAndSwap(false, true) {
		r.settle()
		_ = r.answer(refused)
		r.e.release(nil)
	}
}

func (r *Request) settle() {
	if r.paid != nil {
		r.paid.Give(costConnect)
	}
}

func (r *Request) answer(s connState) error {
	p := r.e.p
	if r.e.k != nil {
		if !r.ack {
			return nil
		}
		kind := uint32(controlAccepted)
		if s == refused {
			kind = controlRefused
		}
		answer := sending{pieces: [2][]byte{control(kind)}}
		if err := r.e.k.do(nil, nil, true, true, &answer); err != nil {
			return errGaveUp
		}
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.ack && p.ends[0].refs == 0 && s == connected {
		return errGaveUp
	}
	p.state = s
	p.ends[0].recvWait.wakeAll()
	p.ends[0].sendWait.wakeAll()
	if s == refused {
		p.ends[0].watchers.notify()
	}
	return nil
}

// RefuseHostDescriptors is that of [ConnectedSocket], for all connections to come.
func (s *AcceptEndpoint) RefuseHostDescriptors(why string) {
	s.a.mu.Lock()
	s.a.local = &why
	s.a.mu.Unlock()
}

func (s *AcceptEndpoint) Kind() Kind                   { return KindAcceptEndpoint }
func (s *AcceptEndpoint) SetMetadata(m Metadata) error { return s.setMetadata(s.Kind(), m) }

// Close refuses the connections that wait, if this is the last handle.
func (s *AcceptEndpoint) Close() error {
	if err := s.shut(KindAcceptEndpoint); err != nil {
		return err
	}
	s.a.releaseAccept(&s.handle)
	return nil
}

func (s *AcceptEndpoint) Dup() (Desc, error) {
	a := s.a
	a.mu.Lock()
	if s.closed.Load() {
		a.mu.Unlock()
		return nil, errClosed("duplicate", KindAcceptEndpoint)
	}
	a.accepts++
	a.mu.Unlock()
	d := &AcceptEndpoint{a: a}
	if a.kernel {
		guard(&d.handle, func() { a.releaseAccept(nil) })
	}
	s.copyMeta(d)
	return d, nil
}

func (s *AcceptEndpoint) outgoing() (outgoing, error) {
	return outgoing{}, failure("send", KindAcceptEndpoint, unix.EOPNOTSUPP, "it can't be sent")
}

// Gone is closed when the last ConnectEndpoint is gone, in this process and all
// others: nobody will connect any more. Connections that were not accepted yet may
// still be in the line.
func (s *AcceptEndpoint) Gone() <-chan struct{} {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone == nil {
		a.gone = make(chan struct{})
		if a.connects == 0 {
			close(a.gone)
		}
	}
	return a.gone
}

// Ready: Readable means that TryAccept would not return EAGAIN; HangUp that nobody
// will connect any more.
func (s *AcceptEndpoint) Ready() Events {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	var r Events
	if s.closed.Load() || a.connects == 0 {
		r |= HangUp
	}
	if r != 0 || a.line.len() > 0 {
		r |= Readable
	}
	for _, b := range a.ready {
		if b.k.poll(unix.POLLIN) != 0 {
			r |= Readable
			break
		}
	}
	return r
}

func (s *AcceptEndpoint) Watch(f func()) (stop func(), err error) {
	w := s.a.watchers.add(f)
	return func() { s.a.watchers.remove(w) }, nil
}

// File gives the endpoint as a file, for a child process to inherit. Only endpoints
// made by [Kernel] have one.
func (s *AcceptEndpoint) File() (*os.File, error) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case s.closed.Load():
		return nil, errClosed("make a file", KindAcceptEndpoint)
	case !a.kernel:
		return nil, failure("make a file", KindAcceptEndpoint, unix.EOPNOTSUPP, "it lives in the memory of this process; make the pair with imc.Kernel")
	}
	return a.bridges[0].k.file(KindAcceptEndpoint)
}

// NewAcceptEndpoint makes an endpoint of the socket that File gave in another
// process. It takes f over, unless there is an error.
func NewAcceptEndpoint(f *os.File) (*AcceptEndpoint, error) {
	k, err := fromFile(f, KindAcceptEndpoint)
	if err != nil {
		return nil, err
	}
	return newKernelAccept(k)
}

var _, _ Watchable = (*ConnectEndpoint)(nil), (*AcceptEndpoint)(nil)
