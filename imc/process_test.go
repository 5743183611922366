package imc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// Tests with real child processes: the test binary, run again as one of children.

const childVariable = "HALITE_IMC_CHILD"

// children are what a child process can be. It gets the files that its parent passed.
var children = map[string]func(files []*os.File) error{
	"echo server": func(f []*os.File) error {
		acc, err := NewAcceptEndpoint(f[0])
		if err != nil {
			return err
		}
		return Serve(context.Background(), acc, func(_ context.Context, data []byte, descs []Desc) ([]byte, []Desc, error) {
			return data, descs, nil
		})
	},
	"caller":       childCaller,
	"holder":       childHolder,
	"agent":        childAgent,
	"few files":    childFewFiles,
	"load clients": childLoadClients,
	"ping":         childPing,
	"relay":        childRelay,

	"exhausted memory": childExhausted(Memory),
	"exhausted kernel": childExhausted(Kernel),
}

func TestMain(m *testing.M) {
	if v := os.Getenv(childVariable); v != "" {
		name, count, _ := strings.Cut(v, "/")
		n, _ := strconv.Atoi(count)
		var files []*os.File
		for fd := range n {
			files = append(files, os.NewFile(uintptr(3+fd), "inherited"))
		}
		if err := children[name](files); err != nil {
			fmt.Fprintf(os.Stderr, "child %q: %v\n", name, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

type filer interface{ File() (*os.File, error) }

// child starts a child process with these ends, which it takes over.
func child(t testing.TB, name string, ends ...filer) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s/%d", childVariable, name, len(ends)))
	cmd.Stderr = os.Stderr
	for _, e := range ends {
		f, err := e.File()
		must(t, err)
		must(t, e.(Desc).Close())
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	must(t, cmd.Start())
	for _, f := range cmd.ExtraFiles {
		must(t, f.Close())
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func TestProcessServer(t *testing.T) {
	ctx := within(t)
	acc, c, err := Kernel.Endpoints()
	must(t, err)
	cmd := child(t, "echo server", acc)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			mem, err := NewSharedMemory(MapGranule)
			if err != nil {
				t.Error(err)
				return
			}
			defer mem.Close()
			data := bytes.Repeat([]byte{byte(i)}, i*20_000)
			reply, descs, err := Call(ctx, c, data, mem, c, Invalid)
			if err != nil || !bytes.Equal(reply, data) || len(descs) != 3 {
				t.Error(len(reply), len(descs), err)
				return
			}
			// The capability came back from where it leads to, and still works.
			back := descs[1].(*ConnectEndpoint)
			reply, _, err = Call(ctx, back, []byte("again"))
			if string(reply) != "again" || err != nil {
				t.Error(string(reply), err)
			}
			Message{Descs: descs}.Close()
		}()
	}
	wg.Wait()
	// The server ends when nobody can call it any more.
	must(t, c.Close())
	must(t, cmd.Wait())
}

// A capability of this process's memory is used by another process, which sends
// one of its own memory back, and both call each other at once.
func TestProcessCapabilities(t *testing.T) {
	ctx := within(t)
	acc, c := NewEndpoints()
	defer acc.Close()
	calls := 0
	x, y := NewDataPair()
	must(t, y.Send(ctx, []byte("in the queue")))
	mem, err := NewSharedMemory(MapGranule)
	must(t, err)
	m, err := mem.Map()
	must(t, err)
	defer m.Unmap()
	word := (*atomic.Int64)(unsafe.Pointer(&m.Bytes[0]))
	cmd := child(t, "caller", c)
	err = Serve(ctx, acc, func(ctx context.Context, data []byte, descs []Desc) ([]byte, []Desc, error) {
		switch string(data) {
		case "register":
			calls++
			reply, _, err := Call(ctx, descs[0].(*ConnectEndpoint), []byte("who are you?"))
			return reply, nil, err
		case "give":
			return nil, []Desc{x, mem}, nil
		}
		return nil, nil, unix.ENOSYS
	})
	must(t, err)
	must(t, cmd.Wait())
	if calls != 5 {
		t.Error("registered", calls)
	}
	if word.Load() != 1000 {
		t.Error("shared memory counts", word.Load())
	}
	got, err := y.Receive(ctx)
	must(t, err)
	if string(got.Data) != "received: in the queue" {
		t.Error(string(got.Data))
	}
	_, err = y.Receive(ctx)
	want(t, err, io.EOF)
	must(t, y.Close())
}

func childCaller(f []*os.File) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := NewConnectEndpoint(f[0])
	if err != nil {
		return err
	}
	acc, mine := NewEndpoints()
	go Serve(ctx, acc, func(context.Context, []byte, []Desc) ([]byte, []Desc, error) {
		return []byte("the child"), nil, nil
	})
	for range 5 {
		reply, _, err := Call(ctx, c, []byte("register"), mine)
		if err != nil || string(reply) != "the child" {
			return fmt.Errorf("register: %q %w", reply, err)
		}
	}
	_ = mine.Close()
	select {
	case <-acc.Gone():
	case <-ctx.Done():
		return errors.New("the parent keeps a capability of the child's")
	}
	_, descs, err := Call(ctx, c, []byte("give"))
	if err != nil {
		return err
	}
	s := descs[0].(*DataSocket)
	msg, err := s.Receive(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(ctx, append([]byte("received: "), msg.Data...)); err != nil {
		return err
	}
	m, err := descs[1].(*SharedMemory).Map()
	if err != nil {
		return err
	}
	for range 1000 {
		(*atomic.Int64)(unsafe.Pointer(&m.Bytes[0])).Add(1)
	}
	return nil
}

// childHolder says that it is there and holds what it has got until it is killed.
func childHolder(f []*os.File) error {
	s, err := NewConnectedSocket(f[0])
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := s.Send(ctx, []byte("ready")); err != nil {
		return err
	}
	m, err := s.Receive(ctx)
	if err != nil {
		return err
	}
	if err := s.Send(ctx, []byte("got it")); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	m.Close()
	return nil
}

// What a killed process held is closed: its peers learn it, wherever they wait.
func TestKilledPeer(t *testing.T) {
	ctx := within(t)
	acc, c := NewEndpoints() // the child will hold the last capability
	defer acc.Close()
	x, y := NewDataPair()
	server, client, err := Kernel.Endpoints() // the child will be the server, and accept nothing
	must(t, err)
	near, far, err := Kernel.ConnectedPair()
	must(t, err)
	cmd := child(t, "holder", far, server)
	receive := func(text string) {
		t.Helper()
		m, err := near.Receive(ctx)
		must(t, err)
		if string(m.Data) != text {
			t.Fatal(string(m.Data))
		}
	}
	receive("ready")
	must(t, near.Send(ctx, []byte("hold"), c, y))
	must(t, c.Close())
	must(t, y.Close())
	receive("got it")
	must(t, near.Send(ctx, []byte("never read"), Invalid))
	must(t, x.Send(ctx, []byte("never read")))

	var wg sync.WaitGroup
	expect := func(what string, err error, f func() error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if got := f(); !errors.Is(got, err) {
				t.Errorf("%s: %v, want %v", what, got, err)
			}
		}()
	}
	for range 3 {
		expect("receiving", io.EOF, func() error { _, err := near.Receive(ctx); return err })
		expect("receiving data", io.EOF, func() error { _, err := x.Receive(ctx); return err })
		expect("connecting", unix.ECONNREFUSED, func() error { _, err := client.Connect(ctx); return err })
		expect("calling", unix.ECONNREFUSED, func() error { _, _, err := Call(ctx, client, []byte("x")); return err })
		expect("accepting", unix.EPIPE, func() error { _, err := acc.Accept(ctx); return err })
		expect("sending", unix.EPIPE, func() error {
			for {
				if err := near.Send(ctx, make([]byte, 100_000)); err != nil {
					return err
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	must(t, cmd.Process.Kill())
	wg.Wait()
	select {
	case <-acc.Gone():
	case <-ctx.Done():
		t.Error("the last capability is gone and nobody was told")
	}
	for _, d := range []Desc{near, x, client} {
		must(t, d.Close())
	}
}

// descriptorsOf counts the open descriptors of this process.
func descriptorsOf(t testing.TB) int {
	t.Helper()
	// The poller has one for as long as it is needed.
	thePoller.mu.Lock()
	if thePoller.file != nil && len(thePoller.regs) == 0 {
		thePoller.stop()
	}
	thePoller.mu.Unlock()
	noLookouts()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

// noLookouts closes what glances have used, which goes by itself a moment later.
func noLookouts() {
	lookouts.mu.Lock()
	closeLookouts()
	lookouts.mu.Unlock()
}

// A server that may have few descriptors loses no call, and its callers wait.
func TestFewDescriptors(t *testing.T) {
	ctx := within(t)
	near, far, err := Kernel.ConnectedPair()
	must(t, err)
	defer near.Close()
	acc, c, err := Kernel.Endpoints()
	must(t, err)
	defer c.Close()
	cmd := child(t, "few files", far, acc)
	const callers, each = 100, 5
	var wg sync.WaitGroup
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range each {
				data := []byte(fmt.Sprint(i, j))
				reply, _, err := Call(ctx, c, data)
				if err != nil || !bytes.Equal(reply, data) {
					t.Errorf("call: %q, %v", reply, err)
				}
			}
		}()
	}
	wg.Wait()

	// Descriptors that find no room are lost, but not the data, and it is told.
	list := make([]Desc, MaxDescs)
	for i := range list {
		if list[i], err = NewSharedMemory(MapGranule); err != nil {
			t.Fatal(err)
		}
		defer list[i].Close()
	}
	for range 10 {
		must(t, near.Send(ctx, []byte("keep these"), list...))
	}
	must(t, near.Send(ctx, []byte("report")))
	m, err := near.Receive(ctx)
	must(t, err)
	var messages, kept, lost, errs int
	_, err = fmt.Sscan(string(m.Data), &messages, &kept, &lost, &errs)
	must(t, err)
	if messages != 10 || kept+lost != 80 || lost == 0 || kept == 0 || errs == 0 {
		t.Errorf("%d messages, %d descriptors kept, %d lost, %d errors", messages, kept, lost, errs)
	}
	must(t, near.Send(ctx, []byte("end")))
	must(t, cmd.Wait())
}

func childFewFiles(f []*os.File) error {
	ctx := context.Background()
	s, err := NewConnectedSocket(f[0])
	if err != nil {
		return err
	}
	acc, err := NewAcceptEndpoint(f[1])
	if err != nil {
		return err
	}
	go Serve(ctx, acc, func(_ context.Context, data []byte, _ []Desc) ([]byte, []Desc, error) {
		time.Sleep(time.Millisecond) // connections are open for a while
		return data, nil, nil
	})
	limit := unix.Rlimit{Cur: 32, Max: 32}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	var messages, kept, lost, errs int
	var list []Desc
	for {
		m, err := s.Receive(ctx)
		switch {
		case errors.Is(err, unix.EMFILE):
			errs++
		case err != nil:
			return err
		}
		switch string(m.Data) {
		case "keep these":
			messages++
			for _, d := range m.Descs {
				if d == Invalid {
					lost++
				} else {
					kept++
					list = append(list, d)
				}
			}
		case "report":
			Message{Descs: list}.Close()
			if err := s.Send(ctx, fmt.Append(nil, messages, " ", kept, " ", lost, " ", errs)); err != nil {
				return err
			}
		case "end":
			return nil
		}
	}
}

// childPing answers every message of a data socket with itself.
func childPing(f []*os.File) error {
	s, err := NewDataSocket(f[0])
	if err != nil {
		return err
	}
	ctx := context.Background()
	for {
		m, err := s.Receive(ctx)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.Send(ctx, m.Data)
		}
		if err != nil {
			return err
		}
	}
}

// What was sent just before the end is received, also when receiving and closing
// happen at the same time.
func TestSendAndClose(t *testing.T) {
	ctx := within(t)
	for i := range 3000 {
		a, b, err := Kernel.DataPair()
		must(t, err)
		go func() {
			_ = a.Send(ctx, []byte("last words"))
			_ = a.Close()
		}()
		for {
			m, err := b.TryReceive()
			if errors.Is(err, unix.EAGAIN) {
				continue
			}
			if err != nil || string(m.Data) != "last words" {
				t.Fatalf("round %d: %q, %v", i, m.Data, err)
			}
			break
		}
		_, err = b.Receive(ctx)
		want(t, err, io.EOF)
		must(t, b.Close())
	}
}

// childRelay passes on what comes to one endpoint to another.
func childRelay(f []*os.File) error {
	target, err := NewConnectEndpoint(f[0])
	if err != nil {
		return err
	}
	acc, err := NewAcceptEndpoint(f[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	for {
		r, err := acc.Next(ctx)
		if err != nil {
			break
		}
		forward(ctx, &wg, r, target)
	}
	err = target.Close()
	wg.Wait()
	return err
}
