package imc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// loadScale is the short form of the load tests, or with HALITE_SOAK the long one.
func loadScale(t *testing.T, short, long int) int {
	if soakTime(t) > 0 {
		return long
	}
	return short
}

// heap is what is reachable, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Many live endpoints: each can be connected to and answers, they cost a bounded
// amount of memory and no goroutine, and all of it comes back.
func TestLoadEndpoints(t *testing.T) {
	n := loadScale(t, 20_000, 100_000)
	ctx := context.Background()
	before, goroutines := heap(), runtime.NumGoroutine()
	accs := make([]*AcceptEndpoint, n)
	caps := make([]*ConnectEndpoint, n)
	for i := range n {
		accs[i], caps[i] = NewEndpoints()
	}
	idle := (heap() - before) / int64(n)
	if runtime.NumGoroutine() > goroutines+2 {
		t.Error("goroutines:", runtime.NumGoroutine())
	}
	clients := make([]*ConnectedSocket, n)
	servers := make([]*ConnectedSocket, n)
	start := time.Now()
	for i := range n {
		var err error
		clients[i], err = caps[i].TryConnect()
		must(t, err)
		must(t, clients[i].Send(ctx, []byte(fmt.Sprint(i))))
	}
	for i := range n {
		var err error
		servers[i], err = accs[i].TryAccept()
		must(t, err)
		m, err := servers[i].Receive(ctx)
		must(t, err)
		if string(m.Data) != fmt.Sprint(i) {
			t.Fatal(string(m.Data))
		}
	}
	each := time.Since(start) / time.Duration(n)
	busy := (heap() - before) / int64(n)
	t.Logf("%d endpoints: %d bytes for an address pair, %d with a connection; connecting and one message: %v", n, idle, busy, each)
	for i := range n {
		must(t, clients[i].Close())
		if _, err := servers[i].Receive(ctx); err != io.EOF {
			t.Fatal(err)
		}
		must(t, servers[i].Close())
		must(t, caps[i].Close())
		if accs[i].Ready()&HangUp == 0 {
			t.Fatal("it does not know that nobody can connect")
		}
		must(t, accs[i].Close())
	}
	clear(accs)
	clear(caps)
	clear(clients)
	clear(servers)
	if left := heap() - before - int64(n)*32; left > 2<<20 {
		t.Errorf("%d bytes left", left)
	}
}

// TestLoadConnections has a thousand connections at once, to one server, from this
// process and from others; some readers are slow, all queues get full, and clients
// are killed. Every message that was sent by who lived arrives once and in order.
func TestLoadConnections(t *testing.T) {
	for _, tr := range []Transport{Memory, Kernel} {
		t.Run(tr.String(), func(t *testing.T) { loadConnections(t, tr) })
	}
}

func loadConnections(t *testing.T, tr Transport) {
	connections := loadScale(t, 200, 1000)
	messages := loadScale(t, 20, 50)
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Cur < 4096 {
		connections = min(connections, int(limit.Cur)/4)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	descriptors := descriptorsOf(t)
	acc, c, err := tr.Endpoints()
	must(t, err)

	var received, closed atomic.Int64
	served := make(chan struct{})
	go func() {
		defer close(served)
		var wg sync.WaitGroup
		defer wg.Wait()
		for {
			s, err := acc.Accept(ctx)
			if errors.Is(err, unix.EPIPE) {
				return
			}
			if errors.Is(err, unix.EMFILE) {
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil {
				t.Error(err)
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer s.Close()
				slow := rand.IntN(10) == 0
				for n := uint32(0); ; n++ {
					if slow {
						time.Sleep(time.Millisecond)
					}
					m, err := s.Receive(ctx)
					if err == io.EOF {
						closed.Add(1)
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					if got := le.Uint32(m.Data); got != n || !bytes.Equal(m.Data, body(n, len(m.Data))) {
						t.Errorf("message %d instead of %d, or torn", got, n)
						return
					}
					received.Add(1)
					if err := s.Send(ctx, m.Data[:8]); err != nil && !errors.Is(err, unix.EPIPE) {
						t.Error(err)
						return
					}
				}
			}()
		}
	}()

	// Clients in other processes, of which one in two is killed.
	var cmds []*exec.Cmd
	for range 4 {
		d, err := c.Dup()
		must(t, err)
		cmds = append(cmds, child(t, "load clients", d.(*ConnectEndpoint)))
	}
	peak := int64(0)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, int64(m.HeapAlloc))
			}
		}
	}()
	start := time.Now()
	var wg sync.WaitGroup
	sent := atomic.Int64{}
	for range connections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s, err := c.Connect(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := loadClient(ctx, s, messages, &sent); err != nil {
				t.Error(err)
			}
		}()
	}
	time.Sleep(50 * time.Millisecond)
	killed := 0
	for i, cmd := range cmds {
		if i%2 == 0 {
			must(t, cmd.Process.Kill())
			killed++
		}
	}
	wg.Wait()
	took := time.Since(start)
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil && i%2 == 1 {
			t.Error("a client process:", err)
		}
	}
	must(t, c.Close())
	select {
	case <-served:
	case <-ctx.Done():
		t.Fatal("the server does not end")
	}
	must(t, acc.Close())
	close(done)
	<-watched
	if received.Load() < sent.Load() {
		t.Errorf("%d messages sent, %d received", sent.Load(), received.Load())
	}
	t.Logf("%d connections from here, %d in all, %d of 4 client processes killed; %d messages answered from here in %v: %.0f a second; heap at most %d MiB",
		connections, closed.Load(), killed, sent.Load(), took.Round(time.Millisecond), float64(sent.Load())/took.Seconds(), peak>>20)
	deadline := time.Now().Add(10 * time.Second)
	for descriptorsOf(t) > descriptors {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors before, %d after", descriptors, descriptorsOf(t))
		}
		time.Sleep(time.Millisecond)
	}
}

// loadClient sends as fast as it can, so that queues fill, while another goroutine
// takes the answers.
func loadClient(ctx context.Context, s *ConnectedSocket, messages int, sent *atomic.Int64) error {
	answers := make(chan error, 1)
	go func() {
		for n := range messages {
			m, err := s.Receive(ctx)
			if err == nil && le.Uint32(m.Data) != uint32(n) {
				err = fmt.Errorf("answer %d instead of %d", le.Uint32(m.Data), n)
			}
			if err != nil {
				answers <- err
				return
			}
			sent.Add(1)
		}
		answers <- nil
	}()
	for n := range messages {
		if err := s.Send(ctx, body(uint32(n), 100+n*n*7%20_000)); err != nil {
			return err
		}
	}
	return <-answers
}

// childLoadClients makes connections until its time is over.
func childLoadClients(f []*os.File) error {
	c, err := NewConnectEndpoint(f[0])
	if err != nil {
		return err
	}
	ctx := context.Background()
	errs := make(chan error)
	const at = 20
	for range at {
		go func() {
			var err error
			for end := time.Now().Add(300 * time.Millisecond); err == nil && time.Now().Before(end); {
				var s *ConnectedSocket
				if s, err = c.Connect(ctx); err == nil {
					var n atomic.Int64
					err = loadClient(ctx, s, 10, &n)
					_ = s.Close()
				}
			}
			errs <- err
		}()
	}
	for range at {
		if e := <-errs; e != nil {
			err = e
		}
	}
	return err
}
