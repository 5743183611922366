package imc_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/halite-run/halite/imc"
)

// An object that turns its callers' data into capitals, until nobody can call it.
func ExampleServe() {
	ctx := context.Background()
	acc, object := imc.NewEndpoints()
	done := make(chan error)
	go func() {
		done <- imc.Serve(ctx, acc, func(_ context.Context, data []byte, _ []imc.Desc) ([]byte, []imc.Desc, error) {
			return bytes.ToUpper(data), nil, nil
		})
	}()
	reply, _, err := imc.Call(ctx, object, []byte("hello"))
	fmt.Printf("%s %v\n", reply, err)
	_ = object.Close()
	fmt.Println(<-done)
	_ = acc.Close()
	// Output:
	// HELLO <nil>
	// <nil>
}

// A capability goes in a message, and whoever receives it can use it.
func ExampleConnectedSocket_Send() {
	ctx := context.Background()
	acc, object := imc.NewEndpoints()
	a, b, _ := imc.Kernel.ConnectedPair() // b could be in another process
	_ = a.Send(ctx, []byte("use this"), object)
	_ = object.Close() // the message has its own

	m, _ := b.Receive(ctx)
	fmt.Printf("%s: %s\n", m.Data, m.Descs[0].Kind())
	go func() {
		s, _ := acc.Accept(ctx)
		_ = s.Send(ctx, []byte("welcome"))
		_ = s.Close()
	}()
	s, _ := m.Descs[0].(*imc.ConnectEndpoint).Connect(ctx)
	got, _ := s.Receive(ctx)
	fmt.Printf("%s\n", got.Data)

	for _, d := range []imc.Desc{s, m.Descs[0], a, b, acc} {
		_ = d.Close()
	}
	// Output:
	// use this: a connect endpoint
	// welcome
}

// A token stands for an endpoint where only text can be passed.
func ExampleRegistry() {
	acc, object := imc.NewEndpoints()
	defer acc.Close()
	r := imc.NewRegistry(0)
	token, _ := r.Register(object, time.Hour)
	_ = object.Close()

	r.Revoke(token)
	e := r.Lookup(token)
	_, err := e.Connect(context.Background())
	fmt.Println(err)
	// Output: imc: connect on a connect endpoint: nobody can accept: the accepting end is closed (connection refused)
}
