package imc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process that has no descriptor left: what needs one says EMFILE and loses nothing,
// what needs none works, what waits goes on waiting; and with descriptors again everything
// is as before. (ENFILE, the same for the whole system, can't be had without harm.)

// Attack: descriptors that were passed on.
func TestExhausted(t *testing.T) {
	for _, tr := range []Transport{Memory, Kernel} {
		t.Run(tr.String(), func(t *testing.T) {
			// In a process of its own: its limit is low.
			cmd := child(t, "exhausted "+tr.String())
			must(t, cmd.Wait())
		})
	}
}

func childExhausted(tr Transport) func([]*os.File) error {
	return func([]*os.File) (err error) {
		defer func() {
			// The checks below give up by a panic with an error.
			if e, ok := recover().(error); ok {
				err = e
			}
		}()
		// What exists once for a process is made before it is short.
		_ = smallBuffers()
		limit := unix.Rlimit{Cur: 60, Max: 60}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		for _, poller := range []bool{false, true} {
			exhausted(tr, poller)
		}
		return nil
	}
}

func ok(err error) {
	if err != nil {
		panic(fmt.Errorf("%w, after %s", err, caller()))
	}
}

func is(err, wanted error) {
	if !errors.Is(err, wanted) {
		panic(fmt.Errorf("got %v, want %v, after %s", err, wanted, caller()))
	}
}

// caller is where the check stands that failed.
func caller() string {
	_, file, line, _ := runtime.Caller(2)
	return fmt.Sprint(filepath.Base(file), ":", line)
}

func open() int {
	// The poller goes by itself, a moment after its last use.
	for {
		thePoller.mu.Lock()
		idle := thePoller.file == nil
		if !idle && len(thePoller.regs) == 0 {
			thePoller.stop()
			idle = true
		}
		thePoller.mu.Unlock()
		if idle {
			break
		}
		time.Sleep(time.Millisecond)
	}
	noLookouts()
	list, err := os.ReadDir("/proc/self/fd")
	ok(err)
	return len(list)
}

// hoard takes every descriptor that is left.
func hoard() (give func(n int), all func()) {
	var list []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			is(err, unix.EMFILE)
			break
		}
		list = append(list, fd)
	}
	give = func(n int) {
		closeAll(list[len(list)-n:])
		list = list[:len(list)-n]
	}
	return give, func() { give(len(list)) }
}

func exhausted(tr Transport, poller bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	before := open()
	acc, c, err := tr.Endpoints()
	ok(err)
	a, b, err := tr.ConnectedPair()
	ok(err)
	x, y, err := tr.DataPair()
	ok(err)
	// Waiting on these takes the poller, which needs two descriptors if it is not there.
	near, far, err := Kernel.DataPair()
	ok(err)
	mem, err := NewSharedMemory(MapGranule)
	ok(err)
	inMemory, other := NewDataPair()
	ok(inMemory.Send(ctx, []byte("before")))
	served := make(chan error, 1)
	serverAcc, object, err := tr.Endpoints()
	ok(err)
	go func() {
		served <- Serve(context.Background(), serverAcc, func(_ context.Context, data []byte, _ []Desc) ([]byte, []Desc, error) {
			return bytes.ToUpper(data), nil, nil
		})
	}()
	var hold *DataSocket // keeps the poller there
	if poller {
		var end *DataSocket
		hold, end, err = Kernel.DataPair()
		ok(err)
		stop, err := hold.Watch(func() {})
		ok(err)
		defer func() {
			stop()
			ok(hold.Close())
			ok(end.Close())
			if n := open(); n != before {
				panic(fmt.Errorf("%d descriptors before, %d after", before, n))
			}
		}()
	}
	ok(a.Send(ctx, []byte("keep"), mem, Invalid, mem)) // it lies there from before
	waiting, err := c.ConnectAsync(ctx)
	ok(err)
	ok(waiting.Send(ctx, []byte("in line")))

	give, all := hoard()
	none := func(err error) {
		if tr == Memory {
			ok(err)
		} else {
			is(err, unix.EMFILE)
		}
	}
	// Making and connecting.
	for range 3 {
		m, n, err := tr.Endpoints()
		none(err)
		if err == nil {
			ok(m.Close())
			ok(n.Close())
		}
		p, q, err := tr.ConnectedPair()
		none(err)
		if err == nil {
			ok(p.Close())
			ok(q.Close())
		}
		for _, connect := range []func() (*ConnectedSocket, error){
			c.TryConnect, func() (*ConnectedSocket, error) { return c.ConnectAsync(ctx) },
		} {
			s, err := connect()
			none(err)
			if err == nil {
				ok(s.Close())
			}
		}
		_, err = NewSharedMemory(MapGranule)
		is(err, unix.EMFILE)
		_, err = x.File()
		is(err, unix.EMFILE)
	}
	// Messages of data need none, and those who wait for them need none.
	for _, ends := range [][2]*DataSocket{{x, y}, {near, far}} {
		exhaustedData(ctx, ends[0], ends[1])
	}
	// What moves to another process needs some: nothing is lost by trying.
	if tr == Kernel {
		for range 3 {
			is(a.Send(ctx, []byte("moves"), other), unix.EMFILE)
			is(a.TrySend(nil, Invalid, other), unix.EMFILE)
		}
	}
	ok(inMemory.Send(ctx, []byte("after")))
	for _, s := range []string{"before", "after"} {
		m, err := other.Receive(ctx)
		ok(err)
		if string(m.Data) != s {
			panic(fmt.Errorf("%q", m.Data))
		}
	}
	// A message with descriptors arrives; those that have no place are told of.
	m, err := b.Receive(ctx)
	lost := 0
	for _, d := range m.Descs {
		if d == Invalid {
			lost++
		}
	}
	none(err)
	if string(m.Data) != "keep" || len(m.Descs) != 3 || tr == Memory && lost != 1 || tr == Kernel && lost != 3 {
		panic(fmt.Errorf("%q, %d descriptors, %d of them lost", m.Data, len(m.Descs), lost))
	}
	m.Close()
	var wg sync.WaitGroup
	// Accepting waits, and with room again goes on where it was.
	first, err := acc.TryAccept()
	none(err)
	if tr == Kernel {
		// A server does not end, and goes on by itself.
		next := make(chan *Request, 1)
		wg.Go(func() {
			r, err := acc.AwaitNext(ctx)
			ok(err)
			next <- r
		})
		select {
		case <-next:
			panic(errors.New("a connection without a descriptor"))
		case <-time.After(30 * time.Millisecond):
		}
		give(1)
		first, err = (<-next).Accept()
		ok(err)
		wg.Wait()
	}
	m, err = first.Receive(ctx)
	ok(err)
	if string(m.Data) != "in line" {
		panic(fmt.Errorf("%q", m.Data))
	}
	ok(first.Close())
	if _, err = waiting.Receive(ctx); err != io.EOF {
		panic(fmt.Errorf("want the end, got %v", err))
	}
	ok(waiting.Close())
	for tr == Memory {
		s, err := acc.TryAccept() // those that were closed at once
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		ok(err)
		ok(s.Close())
	}
	give2, all2 := hoard() // and once more there is none
	// Calls: the caller needs some, the server too.
	_, _, err = Call(ctx, object, []byte("x"))
	none(err)
	if tr == Kernel {
		give2(1) // not enough for a pair
		_, _, err = Call(ctx, object, []byte("x"))
		is(err, unix.EMFILE)
	}
	all2()
	all()
	for range 5 {
		reply, _, err := Call(ctx, object, []byte("again"))
		ok(err)
		if string(reply) != "AGAIN" {
			panic(fmt.Errorf("%q", reply))
		}
	}
	ok(a.Send(ctx, []byte("moves"), other, mem))
	m, err = b.Receive(ctx)
	ok(err)
	if len(m.Descs) != 2 || m.Descs[0].Kind() != KindDataSocket || m.Descs[1].Kind() != KindSharedMemory {
		panic(fmt.Errorf("%d descriptors", len(m.Descs)))
	}
	m.Close()
	for _, d := range []Desc{c, acc, a, b, x, y, near, far, mem, inMemory, other, object} {
		ok(d.Close())
	}
	ok(<-served)
	ok(serverAcc.Close())
	if hold == nil {
		if n := open(); n != before {
			panic(fmt.Errorf("%d descriptors before, %d after", before, n))
		}
	}
}

// exhaustedData: one waits for a message, and one for room.
func exhaustedData(ctx context.Context, x, y *DataSocket) {
	var wg sync.WaitGroup
	got := make(chan string, 1)
	wg.Go(func() {
		m, err := y.Receive(ctx)
		ok(err)
		got <- string(m.Data)
	})
	select {
	case s := <-got:
		panic(fmt.Errorf("a message from nowhere: %q", s))
	case <-time.After(2 * glanceTime): // longer than a look in vain
	}
	ok(x.Send(ctx, []byte("data")))
	if s := <-got; s != "data" {
		panic(fmt.Errorf("%q", s))
	}
	wg.Wait()
	var err error
	for err == nil {
		err = x.TrySend(make([]byte, 1000))
	}
	is(err, unix.EAGAIN)
	wg.Go(func() { ok(x.Send(ctx, []byte("the last"))) })
	time.Sleep(2 * glanceTime)
	for {
		m, err := y.Receive(ctx)
		ok(err)
		if string(m.Data) == "the last" {
			break
		}
	}
	wg.Wait()
}
