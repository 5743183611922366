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
