package imc

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What things cost is at least what they take.
func TestBudgetCosts(t *testing.T) {
	if n := 2 * unsafe.Sizeof(message{}); n > costMessage {
		t.Errorf("a message in a queue that grew takes %d bytes", n)
	}
	// Go rounds an allocation up by at most an eighth.
	if n := unsafe.Sizeof(callPair{}) * 9 / 8; n > costConnect {
		t.Errorf("a connection in line takes %d bytes", n)
	}
	if n := (unsafe.Sizeof(pair{})+unsafe.Sizeof(DataSocket{}))*9/8 + 16; n > costDesc {
		t.Errorf("a data socket in a message takes %d bytes", n)
	}
	if n := (unsafe.Sizeof(File{})+unsafe.Sizeof(kfd{}))*9/8 + 256; n > costDesc {
		t.Errorf("a file in a message takes %d bytes", n)
	}
}

// nothing wants a budget that nothing is charged to.
func nothing(t testing.TB, b *Budget) {
	t.Helper()
	if bytes, descs := b.Used(); bytes != 0 || descs != 0 {
		t.Fatalf("%d bytes and %d descriptors are still charged", bytes, descs)
	}
}

// guestEndpoints makes endpoints whose connecting end is accounted for.
func guestEndpoints(b *Budget) (*AcceptEndpoint, *ConnectEndpoint) {
	acc, c := NewEndpoints()
	Account(c, b)
	return acc, c
}

// A program that opens connection after connection, leaves messages in them and closes
// its ends can't have more kept than its budget, counted and as the heap has it.
func TestBudgetFlood(t *testing.T) {
	const limit = 16 << 20
	for _, size := range []int{0, 1, 1000, MaxData} {
		b := NewBudget(limit, 1000)
		before := heap()
		var accs []*AcceptEndpoint
		sent, connections := 0, 0
		for err := error(nil); err == nil; {
			acc, c := guestEndpoints(b)
			accs = append(accs, acc)
			for err == nil {
				var s *ConnectedSocket
				if s, err = c.TryConnect(); err != nil {
					break
				}
				connections++
				for ; err == nil; sent++ {
					err = s.TrySend(make([]byte, size))
				}
				if errors.Is(err, unix.EAGAIN) {
					err = nil
				}
				must(t, s.Close())
			}
			must(t, c.Close())
			if errors.Is(err, unix.EAGAIN) {
				err = nil // the line is full: the next address
			}
			if err != nil {
				want(t, err, unix.ENOBUFS)
			}
		}
		used, _ := b.Used()
		if used > limit || used < limit-2*MaxData {
			t.Errorf("%d of %d bytes are charged", used, limit)
		}
		if grown := heap() - before; grown > limit+limit/8 {
			t.Errorf("%d messages of %d bytes: the heap has grown by %d bytes, and the budget has %d", sent, size, grown, limit)
		}
		// Who accepts gets what was sent, and the charge goes with it.
		s, err := accs[0].TryAccept()
		must(t, err)
		n := 0
		for {
			if _, err := s.TryReceive(); err != nil {
				want(t, err, io.EOF)
				break
			}
			n++
		}
		must(t, s.Close())
		if now, _ := b.Used(); n == 0 || now > used-int64(costConnect)-int64(n*size) {
			t.Errorf("%d messages received, %d bytes charged before and %d after", n, used, now)
		}
		for _, acc := range accs {
			must(t, acc.Close())
		}
		nothing(t, b)
	}
}

// Descriptors in flight have a bound of their own: files are numbers of this process.
//
// Attack: descriptors that were passed on.
func TestBudgetDescriptors(t *testing.T) {
	b := NewBudget(1<<30, 100)
	f, err := os.Open("/dev/null")
	must(t, err)
	defer f.Close()
	acc, c := guestEndpoints(b)
	before := descriptorsOf(t)
	for err == nil {
		var s *ConnectedSocket
		s, err = c.TryConnect()
		must(t, err)
		for err == nil {
			var list []Desc
			for range MaxDescs - 1 {
				d, ferr := NewFile(f)
				must(t, ferr)
				list = append(list, d)
			}
			list = append(list, Invalid) // which costs nothing
			err = s.TrySend([]byte("files"), list...)
			Message{Descs: list}.Close()
			if errors.Is(err, unix.EAGAIN) {
				err = nil
				break
			}
		}
		must(t, s.Close())
	}
	want(t, err, unix.ENOBUFS)
	if _, descs := b.Used(); descs != 98 {
		t.Errorf("%d descriptors are charged", descs)
	}
	if n := descriptorsOf(t) - before; n > 110 {
		t.Errorf("%d descriptors of the process are in flight", n)
	}
	must(t, acc.Close())
	must(t, c.Close())
	nothing(t, b)
}

// Endpoints sent through themselves, and data pairs both of whose ends are in flight.
//
// Attack: descriptors that were passed on.
func TestBudgetCycles(t *testing.T) {
	b := NewBudget(8<<20, 1000)
	acc, c := guestEndpoints(b)
	var err error
	for err == nil {
		var s *ConnectedSocket
		if s, err = c.TryConnect(); err != nil {
			break
		}
		x, y := NewDataPair()
		Account(x, b)
		Account(y, b)
		for err == nil {
			err = x.TrySend(make([]byte, 10_000))
		}
		if errors.Is(err, unix.EAGAIN) {
			// Its own capability goes into the line of its own address.
			err = s.TrySend(nil, c, x, y, c)
		}
		must(t, x.Close())
		must(t, y.Close())
		must(t, s.Close())
	}
	want(t, err, unix.ENOBUFS)
	if used, _ := b.Used(); used > 8<<20 {
		t.Errorf("%d bytes are charged", used)
	}
	must(t, c.Close())
	must(t, acc.Close())
	nothing(t, b)
}

// Who has no budget sends at the receiver's cost, and is not told: a program that
// does not read what it asked for has less for itself, and its queues take one message
// at a time.
func TestBudgetReceiver(t *testing.T) {
	b := NewBudget(100_000, 10)
	var hosts, guests []*DataSocket
	for range 20 {
		x, y := NewDataPair()
		Account(y, b)
		hosts, guests = append(hosts, x), append(guests, y)
	}
	messages := 0
	for _, x := range hosts {
		n := 0
		for ; x.TrySend(make([]byte, 10_000)) == nil; n++ {
		}
		if n == 0 {
			t.Fatal("an empty queue takes no message")
		}
		messages += n
	}
	if used, _ := b.Used(); used > 100_000+20*12_000 || messages > 10+20 {
		t.Errorf("%d messages, %d bytes charged", messages, used)
	}
	want(t, guests[0].TrySend([]byte("x")), unix.ENOBUFS)
	// A sender that waits goes on as soon as the queue is empty, whatever else is charged.
	ctx := within(t)
	sent := make(chan error, 1)
	go func() { sent <- hosts[19].Send(ctx, []byte("next")) }()
	for range 2 {
		if m, err := guests[19].Receive(ctx); err != nil {
			t.Fatal(err)
		} else if string(m.Data) == "next" {
			break
		}
	}
	must(t, <-sent)
	// A poll learns of it too.
	changed := make(chan struct{}, 1)
	stop, err := hosts[5].Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	must(t, err)
	if hosts[5].Ready()&Writable != 0 {
		t.Error("a queue that takes no message is writable")
	}
	_, err = guests[5].Receive(ctx)
	must(t, err)
	<-changed
	if hosts[5].Ready()&Writable == 0 {
		t.Error("an empty queue is not writable")
	}
	stop()
	for i := range hosts {
		must(t, guests[i].Close())
		must(t, hosts[i].Close())
	}
	nothing(t, b)
}

// A message that moves into the kernel is charged no more; what waits to move is.
func TestBudgetMove(t *testing.T) {
	b := NewBudget(1<<20, 10)
	x, y := NewDataPair()
	Account(x, b)
	for range 10 {
		must(t, x.TrySend(make([]byte, 5000)))
	}
	f, err := y.File()
	must(t, err)
	nothing(t, b)
	must(t, y.Close())
	z, err := NewDataSocket(f)
	must(t, err)
	for range 10 {
		m, err := z.Receive(within(t))
		must(t, err)
		if len(m.Data) != 5000 {
			t.Fatal(len(m.Data))
		}
	}
	must(t, x.Close())
	must(t, z.Close())
	nothing(t, b)
}

// A call that is larger than what is left fails, at either end and in the middle, and
// leaves nothing. What a server keeps of requests is bounded too.
func TestBudgetCalls(t *testing.T) {
	acc, c := NewEndpoints()
	b := NewBudget(1<<20, 100)
	guest, err := c.Dup()
	must(t, err)
	Account(guest, b)
	started, release := make(chan struct{}), make(chan struct{})
	srv := Server{MaxRequest: 8 << 20, MaxBytes: 10 << 20, MaxCalls: 100, Handler: func(_ context.Context, data []byte, _ []Desc) ([]byte, []Desc, error) {
		if string(data[:1]) == "w" {
			started <- struct{}{}
			<-release
		}
		return data, nil, nil
	}}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background(), acc) }()
	ctx := within(t)
	big := make([]byte, 4<<20)
	// In parts it fits, however little may be in the queue at once.
	reply, _, err := Call(ctx, guest.(*ConnectEndpoint), big)
	must(t, err)
	if len(reply) != len(big) {
		t.Error(len(reply))
	}
	// The rest is taken by something that nobody reads.
	x, y := NewDataPair()
	Account(x, b)
	if !b.Take(1<<20 - 2*costConnect) {
		t.Fatal("something is charged")
	}
	_, _, err = Call(ctx, guest.(*ConnectEndpoint), big)
	want(t, err, unix.ENOBUFS)
	b.Give(1<<20 - 2*costConnect)
	// Two that are answered take 8 MiB of the server's 10.
	var wg sync.WaitGroup
	waiting := append([]byte("w"), big[1:]...)
	for range 2 {
		wg.Go(func() {
			_, _, err := Call(ctx, c, waiting)
			if err != nil {
				t.Error(err)
			}
		})
		<-started
	}
	_, _, err = Call(ctx, c, waiting)
	want(t, err, unix.ENOBUFS)
	var failed *CallError
	if !errors.As(err, &failed) {
		t.Errorf("%v is not the server's answer", err)
	}
	close(release)
	wg.Wait()
	must(t, x.Close())
	must(t, y.Close())
	must(t, guest.Close())
	must(t, c.Close())
	must(t, <-served)
	must(t, acc.Close())
	nothing(t, b)
}

// Everything at once, closed in the middle: nothing stays charged, and it is never more
// than the budget.
func TestBudgetChurn(t *testing.T) {
	const limit = 1 << 20
	b := NewBudget(limit, 50)
	acc, c := guestEndpoints(b)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // the program
			for ctx.Err() == nil {
				s, err := c.ConnectAsync(ctx)
				if err != nil {
					if !errors.Is(err, unix.ENOBUFS) && ctx.Err() == nil {
						t.Error(err)
					}
					continue
				}
				for range rand.IntN(20) {
					err := s.TrySend(make([]byte, rand.IntN(MaxData)), c, Invalid)
					if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EPIPE) {
						t.Error(err)
					}
					if used, descs := b.Used(); used > limit || descs > 50 {
						t.Errorf("%d bytes and %d descriptors are charged", used, descs)
					}
				}
				_ = s.Close()
			}
		})
	}
	for range 2 {
		wg.Go(func() { // who is called
			for {
				s, err := acc.Accept(ctx)
				if err != nil {
					return
				}
				for range rand.IntN(10) {
					m, err := s.TryReceive()
					if err != nil {
						break
					}
					m.Close()
				}
				_ = s.Close()
			}
		})
	}
	wg.Wait()
	must(t, c.Close())
	must(t, acc.Close())
	nothing(t, b)
}
