package gateway

import (
	"testing"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/imc/internal/suite"
)

// far has a WebSocket in between: the endpoint that it gives came through a session.
func far(tr imc.Transport) suite.Way {
	endpoints := func(t *testing.T) (*imc.AcceptEndpoint, *imc.ConnectEndpoint) {
		door, s := session(t, imc.Memory)
		client, server := connect(t, door, s.Root())
		defer client.Close()
		defer server.Close()
		acc, e, err := tr.Endpoints()
		must(t, err)
		ctx := within(t)
		must(t, server.Send(ctx, nil, e))
		must(t, e.Close())
		m, err := client.Receive(ctx)
		must(t, err)
		return acc, m.Descs[0].(*imc.ConnectEndpoint)
	}
	connected := func(t *testing.T) (a, b *imc.ConnectedSocket) {
		acc, c := endpoints(t)
		defer acc.Close()
		defer c.Close()
		return suite.Connect(t, acc, c)
	}
	return suite.Way{
		Name: "a WebSocket, then " + tr.String(), Async: true, NoHost: true, Endpoints: endpoints, Connected: connected,
		Data: func(t *testing.T) (a, b *imc.DataSocket) {
			x, y := connected(t)
			defer x.Close()
			defer y.Close()
			a, b, err := tr.DataPair()
			must(t, err)
			ctx := within(t)
			must(t, x.Send(ctx, nil, b))
			must(t, b.Close())
			m, err := y.Receive(ctx)
			must(t, err)
			return a, m.Descs[0].(*imc.DataSocket)
		},
	}
}

func TestSuite(t *testing.T) {
	for _, tr := range []imc.Transport{imc.Memory, imc.Kernel} {
		w := far(tr)
		t.Run(w.Name, func(t *testing.T) { suite.Run(t, w) })
	}
}
