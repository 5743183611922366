package imc

import (
	"context"
	"errors"
	"testing"
	"time"
)

// way makes endpoints of one kind of reach.
type way struct {
	name      string
	endpoints func(t *testing.T) (*AcceptEndpoint, *ConnectEndpoint)
	connected func(t *testing.T) (a, b *ConnectedSocket)
	data      func(t *testing.T) (a, b *DataSocket)
}

func over(tr Transport) way {
	return way{
		tr.String(),
		func(t *testing.T) (*AcceptEndpoint, *ConnectEndpoint) {
			a, c, err := tr.Endpoints()
			must(t, err)
			return a, c
		},
		func(t *testing.T) (a, b *ConnectedSocket) {
			a, b, err := tr.ConnectedPair()
			must(t, err)
			return a, b
		},
		func(t *testing.T) (a, b *DataSocket) {
			a, b, err := tr.DataPair()
			must(t, err)
			return a, b
		},
	}
}

// moved makes everything in memory and has it move into the kernel.
var moved = way{
	"moved",
	func(t *testing.T) (*AcceptEndpoint, *ConnectEndpoint) {
		a, c := NewEndpoints()
		f, err := c.File()
		must(t, err)
		must(t, c.Close())
		c, err = NewConnectEndpoint(f)
		must(t, err)
		return a, c
	},
	func(t *testing.T) (a, b *ConnectedSocket) {
		a, b, err := Memory.ConnectedPair()
		must(t, err)
		f, err := b.File()
		must(t, err)
		must(t, b.Close())
		b, err = NewConnectedSocket(f)
		must(t, err)
		return a, b
	},
	func(t *testing.T) (a, b *DataSocket) {
		a, b = NewDataPair()
		x, y, err := Kernel.ConnectedPair()
		must(t, err)
		defer x.Close()
		defer y.Close()
		must(t, x.Send(context.Background(), nil, b))
		must(t, b.Close())
		return a, one[*DataSocket](t, y)
	},
}

var ways = []way{over(Memory), over(Kernel), moved}

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
func one[D Desc](t testing.TB, s *ConnectedSocket) D {
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

// connection connects through a pair.
func connection(t testing.TB, acc *AcceptEndpoint, c *ConnectEndpoint) (client, server *ConnectedSocket) {
	t.Helper()
	ctx := within(t)
	got := make(chan *ConnectedSocket, 1)
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

func exchange(t testing.TB, a, b Socket, data string) {
	t.Helper()
	ctx := within(t)
	for _, s := range [][2]Socket{{a, b}, {b, a}} {
		must(t, s[0].Send(ctx, []byte(data)))
		m, err := s[1].Receive(ctx)
		must(t, err)
		if string(m.Data) != data || len(m.Descs) != 0 {
			t.Fatalf("received %d bytes and %d descriptors", len(m.Data), len(m.Descs))
		}
	}
}
