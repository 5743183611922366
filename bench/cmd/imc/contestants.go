package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/rpc"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/test/bufconn"

	"github.com/halite-run/halite/bench"
	"github.com/halite-run/halite/imc"
)

const small, large = 64, 64 << 10

var lines = []bench.Line{
	{Name: "a message of 64 bytes, in the process", Target: "≤ 300 ns", Start: []func() (*bench.Contestant, error){messageMemory, messageChannel}},
	{Name: "a round trip of 64 bytes, in the process", Target: "", Start: []func() (*bench.Contestant, error){pingMemory, pingChannel}},
	{Name: "a call of 64 bytes, in the process", Target: "≤ 1 µs", Start: []func() (*bench.Contestant, error){callMemory, rpcMemory, grpcMemory}},
	{Name: "a call of 64 bytes that can be cancelled, in the process", Target: "≤ 1 µs", Start: []func() (*bench.Contestant, error){callCancellable, grpcCancellable}},
	{Name: "a round trip of 64 bytes, to another process", Target: "≤ 1.3 times the raw one", Anew: true, Start: []func() (*bench.Contestant, error){pingConnection(small), pingRaw(small)}},
	{Name: "the same on a data socket that was given to it", Target: "", Anew: true, Start: []func() (*bench.Contestant, error){pingKernel(small), pingRaw(small)}},
	{Name: "a round trip of 64 KiB, to another process", Target: "", Anew: true, Start: []func() (*bench.Contestant, error){pingConnection(large), pingRaw(large)}},
	{Name: "a call of 64 bytes, to another process", Target: "", Anew: true, Start: []func() (*bench.Contestant, error){callKernel, rpcKernel, grpcKernel}},
}

var children = map[string]func(f *os.File) error{
	"ping": func(f *os.File) error {
		s, err := imc.NewDataSocket(f)
		if err != nil {
			return err
		}
		return echo(s)
	},
	"connection": func(f *os.File) error {
		acc, err := imc.NewAcceptEndpoint(f)
		if err != nil {
			return err
		}
		s, err := acc.Accept(ctx)
		if err != nil {
			return err
		}
		return echo(s)
	},
	"raw": bench.Echo,
	"call": func(f *os.File) error {
		acc, err := imc.NewAcceptEndpoint(f)
		if err != nil {
			return err
		}
		return imc.Serve(context.Background(), acc, handler)
	},
	"rpc": func(f *os.File) error {
		c, err := net.FileConn(f)
		if err != nil {
			return err
		}
		rpcServer().ServeConn(c)
		return nil
	},
	"grpc": func(f *os.File) error {
		c, err := net.FileConn(f)
		if err != nil {
			return err
		}
		l := &oneConn{c: make(chan net.Conn, 1)}
		l.c <- c
		return grpcServer().Serve(l)
	},
}

var ctx = context.Background()

func handler(_ context.Context, data []byte, _ []imc.Desc) ([]byte, []imc.Desc, error) {
	return data, nil, nil
}

func echo(s imc.Socket) error {
	buf := make([]byte, large)
	for {
		n, _, err := s.ReceiveInto(ctx, buf)
		if err == nil {
			err = s.Send(ctx, buf[:n])
		}
		if err != nil {
			return err
		}
	}
}

var errShort = errors.New("the answer is not what was sent")

// In the process.

func messageMemory() (*bench.Contestant, error) {
	x, y := imc.NewDataPair()
	data := make([]byte, small)
	return &bench.Contestant{Name: "imc", Close: func() { x.Close(); y.Close() }, Run: func(n int) error {
		done := make(chan error)
		go func() {
			for range n {
				if _, err := y.Receive(ctx); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for range n {
			if err := x.Send(ctx, data); err != nil {
				return err
			}
		}
		return <-done
	}}, nil
}

func messageChannel() (*bench.Contestant, error) {
	ch := make(chan []byte, 128)
	data := make([]byte, small)
	return &bench.Contestant{Name: "a Go channel of copies", Close: func() {}, Run: func(n int) error {
		done := make(chan bool)
		go func() {
			for range n {
				<-ch
			}
			close(done)
		}()
		for range n {
			ch <- append([]byte(nil), data...)
		}
		<-done
		return nil
	}}, nil
}

func ping(s imc.Socket, size int) func(n int) error {
	data, buf := make([]byte, size), make([]byte, size)
	return func(n int) error {
		for range n {
			if err := s.Send(ctx, data); err != nil {
				return err
			}
			got, _, err := s.ReceiveInto(ctx, buf)
			if err != nil {
				return err
			}
			if got != size {
				return errShort
			}
		}
		return nil
	}
}

func pingMemory() (*bench.Contestant, error) {
	x, y := imc.NewDataPair()
	go echo(y)
	return &bench.Contestant{Name: "imc", Close: func() { x.Close() }, Run: ping(x, small)}, nil
}

func pingChannel() (*bench.Contestant, error) {
	x, y := make(chan []byte, 1), make(chan []byte, 1)
	go func() {
		for v := range x {
			y <- append([]byte(nil), v...)
		}
		close(y)
	}()
	data := make([]byte, small)
	return &bench.Contestant{Name: "two Go channels of copies", Close: func() { close(x) }, Run: func(n int) error {
		for range n {
			x <- append([]byte(nil), data...)
			if len(<-y) != small {
				return errShort
			}
		}
		return nil
	}}, nil
}

func call(ctx context.Context, c *imc.ConnectEndpoint) func(n int) error {
	data := make([]byte, small)
	return func(n int) error {
		for range n {
			reply, _, err := imc.Call(ctx, c, data)
			if err != nil {
				return err
			}
			if len(reply) != small {
				return errShort
			}
		}
		return nil
	}
}

func callMemory() (*bench.Contestant, error) {
	acc, c := imc.NewEndpoints()
	go imc.Serve(ctx, acc, handler)
	return &bench.Contestant{Name: "imc", Close: func() { c.Close() }, Run: call(ctx, c)}, nil
}

// cancellable has every call of a run wait for one context.
func cancellable() (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }

func callCancellable() (*bench.Contestant, error) {
	acc, c := imc.NewEndpoints()
	go imc.Serve(ctx, acc, handler)
	ctx, cancel := cancellable()
	return &bench.Contestant{Name: "imc", Close: func() { cancel(); c.Close() }, Run: call(ctx, c)}, nil
}

// Echo is the service of net/rpc.
type Echo struct{}

func (Echo) Call(data []byte, reply *[]byte) error {
	*reply = data
	return nil
}

func rpcServer() *rpc.Server {
	s := rpc.NewServer()
	if err := s.Register(Echo{}); err != nil {
		panic(err)
	}
	return s
}

func rpcCall(c *rpc.Client) func(n int) error {
	data := make([]byte, small)
	return func(n int) error {
		for range n {
			var reply []byte
			if err := c.Call("Echo.Call", data, &reply); err != nil {
				return err
			}
			if len(reply) != small {
				return errShort
			}
		}
		return nil
	}
}

func rpcMemory() (*bench.Contestant, error) {
	a, b := net.Pipe()
	go rpcServer().ServeConn(b)
	c := rpc.NewClient(a)
	return &bench.Contestant{Name: "net/rpc over net.Pipe", Close: func() { c.Close() }, Run: rpcCall(c)}, nil
}

// rawCodec passes bytes on, so that no encoding is measured.
type rawCodec struct{}

func (rawCodec) Name() string                  { return "raw" }
func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), b...)
	return nil
}

func init() { encoding.RegisterCodec(rawCodec{}) }

func grpcServer() *grpc.Server {
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Call",
		Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var b []byte
			err := dec(&b)
			return &b, err
		},
	}}}, Echo{})
	return s
}

func grpcCall(ctx context.Context, c *grpc.ClientConn) func(n int) error {
	data := make([]byte, small)
	return func(n int) error {
		for range n {
			var reply []byte
			if err := c.Invoke(ctx, "/Echo/Call", &data, &reply, grpc.CallContentSubtype("raw")); err != nil {
				return err
			}
			if len(reply) != small {
				return errShort
			}
		}
		return nil
	}
}

func grpcClient(dial func() (net.Conn, error)) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///echo", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return dial() }))
}

func grpcMemory() (*bench.Contestant, error) { return grpcIn(ctx, func() {}) }

func grpcCancellable() (*bench.Contestant, error) { return grpcIn(cancellable()) }

func grpcIn(ctx context.Context, cancel func()) (*bench.Contestant, error) {
	l := bufconn.Listen(1 << 20)
	s := grpcServer()
	go s.Serve(l)
	c, err := grpcClient(l.Dial)
	if err != nil {
		return nil, err
	}
	return &bench.Contestant{Name: "gRPC over bufconn", Close: func() { cancel(); c.Close(); s.Stop() }, Run: grpcCall(ctx, c)}, nil
}

// To another process.

func pingKernel(size int) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		x, y, err := imc.Kernel.DataPair()
		if err != nil {
			return nil, err
		}
		f, err := y.File()
		if err != nil {
			return nil, err
		}
		_ = y.Close()
		cmd, err := bench.Spawn("ping", f)
		if err != nil {
			return nil, err
		}
		return &bench.Contestant{Name: "imc", PID: cmd.Process.Pid, Close: func() { x.Close(); _ = cmd.Wait() }, Run: ping(x, size)}, nil
	}
}

func pingConnection(size int) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		acc, c, err := imc.Kernel.Endpoints()
		if err != nil {
			return nil, err
		}
		defer c.Close()
		f, err := acc.File()
		if err != nil {
			return nil, err
		}
		_ = acc.Close()
		cmd, err := bench.Spawn("connection", f)
		if err != nil {
			return nil, err
		}
		x, err := c.Connect(ctx)
		if err != nil {
			return nil, err
		}
		return &bench.Contestant{Name: "imc", PID: cmd.Process.Pid, Close: func() { x.Close(); _ = cmd.Wait() }, Run: ping(x, size)}, nil
	}
}

func pingRaw(size int) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		return bench.Ping("a raw socket pair, read and write", "raw", unix.SOCK_SEQPACKET, size)
	}
}

func callKernel() (*bench.Contestant, error) {
	acc, c, err := imc.Kernel.Endpoints()
	if err != nil {
		return nil, err
	}
	f, err := acc.File()
	if err != nil {
		return nil, err
	}
	_ = acc.Close()
	cmd, err := bench.Spawn("call", f)
	if err != nil {
		return nil, err
	}
	return &bench.Contestant{Name: "imc", PID: cmd.Process.Pid, Close: func() { c.Close(); _ = cmd.Wait() }, Run: call(ctx, c)}, nil
}

// stream starts a child that serves one connection.
func stream(name string) (conn net.Conn, pid int, wait func(), err error) {
	a, b, err := bench.SocketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, 0, nil, err
	}
	defer a.Close()
	cmd, err := bench.Spawn(name, b)
	if err != nil {
		return nil, 0, nil, err
	}
	conn, err = net.FileConn(a)
	return conn, cmd.Process.Pid, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, err
}

func rpcKernel() (*bench.Contestant, error) {
	conn, pid, wait, err := stream("rpc")
	if err != nil {
		return nil, err
	}
	c := rpc.NewClient(conn)
	return &bench.Contestant{Name: "net/rpc, on one connection", PID: pid, Close: func() { c.Close(); wait() }, Run: rpcCall(c)}, nil
}

// oneConn is a listener that has one connection.
type oneConn struct{ c chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.c; ok {
		return c, nil
	}
	return nil, io.EOF
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func grpcKernel() (*bench.Contestant, error) {
	conn, pid, wait, err := stream("grpc")
	if err != nil {
		return nil, err
	}
	c, err := grpcClient(func() (net.Conn, error) { return conn, nil })
	if err != nil {
		return nil, err
	}
	return &bench.Contestant{Name: "gRPC, on one connection", PID: pid, Close: func() { c.Close(); wait() }, Run: grpcCall(ctx, c)}, nil
}
