package libcshim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/libcshim/namespace"
)

// A guest that rewrites the header, the vector, the array and the data of a message while
// the call is in progress: what was there when it began holds, and is read once.

// running is a guest in progress.
type running struct {
	t     *testing.T
	run   *guestRun
	p     *Process
	ended chan struct{}
}

func start(t *testing.T, run *guestRun) *running {
	t.Helper()
	run.cfg.Stdout, run.cfg.Stderr = &run.stdout, &run.stderr
	p, err := NewProcess(run.cfg)
	check(t, err)
	r := &running{t, run, p, make(chan struct{})}
	go func() {
		defer close(r.ended)
		run.status, run.err = p.Run(within(t, time.Minute))
	}()
	return r
}

// waiting tells whether a thread of the guest has read its header and waits in a call on
// a descriptor.
func (r *running) waiting(fd int) bool {
	r.t.Helper()
	o, err := r.p.fds.get(fd)
	if err != nil {
		return false // the guest has ended
	}
	defer func() { check(r.t, o.release()) }()
	s := namespace.Unwrap(o.file).(*imcSocket)
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stops) > 0
}

// waits returns when it does.
func (r *running) waits(fd int) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !r.waiting(fd); time.Sleep(time.Millisecond) {
		select {
		case <-r.ended:
			r.end()
			r.t.Fatal("the guest has ended")
		default:
		}
		if time.Now().After(end) {
			r.t.Fatal("the guest does not wait")
		}
	}
}

func (r *running) end() {
	r.t.Helper()
	<-r.ended
	check(r.t, r.p.Close())
	r.run.wantOK(r.t)
}

// rewriting is a scene of rewrite.c in progress.
type rewriting struct {
	*running
	control *imc.DataSocket
}

func rewrite(t *testing.T, prog, name string, on imc.Desc) *rewriting {
	t.Helper()
	mine, theirs := imc.NewDataPair()
	r := start(t, imcScene(t, prog, name, map[int]imc.Desc{10: theirs, 11: on}))
	check(t, theirs.Close())
	return &rewriting{r, mine}
}

// now has the guest rewrite, and returns when it has.
func (r *rewriting) now() error {
	ctx := within(r.t, time.Minute)
	if err := r.control.Send(ctx, []byte("x")); err != nil {
		return err
	}
	m, err := r.control.Receive(ctx)
	if err == nil && string(m.Data) != "done" {
		err = fmt.Errorf("%q instead of done", m.Data)
	}
	return err
}

func (r *rewriting) end() {
	r.t.Helper()
	r.running.end()
	check(r.t, r.control.Close())
}

func TestIMCRewritten(t *testing.T) {
	prog := build(t, "testdata/imc/rewrite.c", "-lnacl")
	for _, tr := range []imc.Transport{imc.Memory, imc.Kernel} {
		t.Run("receive/"+tr.String(), func(t *testing.T) {
			mem, err := imc.NewSharedMemory(imc.MapGranule)
			check(t, err)
			defer mem.Close()
			x, y, err := tr.ConnectedPair()
			check(t, err)
			r := rewrite(t, prog, "receive", y)
			r.waits(11)
			check(t, r.now())
			check(t, x.Send(within(t, time.Minute), []byte("hello"), imc.Invalid, mem))
			r.end()
			check(t, x.Close())
			check(t, y.Close())
		})
		t.Run("send/"+tr.String(), func(t *testing.T) {
			x, y, err := tr.ConnectedPair()
			check(t, err)
			r := rewrite(t, prog, "send", y)
			r.waits(11)
			check(t, r.now())
			for {
				m, err := x.Receive(within(t, time.Minute))
				check(t, err)
				if len(m.Data) == 50000 {
					continue
				}
				if string(m.Data) != string(bytes.Repeat([]byte("d"), 64)) || len(m.Descs) != 1 || m.Descs[0].Kind() != imc.KindSharedMemory {
					t.Errorf("%q and %d descriptors", m.Data, len(m.Descs))
				}
				m.Close()
				break
			}
			r.end()
			check(t, x.Close())
			check(t, y.Close())
		})
		t.Run("call/"+tr.String(), func(t *testing.T) {
			acc, object, err := tr.Endpoints()
			check(t, err)
			r := rewrite(t, prog, "call", object)
			served := make(chan error, 1)
			go func() {
				served <- imc.Serve(within(t, time.Minute), acc, func(_ context.Context, data []byte, descs []imc.Desc) ([]byte, []imc.Desc, error) {
					if err := r.now(); err != nil {
						return nil, nil, err
					}
					if string(data) != string(bytes.Repeat([]byte("d"), 64)) || len(descs) != 1 || descs[0] != imc.Invalid {
						return nil, nil, unix.EILSEQ
					}
					mem, err := imc.NewSharedMemory(imc.MapGranule)
					return []byte("hello"), []imc.Desc{imc.Invalid, mem}, err
				})
			}()
			r.end()
			check(t, object.Close())
			check(t, <-served)
			check(t, acc.Close())
		})
	}
}

// TestIMCRewrittenAlways: another thread rewrites everything all the time. The host, and
// what it has open, must be as if nothing were; also with a trace, which reads messages
// once more.
func TestIMCRewrittenAlways(t *testing.T) {
	prog := build(t, "testdata/imc/rewrite.c", "-lnacl")
	before := 0
	for round := range 3 {
		acc, object := imc.NewEndpoints()
		served := make(chan error, 1)
		go func() { served <- imc.Serve(t.Context(), acc, serveGuest) }()
		mine, theirs := imc.NewDataPair()
		r := imcScene(t, prog, "flip", map[int]imc.Desc{10: theirs, 11: object})
		if round == 1 {
			r.cfg.Trace = io.Discard
		}
		go func() {
			ctx := within(t, time.Minute)
			m, err := mine.Receive(ctx) // it is ready
			if err == nil {
				err = mine.Send(ctx, m.Data)
			}
			if err == nil {
				_, err = mine.Receive(ctx) // it has rewritten
			}
			check(t, err)
		}()
		r.run(t, within(t, time.Minute))
		r.wantOK(t)
		for _, d := range []imc.Desc{mine, theirs, object} {
			check(t, d.Close())
		}
		check(t, <-served)
		check(t, acc.Close())
		switch round {
		case 0:
			before = settled(t, 0)
		case 2:
			if after := settled(t, before); after > before {
				t.Errorf("%d descriptors are open, %d were before", after, before)
			}
		}
	}
}
