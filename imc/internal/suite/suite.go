// Package suite has the behaviours that every transport of IMC has, as tests.
package suite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

var le = binary.LittleEndian

// A Way makes endpoints that reach their other ends in one way.
type Way struct {
	Name      string
	Endpoints func(t *testing.T) (*imc.AcceptEndpoint, *imc.ConnectEndpoint)
	Connected func(t *testing.T) (a, b *imc.ConnectedSocket)
	Data      func(t *testing.T) (a, b *imc.DataSocket)
	// Async: somebody passes on what is sent. It takes a while, queues add up on the way,
	// and what is known at the other end is known here later.
	Async bool
	// NoHost: files and shared memory can't be sent.
	NoHost bool
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// one receives a message of one descriptor.
func one[D imc.Desc](t testing.TB, s *imc.ConnectedSocket) D {
	t.Helper()
	m, err := s.Receive(within(t))
	must(t, err)
	if len(m.Descs) != 1 {
		t.Fatalf("%d descriptors", len(m.Descs))
	}
	d, ok := m.Descs[0].(D)
	if !ok {
		t.Fatalf("received %s", m.Descs[0].Kind())
	}
	return d
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Connect connects through a pair.
func Connect(t testing.TB, acc *imc.AcceptEndpoint, c *imc.ConnectEndpoint) (client, server *imc.ConnectedSocket) {
	t.Helper()
	ctx := within(t)
	got := make(chan *imc.ConnectedSocket, 1)
	go func() {
		s, err := acc.Accept(ctx)
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	client, err := c.Connect(ctx)
	must(t, err)
	return client, <-got
}

func exchange(t testing.TB, a, b imc.Socket, data string) {
	t.Helper()
	ctx := within(t)
	for _, s := range [][2]imc.Socket{{a, b}, {b, a}} {
		must(t, s[0].Send(ctx, []byte(data)))
		m, err := s[1].Receive(ctx)
		must(t, err)
		if string(m.Data) != data || len(m.Descs) != 0 {
			t.Fatalf("received %d bytes and %d descriptors", len(m.Data), len(m.Descs))
		}
	}
}

// Run runs all of them.
func Run(t *testing.T, w Way) {
	t.Run("messages", func(t *testing.T) {
		acc, c := w.Endpoints(t)
		defer acc.Close()
		defer c.Close()
		client, server := Connect(t, acc, c)
		defer client.Close()
		defer server.Close()
		for _, data := range []string{"x", "", "Hello!\x00", string(make([]byte, 1000)), string(bytes.Repeat([]byte("ab"), imc.MaxData/2))} {
			exchange(t, client, server, data)
		}
	})
	t.Run("socket transfer", func(t *testing.T) { socketTransfer(t, w) })
	t.Run("data sockets", func(t *testing.T) {
		a, b := w.Data(t)
		exchange(t, a, b, "data")
		ctx := within(t)
		want(t, a.Send(ctx, nil, imc.Invalid), unix.EOPNOTSUPP)
		if errno := imc.NaClErrno(a.Send(ctx, nil, imc.Invalid)); errno != unix.EIO {
			t.Error(errno)
		}
		must(t, a.Send(ctx, []byte("last")))
		must(t, a.Close())
		m, err := b.Receive(ctx)
		must(t, err)
		if string(m.Data) != "last" {
			t.Error(string(m.Data))
		}
		_, err = b.Receive(ctx)
		want(t, err, io.EOF)
		want(t, b.Send(ctx, []byte("x")), unix.EPIPE)
		want(t, a.Send(ctx, nil), unix.EBADF)
		_, err = a.TryReceive()
		want(t, err, unix.EBADF)
		must(t, b.Close())
		want(t, b.Close(), unix.EBADF)
	})
	t.Run("non-blocking", func(t *testing.T) {
		a, b := w.Data(t)
		defer a.Close()
		defer b.Close()
		_, err := a.TryReceive()
		want(t, err, unix.EAGAIN)
		sent := 0
		for ; ; sent++ {
			if err = a.TrySend([]byte{byte(sent), byte(sent >> 8)}); err != nil {
				break
			}
		}
		want(t, err, unix.EAGAIN)
		if !w.Async && (a.Ready()&imc.Writable != 0 || b.Ready()&imc.Readable == 0) {
			t.Error("readiness of a full queue:", a.Ready(), b.Ready())
		}
		for i := range sent {
			m, err := b.TryReceive()
			if w.Async && errors.Is(err, unix.EAGAIN) {
				m, err = b.Receive(within(t))
			}
			must(t, err)
			if int(m.Data[0])|int(m.Data[1])<<8 != i {
				t.Fatal("out of order")
			}
		}
		for end := time.Now().Add(time.Minute); a.Ready() != imc.Writable; time.Sleep(time.Millisecond) {
			if !w.Async || time.Now().After(end) {
				t.Error("readiness of an empty queue:", a.Ready())
				break
			}
		}
		acc, c := w.Endpoints(t)
		defer acc.Close()
		defer c.Close()
		_, err = acc.TryAccept()
		want(t, err, unix.EAGAIN)
	})
	t.Run("into a buffer", func(t *testing.T) {
		ctx := within(t)
		a, b := w.Connected(t)
		defer a.Close()
		defer b.Close()
		buf := []byte("................")
		for range 40 {
			must(t, a.Send(ctx, []byte("fits")))
			n, descs, err := b.ReceiveInto(ctx, buf)
			must(t, err)
			if string(buf[:n]) != "fits" || descs != nil || string(buf[n:]) != "............" {
				t.Fatalf("%q", buf)
			}
		}
		must(t, a.Send(ctx, []byte("with descriptors"), imc.Invalid, imc.Invalid))
		n, descs, err := b.ReceiveInto(ctx, buf)
		must(t, err)
		if string(buf[:n]) != "with descriptors" || len(descs) != 2 {
			t.Errorf("%q", buf[:n])
		}
		for _, size := range []int{0, 1, 15} {
			must(t, a.Send(ctx, []byte("too long for it."), imc.Invalid))
			n, descs, err = b.ReceiveInto(ctx, buf[:size])
			want(t, err, unix.EMSGSIZE)
			if string(buf[:n]) != "too long for it."[:size] || len(descs) != 1 {
				t.Errorf("%q", buf[:n])
			}
			must(t, a.Send(ctx, []byte("too long for it.")))
			n, _, err = b.ReceiveInto(ctx, buf[:size])
			want(t, err, unix.EMSGSIZE)
			if string(buf[:n]) != "too long for it."[:size] {
				t.Errorf("%q", buf[:n])
			}
		}
		must(t, a.Send(ctx, nil))
		if n, _, err = b.ReceiveInto(ctx, nil); n != 0 || err != nil {
			t.Error(n, err)
		}
	})
	t.Run("limits", func(t *testing.T) {
		a, b := w.Connected(t)
		defer a.Close()
		defer b.Close()
		ctx := within(t)
		want(t, a.Send(ctx, make([]byte, imc.MaxData+1)), unix.EMSGSIZE)
		must(t, a.Send(ctx, nil, repeat(imc.MaxDescs)...))
		m, err := b.Receive(ctx)
		must(t, err)
		if len(m.Descs) != imc.MaxDescs || m.Descs[7] != imc.Invalid {
			t.Error(m.Descs)
		}
		want(t, a.Send(ctx, nil, repeat(imc.MaxDescs+1)...), unix.EINVAL)
		want(t, a.Send(ctx, nil, nil), unix.EBADF)
	})
	t.Run("refused", func(t *testing.T) {
		ctx := within(t)
		acc, c := w.Endpoints(t)
		late := make(chan error, 1)
		go func() {
			_, err := c.Connect(ctx)
			late <- err
		}()
		for acc.Ready()&imc.Readable == 0 {
			time.Sleep(time.Millisecond)
		}
		async, err := c.TryConnect()
		must(t, err)
		must(t, acc.Close())
		want(t, <-late, unix.ECONNREFUSED)
		_, err = async.Receive(ctx)
		want(t, err, io.EOF)
		want(t, async.Send(ctx, []byte("x")), unix.EPIPE)
		_, err = c.Connect(ctx)
		want(t, err, unix.ECONNREFUSED)
		if !w.Async {
			_, err = c.TryConnect()
			want(t, err, unix.ECONNREFUSED)
		}
		_, err = acc.Accept(ctx)
		want(t, err, unix.EBADF)
	})
	t.Run("a request refused", func(t *testing.T) {
		ctx := within(t)
		acc, c := w.Endpoints(t)
		defer acc.Close()
		defer c.Close()
		late := make(chan error, 1)
		go func() {
			_, err := c.Connect(ctx)
			late <- err
		}()
		r, err := acc.Next(ctx)
		must(t, err)
		r.Refuse()
		_, err = r.Accept()
		want(t, err, unix.EBADF)
		want(t, <-late, unix.ECONNREFUSED)
	})
	t.Run("nobody left to connect", func(t *testing.T) {
		ctx := within(t)
		acc, c := w.Endpoints(t)
		defer acc.Close()
		d, err := c.Dup()
		must(t, err)
		must(t, c.Close())
		last, err := d.(*imc.ConnectEndpoint).TryConnect()
		must(t, err)
		defer last.Close()
		select {
		case <-acc.Gone():
			t.Fatal("gone while a handle is left")
		case <-time.After(10 * time.Millisecond):
		}
		must(t, d.Close())
		told := func() {
			select {
			case <-acc.Gone():
			case <-ctx.Done():
				t.Fatal("not told")
			}
		}
		if !w.Async {
			told()
		}
		s, err := acc.Accept(ctx)
		must(t, err)
		defer s.Close()
		told()
		_, err = acc.Accept(ctx)
		want(t, err, unix.EPIPE)
		if imc.NaClErrno(err) != unix.EIO {
			t.Error(err)
		}
	})
	t.Run("cancellation", func(t *testing.T) {
		acc, c := w.Endpoints(t)
		defer acc.Close()
		defer c.Close()
		short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err := c.Connect(short)
		want(t, err, context.DeadlineExceeded)
		want(t, second(c.Connect(short)), context.DeadlineExceeded)
		// What gave up is not accepted.
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if !w.Async {
			_, err = acc.Accept(ctx)
			want(t, err, context.DeadlineExceeded)
		}
		a, b := w.Connected(t)
		defer a.Close()
		defer b.Close()
		ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err = a.Receive(ctx)
		want(t, err, context.DeadlineExceeded)
		ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		for err = nil; err == nil; {
			err = a.Send(ctx, make([]byte, 10000))
		}
		want(t, err, context.DeadlineExceeded)
	})
	t.Run("close ends what waits on the handle", func(t *testing.T) {
		ctx := within(t)
		a, b := w.Connected(t)
		defer b.Close()
		d, err := a.Dup()
		must(t, err)
		other := d.(*imc.ConnectedSocket)
		ended := make(chan error)
		go func() { _, err := a.Receive(ctx); ended <- err }()
		still := make(chan error, 1)
		go func() { _, err := other.Receive(ctx); still <- err }()
		time.Sleep(10 * time.Millisecond)
		must(t, a.Close())
		want(t, <-ended, unix.EBADF)
		select {
		case err := <-still:
			t.Fatal("the other handle was disturbed:", err)
		default:
		}
		must(t, b.Send(ctx, []byte("x")))
		must(t, <-still)
		must(t, other.Close())

		acc, c := w.Endpoints(t)
		defer c.Close()
		go func() { _, err := acc.Accept(ctx); ended <- err }()
		time.Sleep(10 * time.Millisecond)
		must(t, acc.Close())
		want(t, <-ended, unix.EBADF)
	})
	t.Run("closing while others work", func(t *testing.T) { closing(t, w) })
	t.Run("many senders and receivers", func(t *testing.T) { many(t, w) })
	t.Run("descriptors", func(t *testing.T) { descriptors(t, w) })
	t.Run("watching", func(t *testing.T) { watching(t, w) })
	t.Run("failure in the middle of a reply", func(t *testing.T) { lateFailure(t, w) })
	t.Run("calls", func(t *testing.T) { calls(t, w, within(t)) })
	t.Run("calls that can't be cancelled", func(t *testing.T) { calls(t, w, context.Background()) })
}

func second(_ *imc.ConnectedSocket, err error) error { return err }

func repeat(n int) []imc.Desc {
	list := make([]imc.Desc, n)
	for i := range list {
		list[i] = imc.Invalid
	}
	return list
}

// socketTransfer is NaCl's test of that name.
func socketTransfer(t *testing.T, w Way) {
	ctx := within(t)
	acc, c := w.Endpoints(t)
	client, server := Connect(t, acc, c)
	defer client.Close()
	defer server.Close()
	exchange(t, client, server, "some data")

	for _, d := range []imc.Desc{acc, client} {
		err := client.Send(ctx, []byte("x"), d)
		want(t, err, unix.EOPNOTSUPP)
		if imc.NaClErrno(err) != unix.EIO {
			t.Error(imc.NaClErrno(err))
		}
	}
	must(t, client.Send(ctx, []byte("cap"), c))
	got := one[*imc.ConnectEndpoint](t, server)
	x, y := Connect(t, acc, got)
	exchange(t, x, y, "through a capability that was sent")
	must(t, x.Close())
	must(t, y.Close())

	must(t, client.Send(ctx, nil, imc.Invalid))
	m, err := server.Receive(ctx)
	must(t, err)
	if len(m.Data) != 0 || len(m.Descs) != 1 || m.Descs[0] != imc.Invalid {
		t.Error(m)
	}

	must(t, c.Close())
	must(t, got.Close())
	_, err = acc.Accept(ctx)
	if imc.NaClErrno(err) != unix.EIO {
		t.Error(err)
	}
	must(t, acc.Close())
	acc, c = w.Endpoints(t)
	must(t, acc.Close())
	if w.Async {
		_, err = c.Connect(ctx)
	} else {
		_, err = c.ConnectAsync(ctx)
	}
	if imc.NaClErrno(err) != unix.EIO {
		t.Error(err)
	}
	must(t, c.Close())
}

// many checks that messages are neither torn nor mixed nor lost, and that each
// sender's arrive in order at a single receiver.
func many(t *testing.T, w Way) {
	const senders, receivers, each = 8, 4, 200
	ctx := within(t)
	a, b := w.Connected(t)
	var wg sync.WaitGroup
	for i := range senders {
		d, err := a.Dup()
		must(t, err)
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer d.Close()
			for n := range each {
				m := bytes.Repeat([]byte{byte(i)}, 8+n*97%3000)
				le.PutUint32(m[0:], uint32(i))
				le.PutUint32(m[4:], uint32(n))
				if err := d.(*imc.ConnectedSocket).Send(ctx, m); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	must(t, a.Close())
	var mu sync.Mutex
	seen := make(map[[2]uint32]bool)
	var rg sync.WaitGroup
	for range receivers {
		d, err := b.Dup()
		must(t, err)
		rg.Add(1)
		go func() {
			defer rg.Done()
			defer d.Close()
			last := make(map[uint32]uint32)
			for {
				m, err := d.(*imc.ConnectedSocket).Receive(ctx)
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				id := [2]uint32{le.Uint32(m.Data), le.Uint32(m.Data[4:])}
				if len(m.Data) != 8+int(id[1])*97%3000 || !bytes.Equal(m.Data[8:], bytes.Repeat([]byte{byte(id[0])}, len(m.Data)-8)) {
					t.Error("torn:", id, len(m.Data))
				}
				if l, ok := last[id[0]]; ok && l >= id[1] {
					t.Error("out of order:", id, l)
				}
				last[id[0]] = id[1]
				mu.Lock()
				if seen[id] {
					t.Error("twice:", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	must(t, b.Close())
	rg.Wait()
	if len(seen) != senders*each {
		t.Errorf("%d of %d messages", len(seen), senders*each)
	}
}

func descriptors(t *testing.T, w Way) {
	ctx := within(t)
	a, b := w.Connected(t)
	defer a.Close()
	defer b.Close()
	if w.NoHost {
		mem, err := imc.NewSharedMemory(imc.MapGranule)
		must(t, err)
		defer mem.Close()
		want(t, a.Send(ctx, nil, mem), unix.EOPNOTSUPP)
	} else {
		hostDescriptors(t, a, b)
		// The same over a connection that connect made.
		acc, c := w.Endpoints(t)
		x, y := Connect(t, acc, c)
		hostDescriptors(t, x, y)
		for _, d := range []imc.Desc{acc, c, x, y} {
			must(t, d.Close())
		}
	}

	// A data socket, with something in its queues.
	x, y := w.Data(t)
	must(t, x.Send(ctx, []byte("before")))
	must(t, y.Send(ctx, []byte("back")))
	must(t, a.Send(ctx, nil, y))
	must(t, x.Send(ctx, []byte("between")))
	must(t, y.Close())
	z := one[*imc.DataSocket](t, b)
	must(t, x.Send(ctx, []byte("after")))
	for _, s := range []string{"before", "between", "after"} {
		m, err := z.Receive(ctx)
		must(t, err)
		if string(m.Data) != s {
			t.Errorf("%q, want %q", m.Data, s)
		}
	}
	m, err := x.Receive(ctx)
	must(t, err)
	if string(m.Data) != "back" {
		t.Error(string(m.Data))
	}
	exchange(t, x, z, "there and back")
	must(t, z.Close())
	_, err = x.Receive(ctx)
	want(t, err, io.EOF)
	must(t, x.Close())

	// What is not received is closed.
	acc, c := w.Endpoints(t)
	defer acc.Close()
	p, q := w.Connected(t)
	must(t, p.Send(ctx, nil, c))
	must(t, c.Close())
	must(t, q.Close())
	must(t, p.Close())
	select {
	case <-acc.Gone():
	case <-ctx.Done():
		t.Error("a descriptor in flight was lost and not closed")
	}
}

func watching(t *testing.T, w Way) {
	ctx := within(t)
	a, b := w.Connected(t)
	defer a.Close()
	changed := make(chan struct{}, 1)
	f := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	until := func(what string, ready func() imc.Events, ev imc.Events) {
		t.Helper()
		for ready()&ev == 0 {
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatal("no notice of", what)
			}
		}
	}
	stop, err := b.Watch(f)
	must(t, err)
	if b.Ready() != imc.Writable {
		t.Error(b.Ready())
	}
	time.AfterFunc(5*time.Millisecond, func() { _ = a.Send(ctx, []byte("x")) })
	until("a message", b.Ready, imc.Readable)
	_, err = b.TryReceive()
	must(t, err)
	for b.TrySend(make([]byte, 5000)) == nil {
	}
	time.AfterFunc(5*time.Millisecond, func() {
		for {
			if _, err := a.TryReceive(); err != nil {
				return
			}
		}
	})
	until("room", b.Ready, imc.Writable)
	time.AfterFunc(5*time.Millisecond, func() { _ = a.Close() })
	until("the end", b.Ready, imc.HangUp)
	stop()
	must(t, b.Close())

	acc, c := w.Endpoints(t)
	defer acc.Close()
	stop, err = acc.Watch(f)
	must(t, err)
	defer stop()
	time.AfterFunc(5*time.Millisecond, func() { _, _ = c.TryConnect() })
	until("a connection", acc.Ready, imc.Readable)
	s, err := acc.TryAccept()
	must(t, err)
	must(t, s.Close())
	time.AfterFunc(5*time.Millisecond, func() { _ = c.Close() })
	until("the last capability", acc.Ready, imc.HangUp)
}

func calls(t *testing.T, w Way, ctx context.Context) {
	acc, c := w.Endpoints(t)
	cancelled := make(chan error, 1)
	served := make(chan error, 1)
	go func() {
		srv := imc.Server{MaxRequest: 3 << 20, Handler: func(ctx context.Context, data []byte, descs []imc.Desc) ([]byte, []imc.Desc, error) {
			switch string(data[:min(len(data), 5)]) {
			case "fail!":
				return nil, nil, fmt.Errorf("refused by the object: %w", unix.EPERM)
			case "bound":
				// The last of the second message can't be sent.
				bound, cap := imc.NewEndpoints()
				defer cap.Close()
				return make([]byte, 200_000), append(repeat(12), bound), nil
			case "wait!":
				<-ctx.Done()
				cancelled <- ctx.Err()
				return nil, nil, ctx.Err()
			}
			return data, descs, nil
		}}
		served <- srv.Serve(ctx, acc)
	}()
	mem := imc.Invalid
	if !w.NoHost {
		m, err := imc.NewSharedMemory(imc.MapGranule)
		must(t, err)
		defer m.Close()
		mem = m
	}
	for _, n := range []int{0, 1, 1000, (imc.MaxData - 8) - 1, (imc.MaxData - 8), (imc.MaxData - 8) + 1, imc.MaxData, 1 << 20, 3 << 20} {
		data := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
		var descs []imc.Desc
		for range n % 21 {
			descs = append(descs, mem)
		}
		reply, got, err := imc.Call(ctx, c, data, descs...)
		must(t, err)
		if !bytes.Equal(reply, data) || len(got) != len(descs) {
			t.Fatalf("%d bytes and %d descriptors: got %d and %d", n, len(descs), len(reply), len(got))
		}
		imc.Message{Descs: got}.Close()
	}
	_, _, err := imc.Call(ctx, c, []byte("fail!"))
	var failed *imc.CallError
	if !errors.As(err, &failed) || !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
	reply, _, err := imc.Call(ctx, c, []byte("bound"))
	if !errors.As(err, &failed) || !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("%d bytes, %v", len(reply), err)
	}
	_, _, err = imc.Call(ctx, c, make([]byte, 3<<20+1))
	want(t, err, unix.EMSGSIZE)
	wait := 20 * time.Millisecond
	if w.Async {
		wait = time.Second // for the call to be there before
	}
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_, _, err = imc.Call(short, c, []byte("wait!"))
	want(t, err, context.DeadlineExceeded)
	want(t, <-cancelled, context.Canceled)
	// Nobody's data is anybody else's.
	mine := []byte("mine")
	reply, _, err = imc.Call(ctx, c, mine)
	must(t, err)
	mine[0] = 'X'
	if string(reply) != "mine" {
		t.Errorf("%q", reply)
	}
	_, _, err = imc.Call(ctx, c, nil, acc)
	want(t, err, unix.EOPNOTSUPP)
	_, _, err = imc.Call(ctx, c, nil, repeat(imc.MaxCallDescs+1)...)
	want(t, err, unix.EINVAL)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			data := []byte(fmt.Sprint("call ", i))
			reply, _, err := imc.Call(ctx, c, data)
			if err != nil || !bytes.Equal(reply, data) {
				t.Error(string(reply), err)
			}
		}()
	}
	wg.Wait()
	must(t, c.Close())
	must(t, <-served)
	must(t, acc.Close())
	dead := imc.DeadEndpoint()
	_, _, err = imc.Call(ctx, dead, nil)
	want(t, err, unix.ECONNREFUSED)
}

// lateFailure: a server that has sent a part of its reply and then fails, or goes.
func lateFailure(t *testing.T, w Way) {
	ctx := within(t)
	acc, c := w.Endpoints(t)
	defer acc.Close()
	defer c.Close()
	for _, end := range []string{"CAL1\x02\x00\x00\x00\x0d\x00\x00\x00no more", ""} {
		served := make(chan error, 1)
		go func() {
			s, err := acc.Accept(ctx)
			if err != nil {
				served <- err
				return
			}
			defer s.Close()
			if _, err = s.Receive(ctx); err == nil {
				err = s.Send(ctx, []byte("CAL1\x01\x00\x00\x00the first part"), imc.Invalid)
			}
			if err == nil && end != "" {
				err = s.Send(ctx, []byte(end))
			}
			served <- err
		}()
		reply, descs, err := imc.Call(ctx, c, nil)
		var failed *imc.CallError
		switch {
		case end == "":
			want(t, err, unix.ECONNRESET)
		case !errors.As(err, &failed) || failed.Text != "no more" || failed.Errno != unix.EACCES:
			t.Error(err)
		}
		if reply != nil || descs != nil {
			t.Errorf("%q, %d descriptors", reply, len(descs))
		}
		must(t, <-served)
	}
}

func hostDescriptors(t *testing.T, a, b *imc.ConnectedSocket) {
	ctx := within(t)

	// A file shares its position, whichever way it went.
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, []byte("0123456789"), 0o600))
	osFile, err := os.Open(name)
	must(t, err)
	defer osFile.Close()
	file, err := imc.NewFile(osFile)
	must(t, err)
	defer file.Close()
	must(t, file.SetMetadata(imc.Metadata{Type: 7, Data: []byte("a note")}))
	want(t, file.SetMetadata(imc.Metadata{Type: 8}), unix.EPERM)
	want(t, imc.Invalid.SetMetadata(imc.Metadata{Type: 8}), unix.EINVAL)
	// Each has a note of its own, or none.
	var list []imc.Desc
	var notes []*imc.Metadata
	for i := range imc.MaxDescs {
		d, err := imc.NewFile(osFile)
		must(t, err)
		defer d.Close()
		list, notes = append(list, d), append(notes, nil)
		if i != 3 {
			notes[i] = &imc.Metadata{Type: int32(i*1000 - 2000), Data: bytes.Repeat([]byte{'a' + byte(i)}, i*imc.MaxMetadata/7)}
			must(t, d.SetMetadata(*notes[i]))
		}
	}
	want(t, list[3].SetMetadata(imc.Metadata{Type: -1}), unix.EINVAL)
	want(t, list[3].SetMetadata(imc.Metadata{Data: make([]byte, imc.MaxMetadata+1)}), unix.EINVAL)
	for n := 1; n <= imc.MaxDescs; n++ {
		must(t, a.Send(ctx, nil, list[:n]...))
		m, err := b.Receive(ctx)
		must(t, err)
		if len(m.Descs) != n || len(m.Data) != 0 {
			t.Fatal(m)
		}
		for i, d := range m.Descs {
			note := d.Metadata()
			if (note == nil) != (notes[i] == nil) || note != nil && (note.Type != notes[i].Type || !bytes.Equal(note.Data, notes[i].Data)) {
				t.Errorf("%d of %d: %v", i, n, note)
			}
			must(t, d.Close())
		}
	}
	must(t, a.Send(ctx, nil, file))
	got := one[*imc.File](t, b)
	two := make([]byte, 2)
	_, err = io.ReadFull(got, two)
	must(t, err)
	_, err = io.ReadFull(file, two)
	must(t, err)
	if string(two) != "23" {
		t.Errorf("the position is not shared: %q", two)
	}
	_, err = got.Write(two)
	want(t, err, unix.EBADF)
	must(t, got.Close())

	// Shared memory.
	mem, err := imc.NewSharedMemory(2 * imc.MapGranule)
	must(t, err)
	mine, err := mem.Map()
	must(t, err)
	defer mine.Unmap()
	must(t, a.Send(ctx, nil, mem))
	must(t, mem.Close())
	other := one[*imc.SharedMemory](t, b)
	if other.Size() != 2*imc.MapGranule || !other.Writable() {
		t.Error(other.Size(), other.Writable())
	}
	theirs, err := other.Map()
	must(t, err)
	must(t, other.Close())
	defer theirs.Unmap()
	mine.Bytes[70000] = 42
	if theirs.Bytes[70000] != 42 || theirs.Bytes[0] != 0 {
		t.Error("the views differ")
	}
}
