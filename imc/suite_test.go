package imc_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/imc/internal/suite"
)

// The behaviours of all transports, over each in this process, through a move from
// memory into the kernel, and through another process. imc/gateway runs them over a
// WebSocket.

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func over(tr imc.Transport) suite.Way {
	return suite.Way{
		Name: tr.String(),
		Endpoints: func(t *testing.T) (*imc.AcceptEndpoint, *imc.ConnectEndpoint) {
			a, c, err := tr.Endpoints()
			must(t, err)
			return a, c
		},
		Connected: func(t *testing.T) (a, b *imc.ConnectedSocket) {
			a, b, err := tr.ConnectedPair()
			must(t, err)
			return a, b
		},
		Data: func(t *testing.T) (a, b *imc.DataSocket) {
			a, b, err := tr.DataPair()
			must(t, err)
			return a, b
		},
	}
}

// moved makes everything in memory and has it move into the kernel.
func moved() suite.Way {
	return suite.Way{
		Name: "moved",
		Endpoints: func(t *testing.T) (*imc.AcceptEndpoint, *imc.ConnectEndpoint) {
			a, c := imc.NewEndpoints()
			f, err := c.File()
			must(t, err)
			must(t, c.Close())
			c, err = imc.NewConnectEndpoint(f)
			must(t, err)
			return a, c
		},
		Connected: func(t *testing.T) (a, b *imc.ConnectedSocket) {
			a, b, err := imc.Memory.ConnectedPair()
			must(t, err)
			f, err := b.File()
			must(t, err)
			must(t, b.Close())
			b, err = imc.NewConnectedSocket(f)
			must(t, err)
			return a, b
		},
		Data: func(t *testing.T) (a, b *imc.DataSocket) {
			a, b = imc.NewDataPair()
			f, err := b.File()
			must(t, err)
			must(t, b.Close())
			b, err = imc.NewDataSocket(f)
			must(t, err)
			return a, b
		},
	}
}

// relayed has another process in between, which passes on connections.
func relayed() suite.Way {
	endpoints := func(t *testing.T) (*imc.AcceptEndpoint, *imc.ConnectEndpoint) {
		acc, target := imc.NewEndpoints()
		relay, c, err := imc.Kernel.Endpoints()
		must(t, err)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "HALITE_IMC_CHILD=relay/2")
		cmd.Stderr = os.Stderr
		for _, e := range []interface{ File() (*os.File, error) }{target, relay} {
			f, err := e.File()
			must(t, err)
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
		must(t, target.Close())
		must(t, relay.Close())
		must(t, cmd.Start())
		for _, f := range cmd.ExtraFiles {
			must(t, f.Close())
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return acc, c
	}
	connected := func(t *testing.T) (a, b *imc.ConnectedSocket) {
		acc, c := endpoints(t)
		a, b = suite.Connect(t, acc, c)
		must(t, acc.Close())
		must(t, c.Close())
		return a, b
	}
	return suite.Way{
		Name: "through another process", Async: true, Endpoints: endpoints, Connected: connected,
		Data: func(t *testing.T) (a, b *imc.DataSocket) {
			x, y := connected(t)
			defer x.Close()
			defer y.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			a, b = imc.NewDataPair()
			must(t, x.Send(ctx, nil, b))
			must(t, b.Close())
			m, err := y.Receive(ctx)
			must(t, err)
			return a, m.Descs[0].(*imc.DataSocket)
		},
	}
}

func TestSuite(t *testing.T) {
	for _, w := range []suite.Way{over(imc.Memory), over(imc.Kernel), moved(), relayed()} {
		t.Run(w.Name, func(t *testing.T) { suite.Run(t, w) })
	}
}
