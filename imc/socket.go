package imc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// socket is what both kinds of sockets have in common.
type socket struct {
	handle
	e *end
}

// A ConnectedSocket is one end of a connection: messages of data and descriptors,
// in both directions. It can't be sent. Connections are made by
// [ConnectEndpoint.Connect] and [AcceptEndpoint.Accept], or by
// [Transport.ConnectedPair].
type ConnectedSocket struct{ socket }

// A DataSocket is one end of a pair of sockets for messages of data alone. It can
// be sent. Pairs are made by [Transport.DataPair].
type DataSocket struct{ socket }

// The name that NaCl gave.
type DataOnlySocket = DataSocket

// A Socket is either kind; what works on messages of data alone can take both.
type Socket interface {
	Desc
	Watchable
	Send(ctx context.Context, data []byte, descs ...Desc) error
	TrySend(data []byte, descs ...Desc) error
	Receive(ctx context.Context) (Message, error)
	ReceiveInto(ctx context.Context, buf []byte) (n int, descs []Desc, err error)
	TryReceive() (Message, error)

	core() *socket // no other package has sockets
}

func (s *socket) core() *socket { return s }

// Watchable is what a poll over several endpoints needs.
type Watchable interface {
	// Ready tells what can be done now without waiting.
	Ready() Events
	// Watch has f called whenever more may be ready than before, until stop is
	// called. f must return at once and must not call methods of endpoints. To wait:
	// Watch, then Ready, then sleep until f was called, then Ready again.
	Watch(f func()) (stop func(), err error)
}

func newSocket(e *end) Socket {
	var s Socket
	var h *handle
	switch e.kind {
	case KindConnectedSocket:
		c := &ConnectedSocket{socket{e: e}}
		s, h = c, &c.handle
	default:
		d := &DataSocket{socket{e: e}}
		s, h = d, &d.handle
	}
	if e.k != nil {
		guard(h, func() { e.release(nil) })
	}
	return s
}

// guard has f called when h is collected without having been closed.
func guard(h *handle, f func()) {
	c := runtime.AddCleanup(h, func(f func()) { f() }, f)
	h.unguard = &c
}

func newKernelSocket(k *kfd, kind Kind) Socket { return newSocket(newKernelEnd(k, kind)) }

func (s *socket) Kind() Kind                   { return s.e.kind }
func (s *socket) SetMetadata(m Metadata) error { return s.setMetadata(s.e.kind, m) }

func (s *socket) Close() error {
	if err := s.shut(s.e.kind); err != nil {
		return err
	}
	s.e.release(&s.handle)
	return nil
}

// Dup makes another handle of the same end: who receives on either takes messages
// away from the other.
func (s *socket) Dup() (Desc, error) {
	if s.closed.Load() {
		return nil, errClosed("duplicate", s.e.kind)
	}
	if err := s.e.retain(); err != nil {
		return nil, errClosed("duplicate", s.e.kind)
	}
	d := newSocket(s.e)
	s.copyMeta(d)
	return d, nil
}

func (h *handle) copyMeta(d Desc) {
	if m := h.meta.Load(); m != nil {
		_ = d.SetMetadata(*m)
	}
}

func (s *socket) outgoing() (outgoing, error) {
	if s.closed.Load() {
		return outgoing{}, errClosed("send", s.e.kind)
	}
	k, err := s.e.kernel("send")
	if err != nil {
		return outgoing{}, err
	}
	return outgoing{kind: s.e.kind, flags: unix.O_RDWR, meta: s.Metadata(), k: k}, nil
}

// kernel moves the end into the kernel if need be, and returns its descriptor with
// a reference.
func (e *end) kernel(op string) (*kfd, error) {
	if err := e.move(op); err != nil {
		return nil, err
	}
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	switch {
	case e.refs == 0:
		return nil, errClosed(op, e.kind)
	case e.flushing:
		// Who gets the end must not overtake what was sent from it before.
		return nil, errSlowly
	}
	e.shared = true
	return e.k.retain(), nil
}

func (s *socket) Ready() Events { return s.e.ready(&s.handle) }

func (s *socket) Watch(f func()) (stop func(), err error) {
	stop, err = s.e.watch(f)
	if err != nil {
		return nil, hostFailure("watch", s.e.kind, err)
	}
	return stop, nil
}

// Send sends one message of at most [MaxData] bytes and [MaxDescs] descriptors and
// waits while the queue of the other end is full. The data is copied and the
// descriptors are duplicated: the caller keeps both. Errors: EMSGSIZE, EOPNOTSUPP
// (a descriptor can't be sent, or not on this kind of socket), EBADF (this handle
// or a descriptor is closed), EPIPE (the other end is closed), EMFILE.
func (s *socket) Send(ctx context.Context, data []byte, descs ...Desc) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.cause(ctx, s.send(ctx.Done(), false, data, descs))
}

// TrySend is Send that returns EAGAIN instead of waiting.
func (s *socket) TrySend(data []byte, descs ...Desc) error {
	return s.send(nil, true, data, descs)
}

// Receive waits for the next message, which is the caller's. When all handles of
// the other end are closed and everything was received, the error is io.EOF. EIO:
// what came is no message. With EMFILE there is a message, but some of its
// descriptors are [Invalid] because the process may not have more.
func (s *socket) Receive(ctx context.Context) (Message, error) {
	if err := ctx.Err(); err != nil {
		return Message{}, err
	}
	m, err := s.receive(ctx.Done(), false)
	return m, s.cause(ctx, err)
}

// ReceiveInto is Receive that puts the data where the caller wants it, without
// allocating, and tells how much it is. What does not fit is lost; then the error is
// EMSGSIZE, and everything else is as without it.
func (s *socket) ReceiveInto(ctx context.Context, buf []byte) (n int, descs []Desc, err error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	if buf == nil {
		buf = []byte{}
	}
	m, err := s.e.receive(&s.handle, ctx.Done(), false, buf)
	switch err {
	case nil:
	case unix.EMSGSIZE, unix.EMFILE:
	default:
		return 0, nil, s.cause(ctx, s.wrap("receive", err))
	}
	switch err {
	case unix.EMSGSIZE:
		err = failure("receive", s.e.kind, unix.EMSGSIZE, fmt.Sprintf("the message is longer than the %d bytes that it may fill", len(buf)))
	case unix.EMFILE:
		err = errLostDescs(s.e.kind)
	}
	return len(m.data), m.descs, err
}

func errLostDescs(k Kind) error {
	return failure("receive", k, unix.EMFILE, "descriptors of the message are lost: the process has too many open")
}

// TryReceive is Receive that returns EAGAIN instead of waiting.
func (s *socket) TryReceive() (Message, error) { return s.receive(nil, true) }

// outward duplicates what is sent, if it can be.
func (s *socket) outward(descs []Desc) ([]Desc, error) {
	if len(descs) == 0 {
		return nil, nil
	}
	if err := s.refusal(descs); err != nil {
		return nil, err
	}
	return dupAll("send", s.e.kind, descs)
}

// refusal is the error for descriptors that the connection does not carry.
func (s *socket) refusal(descs []Desc) error {
	why := s.e.p.local.Load()
	if why == nil {
		return nil
	}
	for _, d := range descs {
		if d != nil && (d.Kind() == KindFile || d.Kind() == KindSharedMemory) {
			return failure("send", s.e.kind, unix.EOPNOTSUPP, d.Kind().String()+" can't be sent: "+*why)
		}
	}
	return nil
}

// RefuseHostDescriptors makes sending files and shared memory fail with EOPNOTSUPP for
// the reason given: for who passes the messages on to where those can't go. It holds
// for both ends if the other is in this process's memory.
func (s *ConnectedSocket) RefuseHostDescriptors(why string) { s.e.p.local.Store(&why) }

func (s *socket) cause(ctx context.Context, err error) error {
	if err == errCancelled {
		return ctx.Err()
	}
	return err
}

func (s *socket) send(done <-chan struct{}, nonblock bool, data []byte, descs []Desc) error {
	kind := s.e.kind
	switch {
	case s.closed.Load():
		return errClosed("send", kind)
	case len(data) > MaxData:
		return failure("send", kind, unix.EMSGSIZE, fmt.Sprintf("%d bytes, a message has at most %d", len(data), MaxData))
	case len(descs) > 0 && kind == KindDataSocket:
		return failure("send", kind, unix.EOPNOTSUPP, "only data can be sent")
	}
	m := message{}
	var err error
	if m.descs, err = s.outward(descs); err != nil {
		return err
	}
	if len(data) > 0 {
		if s.e.direct.Load() {
			m.data = data // copied into the kernel during the call
		} else {
			m.data = append(make([]byte, 0, len(data)), data...)
		}
	}
	if err = s.e.send(&s.handle, done, nonblock, m); err != nil {
		Message{Descs: m.descs}.Close()
		return s.wrap("send", err)
	}
	return nil
}

func (s *socket) receive(done <-chan struct{}, nonblock bool) (Message, error) {
	m, err := s.e.receive(&s.handle, done, nonblock, nil)
	if err != nil && err != unix.EMFILE {
		return Message{}, s.wrap("receive", err)
	}
	if err != nil {
		err = errLostDescs(s.e.kind)
	}
	return Message{Data: m.data, Descs: m.descs}, err
}

// wrap makes an error for the caller of what happened inside.
func (s *socket) wrap(op string, err error) error {
	var e *Error
	switch {
	case err == io.EOF || err == errCancelled || errors.As(err, &e):
		return err
	case err == unix.EBADF:
		return errClosed(op, s.e.kind)
	case err == errAgain:
		return tryAgain(op, s.e.kind)
	case err == errNoBudget:
		return errBudget(op, s.e.kind)
	case err == unix.EPIPE:
		return failure(op, s.e.kind, unix.EPIPE, whyPeer)
	case isMalformed(err):
		return failure(op, s.e.kind, unix.EIO, err.Error())
	}
	return hostFailure(op, s.e.kind, err)
}

// tryAgain is made often, so it is made once for each.
func tryAgain(op string, k Kind) error {
	switch {
	case op == "send" && k == KindConnectedSocket:
		return againSendConnected
	case op == "receive" && k == KindConnectedSocket:
		return againReceiveConnected
	case op == "send":
		return againSendData
	}
	return againReceiveData
}

var (
	againSendConnected    = failure("send", KindConnectedSocket, unix.EAGAIN, whyFull)
	againReceiveConnected = failure("receive", KindConnectedSocket, unix.EAGAIN, whyNothing)
	againSendData         = failure("send", KindDataSocket, unix.EAGAIN, whyFull)
	againReceiveData      = failure("receive", KindDataSocket, unix.EAGAIN, whyNothing)
)

// File gives the end as a file, for a child process to inherit: it is the socket
// that docs/imc.md describes. The end itself stays open, and moves into the kernel
// if it lived in memory.
func (s *socket) File() (*os.File, error) {
	if s.closed.Load() {
		return nil, errClosed("make a file", s.e.kind)
	}
	k, err := s.e.kernel("make a file")
	if err == errSlowly {
		return nil, failure("make a file", s.e.kind, unix.EAGAIN, "what was sent before is still on its way: the other end's queue is full")
	}
	if err != nil {
		return nil, err
	}
	defer k.release()
	return k.file(s.e.kind)
}

func (k *kfd) file(kind Kind) (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(k.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, hostFailure("make a file", kind, err)
	}
	return os.NewFile(uintptr(fd), kind.String()), nil
}

// NewConnectedSocket makes an end of the socket that File gave in another process.
// It takes f over, unless there is an error.
func NewConnectedSocket(f *os.File) (*ConnectedSocket, error) {
	k, err := fromFile(f, KindConnectedSocket)
	if err != nil {
		return nil, err
	}
	return newKernelSocket(k, KindConnectedSocket).(*ConnectedSocket), nil
}

// NewDataSocket is NewConnectedSocket for data sockets.
func NewDataSocket(f *os.File) (*DataSocket, error) {
	k, err := fromFile(f, KindDataSocket)
	if err != nil {
		return nil, err
	}
	return newKernelSocket(k, KindDataSocket).(*DataSocket), nil
}

// fromFile takes the descriptor of a socket out of a file.
func fromFile(f *os.File, kind Kind) (*kfd, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, hostFailure("take a file over", kind, err)
	}
	fd := -1
	if cerr := raw.Control(func(p uintptr) {
		if err = checkSocket(int(p)); err == nil {
			fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0)
		}
	}); cerr != nil {
		err = cerr
	}
	if err != nil {
		if err == unix.ENOTSOCK {
			return nil, failure("take a file over", kind, unix.ENOTSOCK, "it is no Unix socket of type SOCK_SEQPACKET")
		}
		return nil, hostFailure("take a file over", kind, err)
	}
	_ = f.Close()
	return newKfd(fd), nil
}

var _, _ Socket = (*ConnectedSocket)(nil), (*DataSocket)(nil)
