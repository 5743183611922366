package libcshim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/halite-run/halite/imc"
)

func objectsGuest(t testing.TB) string { return build(t, "testdata/imc/objects.c", "-lnacl") }

// imcWay is a way from one guest to somebody else in this process.
type imcWay struct {
	name  string
	tr    imc.Transport
	moved bool // from memory into the kernel
}

var imcWays = []imcWay{{"memory", imc.Memory, false}, {"kernel", imc.Kernel, false}, {"moved", imc.Memory, true}}

func (w imcWay) endpoints(t *testing.T) (*imc.AcceptEndpoint, *imc.ConnectEndpoint) {
	acc, object, err := w.tr.Endpoints()
	check(t, err)
	if w.moved {
		f, err := object.File()
		check(t, err)
		check(t, object.Close())
		object, err = imc.NewConnectEndpoint(f)
		check(t, err)
	}
	return acc, object
}

func (w imcWay) connected(t *testing.T) (x, y *imc.ConnectedSocket) {
	x, y, err := w.tr.ConnectedPair()
	check(t, err)
	if w.moved {
		f, err := y.File()
		check(t, err)
		check(t, y.Close())
		y, err = imc.NewConnectedSocket(f)
		check(t, err)
	}
	return x, y
}

func (w imcWay) data(t *testing.T) (x, y *imc.DataSocket) {
	x, y, err := w.tr.DataPair()
	check(t, err)
	if w.moved {
		f, err := y.File()
		check(t, err)
		check(t, y.Close())
		y, err = imc.NewDataSocket(f)
		check(t, err)
	}
	return x, y
}

// objectRun starts a scene of objects.c.
func objectRun(t testing.TB, prog, name string, descs map[int]imc.Desc) (r *guestRun, ended chan struct{}) {
	t.Helper()
	r, ended = imcScene(t, prog, name, descs), make(chan struct{})
	go func() {
		defer close(ended)
		r.run(t, within(t, 2*time.Minute))
	}()
	return r, ended
}

// TestIMCObjects: guests that call an object, of the host and of another guest, with
// messages of all sizes, several at once; and the host does, too.
func TestIMCObjects(t *testing.T) {
	prog := objectsGuest(t)
	for _, w := range imcWays {
		for _, guest := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the guest serves: %v", w.name, guest), func(t *testing.T) {
				acc, object := w.endpoints(t)
				var server *guestRun
				served := make(chan struct{})
				if guest {
					server, served = objectRun(t, prog, "serve", map[int]imc.Desc{10: acc})
				} else {
					go func() {
						defer close(served)
						check(t, imc.Serve(t.Context(), acc, serveGuest))
					}()
				}
				callers(t, prog, object)
				check(t, object.Close())
				<-served
				if guest {
					server.wantOK(t)
				}
				check(t, acc.Close())
			})
		}
	}
}

// callers call an object from two guests and from here.
func callers(t *testing.T, prog string, object *imc.ConnectEndpoint) {
	t.Helper()
	x, xEnded := objectRun(t, prog, "caller", map[int]imc.Desc{11: object})
	y, yEnded := objectRun(t, prog, "caller", map[int]imc.Desc{11: object})
	q := bytes.Repeat([]byte("abc"), 1<<20)
	var descs []imc.Desc
	for range 20 { // more than a message has
		descs = append(descs, imc.Invalid, object)
	}
	a, back, err := imc.Call(within(t, time.Minute), object, q, descs...)
	if err != nil || !bytes.Equal(a, bytes.ToUpper(q)) || len(back) != len(descs) {
		t.Errorf("%d bytes and %d descriptors, %v", len(a), len(back), err)
	}
	imc.Message{Descs: back}.Close()
	<-xEnded
	<-yEnded
	x.wantOK(t)
	y.wantOK(t)
}

// TestIMCObjectsProcess: the guest that serves is in another process.
func TestIMCObjectsProcess(t *testing.T) {
	if prog := os.Getenv("HALITE_TEST_IMC_GUEST"); prog != "" {
		acc, err := imc.NewAcceptEndpoint(os.NewFile(3, "acc"))
		check(t, err)
		server, ended := objectRun(t, prog, "serve", map[int]imc.Desc{10: acc})
		<-ended
		server.wantOK(t)
		return
	}
	prog := objectsGuest(t)
	acc, object, err := imc.Kernel.Endpoints()
	check(t, err)
	f, err := acc.File()
	check(t, err)
	child := exec.CommandContext(within(t, 2*time.Minute), os.Args[0], "-test.run=^TestIMCObjectsProcess$")
	child.Env = append(os.Environ(), "HALITE_TEST_IMC_GUEST="+prog)
	child.ExtraFiles = []*os.File{f}
	child.Stderr = os.Stderr
	check(t, child.Start())
	check(t, f.Close())
	check(t, acc.Close())
	callers(t, prog, object)
	check(t, object.Close()) // the server learns that nobody is left, and ends
	check(t, child.Wait())
}

// TestIMCBroken: objects that answer nonsense, or nothing, and callers that are told.
func TestIMCBroken(t *testing.T) {
	prog := objectsGuest(t)
	for _, w := range imcWays {
		t.Run(w.name, func(t *testing.T) {
			acc, object := w.endpoints(t)
			server, served := objectRun(t, prog, "broken", map[int]imc.Desc{10: acc})
			caller, ended := objectRun(t, prog, "unlucky", map[int]imc.Desc{11: object})
			<-ended
			<-served
			caller.wantOK(t)
			server.wantOK(t)
			// The guest that served is gone, and the host, which also could, goes now.
			late, lateEnded := objectRun(t, prog, "refused", map[int]imc.Desc{11: object})
			check(t, acc.Close())
			<-lateEnded
			late.wantOK(t)
			check(t, object.Close())
		})
	}
}

// TestIMCServerEnds: the domain that has accepted calls is ended; nobody waits for ever.
func TestIMCServerEnds(t *testing.T) {
	prog := objectsGuest(t)
	for _, w := range imcWays {
		t.Run(w.name, func(t *testing.T) {
			acc, object := w.endpoints(t)
			ctx, end := context.WithCancel(within(t, time.Minute))
			server := imcScene(t, prog, "mute", map[int]imc.Desc{10: acc})
			accepted, told := io.Pipe()
			server.cfg.Stdout = told
			served := make(chan struct{})
			go func() {
				defer close(served)
				server.run(t, ctx)
			}()
			caller, ended := objectRun(t, prog, "reset", map[int]imc.Desc{11: object})
			_, err := io.ReadFull(accepted, make([]byte, 4)) // it has all of the calls
			check(t, err)
			check(t, acc.Close())
			end()
			<-served
			<-ended
			caller.wantOK(t)
			check(t, object.Close())
		})
	}
}

// TestIMCClosing: threads of a guest wait while what they wait on is closed.
func TestIMCClosing(t *testing.T) {
	r, ended := objectRun(t, objectsGuest(t), "closing", nil)
	<-ended
	r.wantOK(t)
}

// BenchmarkIMCCall: calls of a guest, on an object of the host and on one of another guest.
func BenchmarkIMCCall(b *testing.B) {
	prog := objectsGuest(b)
	calls := func(b *testing.B, object imc.Desc) {
		const rounds = 100_000
		n := 0
		for b.Loop() {
			r := imcScene(b, prog, "bench", map[int]imc.Desc{11: object})
			r.cfg.Args = append(r.cfg.Args, strconv.Itoa(rounds))
			r.run(b, context.Background())
			r.wantOK(b)
			n += rounds
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/call")
	}
	b.Run("host", func(b *testing.B) {
		acc, object := imc.NewEndpoints()
		served := make(chan error, 1)
		go func() {
			served <- imc.Serve(context.Background(), acc, func(_ context.Context, data []byte, _ []imc.Desc) ([]byte, []imc.Desc, error) {
				return data, nil, nil
			})
		}()
		calls(b, object)
		check(b, object.Close())
		check(b, <-served)
		check(b, acc.Close())
	})
	for _, scene := range []string{"serve", "plain"} {
		b.Run("guest/"+scene, func(b *testing.B) {
			acc, object := imc.NewEndpoints()
			server, ended := objectRun(b, prog, scene, map[int]imc.Desc{10: acc})
			calls(b, object)
			check(b, object.Close())
			<-ended
			server.wantOK(b)
			check(b, acc.Close())
		})
	}
}
