package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// serve runs a gateway to e, and gives its address.
func serve(t testing.TB, e *imc.ConnectEndpoint, limits Limits) string {
	srv := httptest.NewServer(&Handler{
		Root: func(r *http.Request) (*imc.ConnectEndpoint, error) {
			if r.URL.Path == "/nobody" {
				return nil, unix.EACCES
			}
			d, err := e.Dup()
			if err != nil {
				return nil, err
			}
			return d.(*imc.ConnectEndpoint), nil
		},
		Limits: limits,
	})
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

// session connects to an endpoint of a transport through a gateway.
func session(t testing.TB, tr imc.Transport) (*imc.AcceptEndpoint, *Session) {
	acc, e, err := tr.Endpoints()
	must(t, err)
	url := serve(t, e, Limits{})
	s, err := Dial(within(t), url, Limits{})
	must(t, err)
	t.Cleanup(func() {
		must(t, s.Close())
		must(t, e.Close())
		select {
		case <-acc.Gone(): // the gateway's end of the session has let go, too
		case <-time.After(20 * time.Second):
			t.Error("the session's capability is still held")
		}
		must(t, acc.Close())
	})
	return acc, s
}

func connect(t testing.TB, acc *imc.AcceptEndpoint, e *imc.ConnectEndpoint) (client, server *imc.ConnectedSocket) {
	t.Helper()
	ctx := within(t)
	got := make(chan *imc.ConnectedSocket, 1)
	go func() {
		s, err := acc.Accept(ctx)
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	client, err := e.Connect(ctx)
	must(t, err)
	return client, <-got
}

func exchange(t testing.TB, a, b imc.Socket, data []byte) {
	t.Helper()
	ctx := within(t)
	for _, s := range [][2]imc.Socket{{a, b}, {b, a}} {
		must(t, s[0].Send(ctx, data))
		m, err := s[1].Receive(ctx)
		must(t, err)
		if !bytes.Equal(m.Data, data) || len(m.Descs) != 0 {
			t.Fatalf("received %d bytes and %d descriptors", len(m.Data), len(m.Descs))
		}
	}
}

func TestGateway(t *testing.T) {
	for _, tr := range []imc.Transport{imc.Memory, imc.Kernel} {
		t.Run(tr.String(), func(t *testing.T) {
			t.Run("messages", func(t *testing.T) {
				acc, s := session(t, tr)
				client, server := connect(t, acc, s.Root())
				for _, n := range []int{0, 1, 1000, imc.MaxData} {
					exchange(t, client, server, bytes.Repeat([]byte{7}, n))
				}
				ctx := within(t)
				for i := range 500 {
					must(t, client.Send(ctx, []byte{byte(i)}))
					if i%50 == 0 {
						time.Sleep(time.Millisecond)
					}
					if i >= 100 {
						m, err := server.Receive(ctx)
						must(t, err)
						if m.Data[0] != byte(i-100) {
							t.Fatal("out of order")
						}
					}
				}
				must(t, client.Close())
				for i := range 100 {
					m, err := server.Receive(ctx)
					must(t, err)
					if m.Data[0] != byte(i+400) {
						t.Fatal("out of order")
					}
				}
				_, err := server.Receive(ctx)
				want(t, err, io.EOF)
				must(t, server.Close())
			})
			t.Run("refused", func(t *testing.T) {
				ctx := within(t)
				acc, s := session(t, tr)
				ended := make(chan error, 1)
				go func() {
					_, err := s.Root().Connect(ctx)
					ended <- err
				}()
				r, err := acc.Next(ctx)
				must(t, err)
				r.Refuse()
				want(t, <-ended, unix.ECONNREFUSED)
			})
			t.Run("slow reader", func(t *testing.T) {
				acc, s := session(t, tr)
				client, server := connect(t, acc, s.Root())
				defer client.Close()
				defer server.Close()
				short, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
				defer cancel()
				sent := 0
				var err error
				for ; err == nil; sent++ {
					err = client.Send(short, make([]byte, 50_000))
				}
				want(t, err, context.DeadlineExceeded)
				if sent > 100 {
					t.Errorf("%d messages without a reader", sent)
				}
				// Another connection is not disturbed.
				a, b := connect(t, acc, s.Root())
				exchange(t, a, b, []byte("meanwhile"))
				must(t, a.Close())
				must(t, b.Close())
				for range sent - 1 {
					_, err := server.Receive(within(t))
					must(t, err)
				}
			})
			t.Run("capabilities", func(t *testing.T) {
				ctx := within(t)
				acc, s := session(t, tr)
				client, server := connect(t, acc, s.Root())
				defer client.Close()
				defer server.Close()
				// One of the client's goes to the server, and back to the client.
				mine, cap, err := tr.Endpoints()
				must(t, err)
				must(t, client.Send(ctx, nil, cap, imc.Invalid, cap))
				must(t, cap.Close())
				m, err := server.Receive(ctx)
				must(t, err)
				if len(m.Descs) != 3 || m.Descs[1] != imc.Invalid {
					t.Fatal(m.Descs)
				}
				theirs := m.Descs[0].(*imc.ConnectEndpoint)
				a, b := connect(t, mine, theirs)
				exchange(t, a, b, []byte("called back"))
				must(t, a.Close())
				must(t, b.Close())
				must(t, server.Send(ctx, nil, theirs))
				back, err := client.Receive(ctx)
				must(t, err)
				a, b = connect(t, mine, back.Descs[0].(*imc.ConnectEndpoint))
				exchange(t, a, b, []byte("around the corner"))
				must(t, a.Close())
				must(t, b.Close())
				back.Close()
				m.Close()
				select {
				case <-mine.Gone():
				case <-ctx.Done():
					t.Error("the other side keeps a capability")
				}
				must(t, mine.Close())
			})
			t.Run("data sockets", func(t *testing.T) {
				ctx := within(t)
				acc, s := session(t, tr)
				client, server := connect(t, acc, s.Root())
				defer client.Close()
				defer server.Close()
				x, y, err := tr.DataPair()
				must(t, err)
				must(t, x.Send(ctx, []byte("before")))
				must(t, client.Send(ctx, []byte("here"), y))
				must(t, y.Close())
				m, err := server.Receive(ctx)
				must(t, err)
				z := m.Descs[0].(*imc.DataSocket)
				got, err := z.Receive(ctx)
				must(t, err)
				if string(got.Data) != "before" {
					t.Error(string(got.Data))
				}
				exchange(t, x, z, []byte("data"))
				must(t, z.Close())
				_, err = x.Receive(ctx)
				want(t, err, io.EOF)
				must(t, x.Close())
			})
			t.Run("files and shared memory", func(t *testing.T) {
				ctx := within(t)
				acc, s := session(t, tr)
				client, server := connect(t, acc, s.Root())
				defer client.Close()
				defer server.Close()
				mem, err := imc.NewSharedMemory(imc.MapGranule)
				must(t, err)
				defer mem.Close()
				err = client.Send(ctx, nil, mem)
				want(t, err, unix.EOPNOTSUPP)
				if !strings.Contains(err.Error(), "WebSocket") {
					t.Error(err)
				}
				err = server.Send(ctx, []byte("x"), mem)
				if tr == imc.Memory {
					want(t, err, unix.EOPNOTSUPP)
					return
				}
				// The server's process can't know; what can't pass is invalid on arrival.
				must(t, err)
				m, err := client.Receive(ctx)
				must(t, err)
				if string(m.Data) != "x" || len(m.Descs) != 1 || m.Descs[0] != imc.Invalid {
					t.Error(m)
				}
			})
			t.Run("calls", func(t *testing.T) {
				ctx := within(t)
				acc, s := session(t, tr)
				serving, stop := context.WithCancel(ctx)
				done := make(chan error, 1)
				cancelled := make(chan struct{})
				go func() {
					done <- imc.Serve(serving, acc, func(ctx context.Context, data []byte, descs []imc.Desc) ([]byte, []imc.Desc, error) {
						if string(data) == "wait" {
							<-ctx.Done()
							close(cancelled)
							return nil, nil, ctx.Err()
						}
						return data, descs, nil
					})
				}()
				var wg sync.WaitGroup
				for i := range 30 {
					wg.Add(1)
					go func() {
						defer wg.Done()
						data := bytes.Repeat([]byte(fmt.Sprint(i)), 20_000)
						reply, descs, err := imc.Call(ctx, s.Root(), data, imc.Invalid)
						if err != nil || !bytes.Equal(reply, data) || len(descs) != 1 {
							t.Error(len(reply), len(descs), err)
						}
					}()
				}
				wg.Wait()
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				_, _, err := imc.Call(short, s.Root(), []byte("wait"))
				want(t, err, context.DeadlineExceeded)
				<-cancelled
				stop()
				want(t, <-done, context.Canceled)
			})
		})
	}
}

// When a session ends, everything that led through it ends.
func TestSessionEnd(t *testing.T) {
	ctx := within(t)
	acc, e := imc.NewEndpoints()
	url := serve(t, e, Limits{})
	must(t, e.Close())
	_, err := Dial(ctx, url+"/nobody", Limits{})
	if err == nil {
		t.Fatal("let in")
	}
	// The root is gone already: the first connection through it is refused.
	_ = acc.Close()

	acc, e = imc.NewEndpoints()
	url = serve(t, e, Limits{})
	s, err := Dial(ctx, url, Limits{})
	must(t, err)
	client, server := connect(t, acc, s.Root())
	mine, cap := imc.NewEndpoints()
	must(t, client.Send(ctx, nil, cap))
	must(t, cap.Close())
	m, err := server.Receive(ctx)
	must(t, err)
	pending := make(chan error, 1)
	go func() {
		_, err := s.Root().Connect(ctx)
		pending <- err
	}()
	for acc.Ready()&imc.Readable == 0 {
		time.Sleep(time.Millisecond)
	}
	must(t, s.Close())
	want(t, <-pending, unix.ECONNREFUSED)
	_, err = client.Receive(ctx)
	want(t, err, io.EOF)
	_, err = server.Receive(ctx)
	want(t, err, io.EOF)
	<-mine.Gone()
	_, err = m.Descs[0].(*imc.ConnectEndpoint).Connect(ctx)
	for err == nil || !errors.Is(err, unix.ECONNREFUSED) {
		// The server's side may not have noticed yet.
		_, err = m.Descs[0].(*imc.ConnectEndpoint).Connect(ctx)
		must(t, ctx.Err())
	}
	m.Close()
	for _, d := range []imc.Desc{client, server, mine, e} {
		must(t, d.Close())
	}
	<-acc.Gone()
	must(t, acc.Close())
}

// A client that breaks the protocol loses its session, and nothing else happens.
func TestHostileClient(t *testing.T) {
	ctx := within(t)
	acc, e := imc.NewEndpoints()
	defer acc.Close()
	defer e.Close()
	go func() {
		for {
			if _, err := acc.Accept(context.Background()); err != nil {
				return
			}
		}
	}()
	url := serve(t, e, Limits{Channels: 5, Capabilities: 5})
	f := func(list ...frame) (out [][]byte) {
		for _, x := range list {
			out = append(out, x.encode())
		}
		return out
	}
	opened := frame{kind: frameConnect, number: 0}
	for what, frames := range map[string][][]byte{
		"nonsense":                    {[]byte("nonsense")},
		"empty":                       {{}},
		"too long":                    {make([]byte, maxFrame+1)},
		"an unknown channel":          f(frame{kind: frameMessage, number: 8}),
		"the server's number":         f(frame{kind: frameConnect, number: 1}),
		"a number twice":              f(opened, opened),
		"too many channels":           f(opened, frame{kind: frameConnect, number: 2}, frame{kind: frameConnect, number: 4}, frame{kind: frameConnect, number: 6}, frame{kind: frameConnect, number: 8}, frame{kind: frameConnect, number: 10}),
		"an answer without a request": f(opened, frame{kind: frameAccept, number: 0}),
		"a message before the answer": f(opened, frame{kind: frameMessage, number: 0}, frame{kind: frameMessage, number: 2}),
		"credit":                      f(opened, frame{kind: frameCredit, number: 0, value: 1}),
		"much credit":                 f(opened, frame{kind: frameCredit, number: 0, value: 0xffffffff}),
		"closing twice":               f(opened, frame{kind: frameClose, number: 0}, frame{kind: frameClose, number: 0}),
		"dropping the root":           f(frame{kind: frameDrop, number: 0}),
		"dropping what is not there":  f(frame{kind: frameDrop, number: 3}),
		"nine descriptors":            {append([]byte{frameMessage, 0, 0, 0, 0, 9}, make([]byte, 45)...)},
		"a file":                      {{frameMessage, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0}},
	} {
		ws, _, err := websocket.Dial(ctx, url, nil)
		must(t, err)
		for _, b := range frames {
			if err := ws.Write(ctx, websocket.MessageBinary, b); err != nil {
				break
			}
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		for err = nil; err == nil; {
			_, _, err = ws.Read(short)
		}
		if short.Err() != nil {
			t.Errorf("%s: the session goes on", what)
		}
		cancel()
		_ = ws.CloseNow()
	}
	// Beyond the credit, on a channel that is accepted and not read.
	ws, _, err := websocket.Dial(ctx, url, nil)
	must(t, err)
	must(t, ws.Write(ctx, websocket.MessageBinary, opened.encode()))
	_, b, err := ws.Read(ctx)
	must(t, err)
	if b[0] != frameAccept {
		t.Fatal(b)
	}
	for err == nil {
		err = ws.Write(ctx, websocket.MessageBinary, frame{kind: frameMessage, data: make([]byte, imc.MaxData)}.encode())
	}
	must(t, ctx.Err())
	_ = ws.CloseNow()
}

func FuzzFrame(f *testing.F) {
	f.Add(frame{kind: frameMessage, number: 3, descs: []wireDesc{{descConnect, 7}, {descInvalid, 0}}, data: []byte("x")}.encode())
	f.Add(frame{kind: frameCredit, number: 3, value: 9}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeFrame(b)
		if err == nil && !bytes.Equal(x.encode(), b) {
			t.Fatalf("%v", x)
		}
	})
}

// The side of a page, run by node.
func TestScript(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: imc.js is not tested")
	}
	if out, err := exec.Command(node, "--experimental-websocket", "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)").CombinedOutput(); err != nil {
		t.Skipf("this node has no WebSocket: imc.js is not tested: %s", out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	acc, e := imc.NewEndpoints()
	url := serve(t, e, Limits{})
	served := make(chan error, 1)
	go func() {
		served <- imc.Serve(ctx, acc, func(ctx context.Context, data []byte, descs []imc.Desc) ([]byte, []imc.Desc, error) {
			switch {
			case string(data) == "fail":
				return nil, nil, fmt.Errorf("as you wish: %w", unix.EPERM)
			case string(data) == "call me":
				reply, _, err := imc.Call(ctx, descs[0].(*imc.ConnectEndpoint), bytes.Repeat([]byte("from Go "), 50_000))
				return reply, nil, err
			case string(data) == "data socket":
				s := descs[0].(*imc.DataSocket)
				m, err := s.Receive(ctx)
				if err == nil {
					err = s.Send(ctx, bytes.ToUpper(m.Data))
				}
				return nil, nil, err
			}
			return data, descs, nil
		})
	}()
	cmd := exec.CommandContext(ctx, node, "--experimental-websocket", "--no-warnings", "testdata/page.mjs", url)
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("%s%v", out, err)
	}
	must(t, e.Close())
	must(t, <-served)
	must(t, acc.Close())
}
