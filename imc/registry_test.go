package imc

import (
	"context"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRegistry(t *testing.T) {
	ctx := within(t)
	acc, c := NewEndpoints()
	defer acc.Close()
	r, other := NewRegistry(3), NewRegistry(0)
	defer other.Close()
	token, err := r.Register(c, 0)
	must(t, err)
	if len(token) != 32 {
		t.Error(token)
	}
	second, err := r.Register(c, 0)
	must(t, err)
	if token == second {
		t.Error("the same token twice")
	}
	got := r.Lookup(token)
	client, server := connection(t, acc, got)
	exchange(t, client, server, "by token")
	must(t, client.Close())
	must(t, server.Close())

	dead := func(token string, in *Registry) {
		t.Helper()
		e := in.Lookup(token)
		defer e.Close()
		_, err := e.Connect(ctx)
		want(t, err, unix.ECONNREFUSED)
	}
	dead(token, other) // out of its scope
	dead("", r)
	dead(token[1:], r)
	if !r.Revoke(token) || r.Revoke(token) || r.Revoke("nonsense") {
		t.Error("revoking")
	}
	dead(token, r)
	short, err := r.Register(c, 10*time.Millisecond)
	must(t, err)
	for r.Len() > 1 {
		time.Sleep(time.Millisecond)
	}
	dead(short, r)
	_, err = r.Register(c, time.Hour)
	must(t, err)
	_, err = r.Register(c, time.Hour)
	must(t, err)
	_, err = r.Register(c, time.Hour)
	want(t, err, unix.ENFILE)
	_, err = r.Register(c, -1)
	want(t, err, unix.EINVAL)

	// The registry holds the object only as long as a token is valid.
	must(t, c.Close())
	must(t, got.Close())
	select {
	case <-acc.Gone():
		t.Fatal("gone")
	default:
	}
	must(t, r.Close())
	<-acc.Gone()
	dead(second, r)
	_, err = r.Register(DeadEndpoint(), 0)
	want(t, err, unix.EBADF)
}

func TestRevocable(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			ctx := within(t)
			acc, c := w.endpoints(t)
			defer acc.Close()
			out, revoke, err := Revocable(c)
			must(t, err)
			defer out.Close()
			must(t, c.Close())
			client, server := connection(t, acc, out)
			defer client.Close()
			defer server.Close()
			exchange(t, client, server, "through the forwarder")
			revoke()
			_, err = client.Receive(ctx)
			want(t, err, io.EOF)
			_, err = server.Receive(ctx)
			want(t, err, io.EOF)
			_, err = out.Connect(ctx)
			want(t, err, unix.ECONNREFUSED)
			<-acc.Gone()
		})
	}
}

// What was sent before the end arrives, although the other direction fails first.
func TestJoinDelivers(t *testing.T) {
	ctx := within(t)
	for range 50 {
		a, near, _ := Memory.ConnectedPair()
		far, b, _ := Memory.ConnectedPair()
		for i := range 100 {
			must(t, a.Send(ctx, []byte{byte(i)}))
		}
		must(t, a.Close())
		must(t, b.Send(ctx, []byte("to nobody")))
		go Join(context.Background(), near, far)
		for i := range 100 {
			m, err := b.Receive(ctx)
			must(t, err)
			if m.Data[0] != byte(i) {
				t.Fatal(m.Data)
			}
		}
		_, err := b.Receive(ctx)
		want(t, err, io.EOF)
		must(t, b.Close())
	}
}
