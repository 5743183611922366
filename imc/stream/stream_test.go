package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// An HTTP server lingers half a second after it has closed a connection.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// way is a transport.
type way struct {
	name string
	imc.Transport
}

var ways = []way{{"memory", imc.Memory}, {"kernel", imc.Kernel}}

func (w way) data(t *testing.T) (a, b *imc.DataSocket) {
	a, b, err := w.DataPair()
	must(t, err)
	return a, b
}

func (w way) endpoints(t *testing.T) (*imc.AcceptEndpoint, *imc.ConnectEndpoint) {
	acc, c, err := w.Endpoints()
	must(t, err)
	return acc, c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%v, want %v", err, target)
	}
}

func TestStream(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			x, y := w.data(t)
			a, b := NewConn(x), NewConn(y)
			data := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
			go func() {
				_, err := a.Write(data)
				if err != nil {
					t.Error(err)
				}
				a.Close()
			}()
			got, err := io.ReadAll(b)
			must(t, err)
			if !bytes.Equal(got, data) {
				t.Errorf("%d bytes, want %d", len(got), len(data))
			}
			_, err = b.Write([]byte("x"))
			want(t, err, unix.EPIPE)
			must(t, b.Close())
			want(t, b.Close(), net.ErrClosed)
			_, err = b.Read(make([]byte, 1))
			want(t, err, net.ErrClosed)
		})
	}
}

func TestStreamDeadline(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			x, y := w.data(t)
			a, b := NewConn(x), NewConn(y)
			defer a.Close()
			defer b.Close()
			buf := make([]byte, 10)
			must(t, a.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
			_, err := a.Read(buf)
			want(t, err, os.ErrDeadlineExceeded)
			_, err = a.Read(buf)
			want(t, err, os.ErrDeadlineExceeded)
			must(t, a.SetReadDeadline(time.Now().Add(time.Minute)))
			ended := make(chan error)
			go func() { _, err := a.Read(buf); ended <- err }()
			time.Sleep(5 * time.Millisecond)
			must(t, a.SetReadDeadline(time.Now().Add(-1)))
			want(t, <-ended, os.ErrDeadlineExceeded)
			must(t, a.SetReadDeadline(time.Time{}))
			_, err = b.Write([]byte("hello"))
			must(t, err)
			n, err := a.Read(buf[:2])
			must(t, err)
			m, err := a.Read(buf[n:])
			must(t, err)
			if string(buf[:n+m]) != "hello" {
				t.Error(string(buf[:n+m]))
			}
			must(t, b.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
			for err = nil; err == nil; {
				_, err = b.Write(make([]byte, 1000))
			}
			want(t, err, os.ErrDeadlineExceeded)
		})
	}
}

// Packages that want a network work over capabilities.
func TestListener(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			acc, c := w.endpoints(t)
			l := NewListener(acc)
			served := make(chan error)
			srv := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
			})}
			go func() { served <- srv.Serve(l) }()
			tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, c) }}
			body := bytes.Repeat([]byte("x"), 300_000)
			for range 3 {
				r, err := (&http.Client{Transport: tr}).Post("http://object/", "text/plain", bytes.NewReader(body))
				must(t, err)
				got, err := io.ReadAll(r.Body)
				must(t, err)
				r.Body.Close()
				if !bytes.Equal(got, body) {
					t.Error(len(got))
				}
			}
			tr.CloseIdleConnections()
			must(t, c.Close())
			if err := <-served; !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			must(t, srv.Close())
		})
	}
}
