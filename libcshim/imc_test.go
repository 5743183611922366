package libcshim

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/ld"
)

func imcGuest(t testing.TB) string { return build(t, "testdata/imc/imc.c", "-lnacl") }

func imcScene(t testing.TB, prog, name string, descs map[int]imc.Desc) *guestRun {
	t.Helper()
	return &guestRun{cfg: Config{
		Program: "/bin/prog", Args: []string{"/bin/prog", name}, Dir: "/tmp", Namespace: newTree(t, prog, t.TempDir()), Descriptors: descs,
	}}
}

func (r *guestRun) wantOK(t testing.TB) {
	t.Helper()
	if r.err != nil || r.status.Status() != 0 || !strings.HasSuffix(r.stdout.String(), "ok\n") {
		t.Errorf("%v, %v\n%s%s", r.status, r.err, r.stdout.String(), r.stderr.String())
	}
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	ld.FlushLinks() // what is kept for the next time is no leak
	list, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(list)
}

// TestIMC: the behaviours of Native Client's own tests, and what a hostile guest tries.
// Afterwards the host has no descriptor more than before.
//
// Attack: descriptors that were passed on.
func TestIMC(t *testing.T) {
	prog := imcGuest(t)
	for _, name := range []string{"transfer", "memory", "files", "attack", "blocking"} {
		before := 0
		for round := range 3 {
			t.Run(name, func(t *testing.T) {
				r := imcScene(t, prog, name, nil)
				r.run(t, within(t, time.Minute))
				r.wantOK(t)
			})
			switch round {
			case 0: // pollers and the like exist from now on
				before = settled(t, 0)
			case 2:
				if after := settled(t, before); after > before {
					t.Errorf("%s: %d descriptors are open, %d were before", name, after, before)
				}
			}
		}
	}
}

// settled counts open descriptors, after what ends by itself a moment later.
func settled(t testing.TB, want int) int {
	t.Helper()
	n := openDescriptors(t)
	for range 20 {
		if want > 0 && n <= want {
			break
		}
		time.Sleep(20 * time.Millisecond)
		n = openDescriptors(t)
	}
	return n
}

// TestIMCServer: a guest calls an object of the host, in memory and through the kernel.
func TestIMCServer(t *testing.T) {
	prog := imcGuest(t)
	for _, tr := range []imc.Transport{imc.Memory, imc.Kernel} {
		t.Run(tr.String(), func(t *testing.T) {
			acc, object, err := tr.Endpoints()
			check(t, err)
			ctx, cancel := context.WithCancel(within(t, time.Minute))
			served := make(chan error, 1)
			go func() { served <- imc.Serve(ctx, acc, serveGuest) }()
			r := imcScene(t, prog, "client", map[int]imc.Desc{10: object})
			r.run(t, ctx)
			r.wantOK(t)
			check(t, object.Close())
			cancel()
			<-served
			_ = acc.Close()
		})
	}
}

func serveGuest(_ context.Context, data []byte, descs []imc.Desc) ([]byte, []imc.Desc, error) {
	if string(data) == "fail" {
		return nil, nil, unix.EXDEV
	}
	if s, ok := strings.CutPrefix(string(data), "r"); ok {
		n, _ := strconv.Atoi(s)
		return nil, nil, unix.Errno(n)
	}
	if string(data) == "text" {
		return nil, nil, errors.New("no number")
	}
	for _, d := range descs {
		if m, ok := d.(*imc.SharedMemory); ok {
			v, err := m.Map()
			if err != nil {
				return nil, nil, err
			}
			v.Bytes[5] = 'g'
			_ = v.Unmap()
		}
	}
	return bytes.ToUpper(data), descs, nil
}

// TestIMCProcess: the object is in another process.
func TestIMCProcess(t *testing.T) {
	if os.Getenv("HALITE_TEST_IMC_SERVER") != "" {
		acc, err := imc.NewAcceptEndpoint(os.NewFile(3, "acc"))
		check(t, err)
		_ = imc.Serve(context.Background(), acc, serveGuest)
		return
	}
	prog := imcGuest(t)
	acc, object, err := imc.Kernel.Endpoints()
	check(t, err)
	f, err := acc.File()
	check(t, err)
	ctx := within(t, time.Minute)
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestIMCProcess$")
	child.Env = append(os.Environ(), "HALITE_TEST_IMC_SERVER=1")
	child.ExtraFiles = []*os.File{f}
	check(t, child.Start())
	_ = f.Close()
	_ = acc.Close()
	r := imcScene(t, prog, "client", map[int]imc.Desc{10: object})
	r.run(t, ctx)
	r.wantOK(t)
	_ = object.Close() // the server learns that nobody is left, and ends
	check(t, child.Wait())
}

// TestIMCDomains: two domains of one process talk to each other.
func TestIMCDomains(t *testing.T) {
	prog := imcGuest(t)
	a, b := imc.NewDataPair()
	x, y := imcScene(t, prog, "ping", map[int]imc.Desc{10: a}), imcScene(t, prog, "pong", map[int]imc.Desc{10: b})
	done := make(chan struct{})
	go func() { defer close(done); y.run(t, within(t, time.Minute)) }()
	x.run(t, within(t, time.Minute))
	<-done
	x.wantOK(t)
	y.wantOK(t)
	if got := x.stdout.String() + y.stdout.String(); got != "pong\nok\nping\nok\n" {
		t.Errorf("%q", got)
	}
	// The guests' handles are gone; ours are still good.
	check(t, a.TrySend([]byte("still")))
	_ = a.Close()
	_ = b.Close()
}

// TestIMCDeadline: a guest that waits for a message is ended, and its peer told.
func TestIMCDeadline(t *testing.T) {
	prog := imcGuest(t)
	a, b := imc.NewDataPair()
	r := imcScene(t, prog, "wait", map[int]imc.Desc{10: a})
	r.run(t, within(t, 300*time.Millisecond))
	if r.status.Signal != int(unix.SIGKILL) {
		t.Errorf("%v, %v", r.status, r.err)
	}
	_ = a.Close()
	if b.Ready()&imc.HangUp == 0 {
		t.Error("the guest's handle is still open")
	}
	_ = b.Close()
}

// TestIMCFlood: what a guest leaves in queues counts, at most as much as it may have
// memory, and is given back; also where it outlives the guest.
func TestIMCFlood(t *testing.T) {
	prog := imcGuest(t)
	const limit = 64 << 20
	t.Run("itself", func(t *testing.T) {
		r := imcScene(t, prog, "flood", nil)
		r.cfg.MaxMemory = limit
		file, err := os.Open(prog)
		check(t, err)
		defer file.Close()
		r.cfg.Stdin = file // something that can be sent
		r.run(t, within(t, time.Minute))
		r.wantOK(t)
	})
	t.Run("the host", func(t *testing.T) {
		acc, object := imc.NewEndpoints()
		r := imcScene(t, prog, "leave", map[int]imc.Desc{10: object})
		r.cfg.MaxMemory = limit
		before := heap()
		r.run(t, within(t, time.Minute))
		r.wantOK(t)
		if grown := heap() - before; grown < limit/2 || grown > limit+limit/8 {
			t.Errorf("the heap has grown by %d bytes, and the guest may have %d", grown, limit)
		}
		check(t, acc.Close())
		check(t, object.Close())
		if left := heap() - before; left > limit/8 {
			t.Errorf("%d bytes are left", left)
		}
	})
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestIMCTrace: the trace shows messages.
func TestIMCTrace(t *testing.T) {
	prog := imcGuest(t)
	a, b := imc.NewDataPair()
	defer a.Close()
	defer b.Close()
	check(t, b.TrySend([]byte("pong")))
	var trace bytes.Buffer
	r := imcScene(t, prog, "ping", map[int]imc.Desc{10: a})
	r.cfg.Trace = &trace
	r.run(t, within(t, time.Minute))
	r.wantOK(t)
	for _, want := range []string{`imc_sendmsg(10, {data="ping", size=4}, 0) = 4`, `imc_recvmsg(10, {data="pong", size=4}, 0) = 4`} {
		if !strings.Contains(trace.String(), want) {
			t.Errorf("no %s in\n%s", want, trace.String())
		}
	}
}

// TestIMCDescriptorsRefused: what can't be given is said, and nothing is left over.
func TestIMCDescriptorsRefused(t *testing.T) {
	prog := imcGuest(t)
	a, b := imc.NewDataPair()
	defer b.Close()
	for fd, d := range map[int]imc.Desc{1: a, 3: nil, 5000: a} {
		_, err := NewProcess(Config{Program: "/bin/prog", Namespace: newTree(t, prog, ""), Descriptors: map[int]imc.Desc{fd: d}})
		if err == nil || !strings.Contains(err.Error(), "descriptor") {
			t.Errorf("%d: %v", fd, err)
		}
	}
	check(t, a.Close())
	if b.Ready()&imc.HangUp == 0 {
		t.Error("a handle is left over")
	}
}
