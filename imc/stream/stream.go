// Package stream makes streams of bytes of the sockets of package imc, for
// programs that want pipes or a network: [net.Conn] and [net.Listener]. It is a
// package of its own so that others need not link package net.
//
// Connections may be used from any goroutine, as those of package net.
package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// NewConn makes a stream of bytes of a socket, for programs that want a pipe or a
// network connection, and takes the socket over. Boundaries of messages are
// lost, descriptors that arrive are closed. There is no half-close: the reader
// finds io.EOF when the writer closes.
func NewConn(s imc.Socket) net.Conn {
	return &conn{s: s, read: newDeadline(), write: newDeadline()}
}

type conn struct {
	s           imc.Socket
	read, write *deadline

	mu   sync.Mutex // of readers
	rest []byte
}

func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for len(c.rest) == 0 {
		m, err := c.receive()
		imc.Message{Descs: m.Descs}.Close()
		if err != nil && !errors.Is(err, unix.EMFILE) {
			return 0, err
		}
		c.rest = m.Data
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *conn) receive() (imc.Message, error) {
	m, err := c.s.Receive(until{context.Background(), c.read.wait()})
	return m, connError(err)
}

func (c *conn) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		n := min(len(p), imc.MaxData)
		if err := c.s.Send(until{context.Background(), c.write.wait()}, p[:n]); err != nil {
			return total, connError(err)
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

func connError(err error) error {
	if errors.Is(err, unix.EBADF) {
		return net.ErrClosed
	}
	return err
}

// until is the context of a deadline that can be changed.
type until struct {
	context.Context
	done <-chan struct{}
}

func (u until) Done() <-chan struct{} { return u.done }

func (u until) Err() error {
	if expired(u.done) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *conn) Close() error {
	c.read.set(time.Time{})
	c.write.set(time.Time{})
	return connError(c.s.Close())
}

func (c *conn) LocalAddr() net.Addr                { return addr{} }
func (c *conn) RemoteAddr() net.Addr               { return addr{} }
func (c *conn) SetReadDeadline(t time.Time) error  { c.read.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.write.set(t); return nil }
func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

// addr stands where a name would: there are none.
type addr struct{}

func (addr) Network() string { return "imc" }
func (addr) String() string  { return "imc" }

// deadline is a channel that is closed at a time that can be changed.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{}
}

func newDeadline() *deadline { return &deadline{done: make(chan struct{})} }

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

func expired(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		// The timer has closed the channel or is about to: that one is spent.
		d.done = make(chan struct{})
	}
	d.timer = nil
	if expired(d.done) {
		d.done = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	done := d.done
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { close(done) })
		return
	}
	close(done)
}

// NewListener makes a listener of an AcceptEndpoint, for servers of packages that
// want streams; it takes the endpoint over. Accept fails with io.EOF when nobody can
// connect any more.
func NewListener(s *imc.AcceptEndpoint) net.Listener { return listener{s} }

type listener struct{ s *imc.AcceptEndpoint }

func (l listener) Accept() (net.Conn, error) {
	for {
		r, err := l.s.AwaitNext(context.Background())
		switch {
		case errors.Is(err, unix.EPIPE):
			return nil, io.EOF
		case errors.Is(err, unix.EBADF):
			return nil, net.ErrClosed
		case err != nil:
			return nil, err
		}
		if c, err := r.Accept(); err == nil {
			return NewConn(c), nil
		}
		// The other side gave up.
	}
}

func (l listener) Close() error   { return connError(l.s.Close()) }
func (l listener) Addr() net.Addr { return addr{} }

// Dial connects for a stream.
func Dial(ctx context.Context, c *imc.ConnectEndpoint) (net.Conn, error) {
	s, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return NewConn(s), nil
}
