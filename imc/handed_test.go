package imc

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A caller that can cancel leaves a handler that does not look at its context; the
// handler's context ends, what it answers is closed, and Serve waits for it.
func TestHandedCallLeft(t *testing.T) {
	descriptors := descriptorsOf(t)
	acc, c := NewEndpoints()
	entered, release, over := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	var handlers sync.WaitGroup
	served := make(chan error, 1)
	go func() {
		served <- Serve(context.Background(), acc, func(ctx context.Context, _ []byte, in []Desc) ([]byte, []Desc, error) {
			handlers.Add(1)
			defer handlers.Done()
			entered <- struct{}{}
			<-release
			<-ctx.Done()
			over <- ctx.Err()
			f, err := os.Open("/dev/null")
			if err != nil {
				return nil, nil, err
			}
			defer f.Close()
			out, err := NewFile(f)
			return nil, append([]Desc{out}, dupOf(in[0])), err
		})
	}()
	waitServed(t, acc)
	f, err := os.Open("/dev/null")
	must(t, err)
	file, err := NewFile(f)
	must(t, err)
	must(t, f.Close())
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() {
		_, _, err := Call(ctx, c, []byte("x"), file)
		left <- err
	}()
	<-entered
	cancel()
	want(t, <-left, context.Canceled)
	must(t, c.Close()) // nobody can call any more
	select {
	case err := <-served:
		t.Fatalf("Serve returned %v before the handler", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	want(t, <-over, context.Canceled)
	must(t, <-served)
	handlers.Wait()
	must(t, file.Close())
	must(t, acc.Close())
	if n := descriptorsOf(t); n > descriptors {
		t.Errorf("%d descriptors before, %d after", descriptors, n)
	}
}

func dupOf(d Desc) Desc {
	c, err := d.Dup()
	if err != nil {
		return Invalid
	}
	return c
}

// waitServed waits until calls need no connection.
func waitServed(t *testing.T, acc *AcceptEndpoint) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		acc.a.mu.Lock()
		there := acc.a.serving != nil
		acc.a.mu.Unlock()
		if there {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nobody serves")
		}
	}
}

// A deadline is one too, a context that has ended calls nobody, and the server's end
// reaches handlers that run for callers.
func TestHandedCallEnds(t *testing.T) {
	acc, c := NewEndpoints()
	entered := make(chan struct{}, 1)
	serverCtx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- Serve(serverCtx, acc, func(ctx context.Context, data []byte, _ []Desc) ([]byte, []Desc, error) {
			if ctx.Err() != nil {
				return nil, nil, errors.New("the context has ended before the call")
			}
			if string(data) == "goexit" {
				runtime.Goexit()
			}
			entered <- struct{}{}
			<-ctx.Done()
			return []byte("stopped"), nil, nil
		})
	}()
	waitServed(t, acc)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	_, _, err := Call(ctx, c, nil)
	want(t, err, context.DeadlineExceeded)
	<-entered
	_, _, err = Call(ctx, c, nil)
	want(t, err, context.DeadlineExceeded)
	cancel()
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	// A handler that ends its goroutine takes nobody with it.
	_, _, err = Call(ctx, c, []byte("goexit"))
	want(t, err, unix.ECONNRESET)
	answered := make(chan []byte, 1)
	go func() {
		reply, _, err := Call(ctx, c, nil)
		if err != nil {
			t.Error(err)
		}
		answered <- reply
	}()
	<-entered
	stop()
	if got := <-answered; string(got) != "stopped" {
		t.Errorf("%q", got)
	}
	want(t, <-served, context.Canceled)
	must(t, c.Close())
	must(t, acc.Close())
}

// Many callers, of whom some give up at any moment, while the server is stopped: each
// call has one answer or its context's error, and no goroutine is left.
func TestHandedCallChurn(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		acc, c := NewEndpoints()
		serverCtx, stop := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() {
			served <- Serve(serverCtx, acc, func(_ context.Context, data []byte, in []Desc) ([]byte, []Desc, error) {
				return data, in, nil
			})
		}()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for n := range 200 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n%20)*10*time.Microsecond)
					x, y := NewDataPair()
					reply, descs, err := Call(ctx, c, []byte{byte(i), byte(n)}, x)
					switch {
					case err == nil:
						if len(reply) != 2 || reply[0] != byte(i) || reply[1] != byte(n) || len(descs) != 1 {
							t.Errorf("%d of %d got %v", n, i, reply)
						}
					case serverCtx.Err() == nil && !errors.Is(err, context.DeadlineExceeded):
						t.Error(err)
					}
					Message{Descs: descs}.Close()
					must(t, x.Close())
					// Whoever had the other end has closed it, or does at once.
					if _, err := y.Receive(within(t)); err == nil {
						t.Error("a message from nowhere")
					}
					must(t, y.Close())
					cancel()
					if i == 0 && n == 150 {
						stop()
						_ = acc.Close()
					}
				}
			})
		}
		wg.Wait()
		stop()
		<-served
		must(t, c.Close())
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
}
