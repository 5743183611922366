package imc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Serve ends only when the handlers on goroutines of callers have, and nobody gets in
// afterwards.
func TestDirectCallAndEnd(t *testing.T) {
	acc, c := NewEndpoints()
	defer c.Close()
	ctx, stop := context.WithCancel(context.Background())
	entered, leave := make(chan context.Context), make(chan bool)
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, acc, func(ctx context.Context, data []byte, _ []Desc) ([]byte, []Desc, error) {
			entered <- ctx
			<-leave
			return data, nil, ctx.Err()
		})
	}()
	called := make(chan error, 1)
	go func() {
		_, _, err := Call(context.Background(), c, []byte("x"))
		called <- err
	}()
	inside := <-entered
	stop()
	<-inside.Done()
	select {
	case <-served:
		t.Fatal("Serve has returned and a handler runs")
	case <-time.After(20 * time.Millisecond):
	}
	leave <- true
	var failed *CallError
	if err := <-called; !errors.As(err, &failed) || failed.Text != context.Canceled.Error() {
		t.Error(err)
	}
	want(t, <-served, context.Canceled)
	must(t, acc.Close())
	_, _, err := Call(context.Background(), c, nil)
	want(t, err, unix.ECONNREFUSED)
}

// A limit on calls holds for all of them.
func TestDirectCallLimit(t *testing.T) {
	acc, c := NewEndpoints()
	var now, most atomic.Int32
	served := make(chan error, 1)
	go func() {
		srv := Server{MaxCalls: 1, Handler: func(context.Context, []byte, []Desc) ([]byte, []Desc, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Millisecond)
			now.Add(-1)
			return nil, nil, nil
		}}
		served <- srv.Serve(context.Background(), acc)
	}()
	ended := make(chan error)
	for range 20 {
		go func() {
			_, _, err := Call(context.Background(), c, nil)
			ended <- err
		}()
	}
	for range 20 {
		must(t, <-ended)
	}
	if most.Load() != 1 {
		t.Errorf("%d calls at once", most.Load())
	}
	must(t, c.Close())
	must(t, <-served)
	must(t, acc.Close())
}

// A handler can call its own object, and panics reach who called.
func TestDirectCallNested(t *testing.T) {
	acc, c := NewEndpoints()
	served := make(chan error, 1)
	go func() {
		served <- Serve(context.Background(), acc, func(_ context.Context, data []byte, _ []Desc) ([]byte, []Desc, error) {
			switch {
			case string(data) == "panic":
				panic("as asked")
			case len(data) < 100:
				return first2(Call(context.Background(), c, append(data, 'x')))
			}
			return data, nil, nil
		})
	}()
	// Until the server is there the call goes over a connection.
	reply, _, err := Call(context.Background(), c, nil)
	must(t, err)
	if len(reply) != 100 {
		t.Error(len(reply))
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _, _ = Call(context.Background(), c, []byte("panic"))
	}()
	must(t, c.Close())
	must(t, <-served)
	must(t, acc.Close())
}

func first2(b []byte, d []Desc, err error) ([]byte, []Desc, error) { return b, d, err }

// What a server may have of calls counts for those without a connection, and is given
// back, whether the caller waits on its own goroutine or can leave.
func TestDirectCallBudget(t *testing.T) {
	for _, ctx := range []context.Context{context.Background(), within(t)} {
		acc, c := NewEndpoints()
		entered, release := make(chan struct{}), make(chan struct{})
		served := make(chan error, 1)
		go func() {
			srv := Server{MaxRequest: 1 << 20, MaxBytes: 1 << 20, Handler: func(_ context.Context, data []byte, _ []Desc) ([]byte, []Desc, error) {
				if len(data) > 1000 {
					entered <- struct{}{}
					<-release
				}
				return nil, nil, nil
			}}
			served <- srv.Serve(context.Background(), acc)
		}()
		waitServed(t, acc)
		for range 3 {
			ended := make(chan error)
			go func() {
				_, _, err := Call(ctx, c, make([]byte, 1<<20-10), Invalid)
				ended <- err
			}()
			<-entered
			_, _, err := Call(ctx, c, make([]byte, 11))
			want(t, err, unix.ENOBUFS)
			var failed *CallError
			if !errors.As(err, &failed) {
				t.Errorf("%v is not the server's answer", err)
			}
			_, _, err = Call(ctx, c, make([]byte, 10))
			must(t, err)
			release <- struct{}{}
			must(t, <-ended)
		}
		must(t, c.Close())
		must(t, <-served)
		must(t, acc.Close())
	}
}

// CallRoom keeps the beginning of a reply, tells how long it was, and closes the
// descriptors that it does not keep.
func TestDirectCallRoom(t *testing.T) {
	descriptors := descriptorsOf(t)
	acc, c := NewEndpoints()
	served := make(chan error, 1)
	go func() {
		served <- Serve(context.Background(), acc, func(_ context.Context, data []byte, in []Desc) ([]byte, []Desc, error) {
			return data, in, nil
		})
	}()
	waitServed(t, acc)
	mem, err := NewSharedMemory(MapGranule)
	must(t, err)
	for _, ctx := range []context.Context{context.Background(), within(t)} {
		for _, keep := range []int{0, 1, 2, 3, 100} {
			reply, size, descs, err := CallRoom(ctx, c, keep, keep, []byte("abc"), mem, Invalid, mem)
			must(t, err)
			n := min(keep, 3)
			if string(reply) != "abc"[:n] || cap(reply) > 64 || size != 3 || len(descs) != n {
				t.Errorf("room for %d: %q, %d bytes, %d descriptors", keep, reply, size, len(descs))
			}
			Message{Descs: descs}.Close()
		}
	}
	must(t, mem.Close())
	must(t, c.Close())
	must(t, <-served)
	must(t, acc.Close())
	if n := descriptorsOf(t); n > descriptors {
		t.Errorf("%d descriptors before, %d after", descriptors, n)
	}
}
