package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// Closing while others are in the middle of what they do. Whatever the moment, each call
// ends, with what it should: nothing is torn, lost or left open.

// rounds of each; the moment of closing moves through what goes on.
const closingRounds = 12

// moment waits a little longer each round.
func moment(round int) { time.Sleep(time.Duration(round) * 300 * time.Microsecond) }

// crowd runs f several times at once, and collects what they return.
type crowd struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (c *crowd) add(n int, f func(i int) error) {
	for i := range n {
		c.wg.Go(func() {
			err := f(i)
			c.mu.Lock()
			c.errs = append(c.errs, err)
			c.mu.Unlock()
		})
	}
}

// end waits for all of them. Each must have ended with one of the errors wanted.
func (c *crowd) end(t *testing.T, what string, wanted ...error) {
	t.Helper()
	c.wg.Wait()
next:
	for _, err := range c.errs {
		for _, w := range wanted {
			if err == w || w != nil && errors.Is(err, w) {
				continue next
			}
		}
		t.Errorf("%s: %v, want one of %v", what, err, wanted)
	}
}

// numbered is a message that tells who it is, and is long enough to be torn.
func numbered(sender int, n uint32) []byte {
	b := bytes.Repeat([]byte{byte(n)}, 8+int(n)%5000)
	le.PutUint32(b, uint32(sender))
	le.PutUint32(b[4:], n)
	return b
}

// sendAll sends until it can't, and tells how many it sent.
func sendAll(ctx context.Context, s imc.Socket, sender int, sent *uint32, descs ...imc.Desc) error {
	for {
		if err := s.Send(ctx, numbered(sender, *sent), descs...); err != nil {
			return err
		}
		*sent++
	}
}

// ledger has what was received, by sender.
type ledger struct {
	mu   sync.Mutex
	seen map[[2]uint32]bool
}

func (l *ledger) receiveAll(ctx context.Context, s imc.Socket) error {
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			return err
		}
		m.Close()
		if len(m.Data) < 8 {
			return fmt.Errorf("a message of %d bytes", len(m.Data))
		}
		id := [2]uint32{le.Uint32(m.Data), le.Uint32(m.Data[4:])}
		if !bytes.Equal(m.Data, numbered(int(id[0]), id[1])) {
			return fmt.Errorf("torn: %d of %d", id[1], id[0])
		}
		l.mu.Lock()
		twice := l.seen[id]
		l.seen[id] = true
		l.mu.Unlock()
		if twice {
			return fmt.Errorf("twice: %d of %d", id[1], id[0])
		}
	}
}

func closing(t *testing.T, w Way) {
	t.Run("the senders' end", func(t *testing.T) { closeSenders(t, w) })
	t.Run("the receivers' end", func(t *testing.T) { closeReceivers(t, w) })
	t.Run("data sockets", func(t *testing.T) { closeData(t, w) })
	t.Run("what is being sent", func(t *testing.T) { closeSent(t, w) })
	t.Run("the accepting end", func(t *testing.T) { closeAccepting(t, w) })
	t.Run("the connecting end", func(t *testing.T) { closeConnecting(t, w) })
	t.Run("a server", func(t *testing.T) { closeServer(t, w) })
}

// Everything that a send said it had sent is received, then comes the end.
func closeSenders(t *testing.T, w Way) {
	for round := range closingRounds {
		ctx := within(t)
		a, b := w.Connected(t)
		const senders = 4
		var sent [senders]uint32
		var from, to crowd
		from.add(senders, func(i int) error { return sendAll(ctx, a, i, &sent[i]) })
		// Others wait on the same handle for what never comes.
		from.add(2, func(int) error { _, err := a.Receive(ctx); return err })
		l := ledger{seen: map[[2]uint32]bool{}}
		to.add(3, func(int) error { return l.receiveAll(ctx, b) })
		moment(round)
		must(t, a.Close())
		from.end(t, "the closed handle", unix.EBADF)
		to.end(t, "the other end", io.EOF)
		total := 0
		for i, n := range sent {
			total += int(n)
			for k := range n {
				if !l.seen[[2]uint32{uint32(i), k}] {
					t.Fatalf("message %d of %d of sender %d is lost", k, n, i)
				}
			}
		}
		// A send that closing ended is not sent, or not known to be.
		if n := len(l.seen); n > total+senders {
			t.Fatalf("%d messages sent, %d received", total, n)
		}
		must(t, b.Close())
	}
}

// Descriptors that were on their way are closed: the address learns that it is alone.
func closeReceivers(t *testing.T, w Way) {
	for round := range closingRounds {
		ctx := within(t)
		acc, c := w.Endpoints(t)
		a, b := w.Connected(t)
		var sent [4]uint32
		var from, to crowd
		from.add(len(sent), func(i int) error { return sendAll(ctx, a, i, &sent[i], c) })
		to.add(3, func(int) error {
			for {
				m, err := b.Receive(ctx)
				if err != nil {
					return err
				}
				m.Close()
			}
		})
		moment(round)
		must(t, b.Close())
		to.end(t, "the closed handle", unix.EBADF)
		from.end(t, "the other end", unix.EPIPE)
		if m, err := a.Receive(ctx); err != io.EOF {
			t.Fatalf("%q, %v", m.Data, err)
		}
		must(t, c.Close())
		must(t, a.Close())
		select {
		case <-acc.Gone():
		case <-ctx.Done():
			t.Fatal("a descriptor that nobody received is still open")
		}
		must(t, acc.Close())
	}
}

// Both ends of a pair of data sockets, whose handles are several, at the same time.
func closeData(t *testing.T, w Way) {
	for round := range closingRounds {
		ctx := within(t)
		a, b := w.Data(t)
		var all crowd
		for _, s := range []*imc.DataSocket{a, b} {
			for range 2 {
				d, err := s.Dup()
				must(t, err)
				h := d.(*imc.DataSocket)
				var n uint32
				all.add(1, func(int) error { return sendAll(ctx, h, 0, &n) })
				all.add(1, func(int) error {
					for {
						if _, err := h.Receive(ctx); err != nil {
							return err
						}
					}
				})
				time.AfterFunc(time.Duration(round)*200*time.Microsecond, func() { _ = h.Close() })
			}
			all.add(1, func(int) error { runtime.Gosched(); return s.Close() })
		}
		all.end(t, "both ends", nil, unix.EBADF, unix.EPIPE, io.EOF)
	}
}

// A descriptor that is closed while it is sent has gone whole or not at all.
func closeSent(t *testing.T, w Way) {
	for round := range closingRounds {
		ctx := within(t)
		a, b := w.Connected(t)
		acc, c := w.Endpoints(t)
		var sent [3]uint32
		var from crowd
		from.add(len(sent), func(i int) error { return sendAll(ctx, a, i, &sent[i], c, imc.Invalid) })
		var received atomic.Int64
		var to crowd
		to.add(1, func(int) error {
			for {
				m, err := b.Receive(ctx)
				if err != nil {
					return err
				}
				if len(m.Descs) != 2 || m.Descs[0].Kind() != imc.KindConnectEndpoint || m.Descs[1] != imc.Invalid {
					return fmt.Errorf("%d descriptors", len(m.Descs))
				}
				received.Add(1)
				m.Close()
			}
		})
		moment(round)
		must(t, c.Close())
		from.end(t, "sending it", unix.EBADF)
		must(t, a.Close())
		to.end(t, "receiving it", io.EOF)
		if n := int64(sent[0] + sent[1] + sent[2]); received.Load() != n {
			t.Errorf("%d sent, %d received", n, received.Load())
		}
		select {
		case <-acc.Gone():
		case <-ctx.Done():
			t.Fatal("it was duplicated and not closed")
		}
		must(t, b.Close())
		must(t, acc.Close())
	}
}

// Connections are made, accepted and used when the accepting end is closed: what was
// accepted goes on, everything else is refused.
func closeAccepting(t *testing.T, w Way) {
	for round := range closingRounds {
		ctx := within(t)
		acc, c := w.Endpoints(t)
		var to, from, echoes crowd
		to.add(3, func(int) error {
			for {
				s, err := acc.Accept(ctx)
				if err != nil {
					return err
				}
				echoes.add(1, func(int) error {
					defer s.Close()
					for {
						m, err := s.Receive(ctx)
						if err != nil {
							return err
						}
						if err := s.Send(ctx, m.Data); err != nil {
							return err
						}
					}
				})
			}
		})
		from.add(4, func(i int) error {
			for n := uint32(0); ; n++ {
				s, err := c.Connect(ctx)
				if err != nil {
					return err
				}
				err = s.Send(ctx, numbered(i, n))
				if err == nil {
					var m imc.Message
					if m, err = s.Receive(ctx); err == nil && !bytes.Equal(m.Data, numbered(i, n)) {
						err = errors.New("somebody else's answer")
					}
				}
				_ = s.Close()
				if err != nil {
					return fmt.Errorf("a connection that was accepted: %w", err)
				}
			}
		})
		async := 1
		if w.Async {
			async = 0 // who passes it on takes every connection
		}
		from.add(async, func(int) error {
			for {
				s, err := c.ConnectAsync(ctx)
				if err != nil {
					return err
				}
				_ = s.Close()
				runtime.Gosched()
			}
		})
		moment(round)
		must(t, acc.Close())
		to.end(t, "accepting", unix.EBADF)
		// Accepted and then told so, but too late for the one who accepted to answer:
		// there is no such thing.
		from.end(t, "connecting", unix.ECONNREFUSED)
		echoes.end(t, "what was accepted", io.EOF, unix.EPIPE)
		must(t, c.Close())
	}
}

// The last connecting end is closed: those who connect through the handle end, those who
// accept take what is in line, and learn that there will be nobody more.
func closeConnecting(t *testing.T, w Way) {
	for round := range closingRounds {
		ctx := within(t)
		acc, c := w.Endpoints(t)
		var to, from crowd
		var accepted, made atomic.Int64
		to.add(2, func(int) error {
			for {
				s, err := acc.Accept(ctx)
				if err != nil {
					return err
				}
				accepted.Add(1)
				_ = s.Close()
			}
		})
		from.add(4, func(int) error {
			for {
				s, err := c.Connect(ctx)
				if err != nil {
					return err
				}
				made.Add(1)
				_ = s.Close()
			}
		})
		moment(round)
		must(t, c.Close())
		from.end(t, "connecting", unix.EBADF)
		to.end(t, "accepting", unix.EPIPE)
		if made.Load() > accepted.Load() {
			t.Errorf("%d connections made, %d accepted", made.Load(), accepted.Load())
		}
		must(t, acc.Close())
	}
}

// A server is stopped while it is called, with messages that take many parts. Each call
// has its whole answer or an error that says that the server went.
func closeServer(t *testing.T, w Way) {
	for round := range closingRounds / 2 {
		ctx := within(t)
		acc, c := w.Endpoints(t)
		serverCtx, stop := context.WithCancel(ctx)
		var to, from crowd
		to.add(1, func(int) error {
			return imc.Serve(serverCtx, acc, func(_ context.Context, data []byte, descs []imc.Desc) ([]byte, []imc.Desc, error) {
				return data, descs, nil
			})
		})
		large := bytes.Repeat([]byte("0123456789abcdef"), 300_000/16)
		from.add(4, func(i int) error {
			q := large[:len(large)>>(4*i)]
			for {
				a, descs, err := imc.Call(ctx, c, q, imc.Invalid)
				if err != nil {
					return err
				}
				if !bytes.Equal(a, q) || len(descs) != 1 {
					return fmt.Errorf("%d bytes of %d, %d descriptors", len(a), len(q), len(descs))
				}
			}
		})
		moment(4 * round)
		stop()
		to.end(t, "serving", context.Canceled)
		must(t, acc.Close())
		from.end(t, "calling", unix.ECONNREFUSED, unix.ECONNRESET)
		must(t, c.Close())
	}
}
