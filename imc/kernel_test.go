package imc

import (
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A socket that is given away while somebody waits in it has no time limit for those
// who get it, and who waits is not left waiting for ever. Before that it has one, unless
// it came from somebody who may have it too.
func TestShareWhileReceiving(t *testing.T) {
	ctx := within(t)
	connected := func() (client, server *ConnectedSocket) {
		acc, c, err := Kernel.Endpoints()
		must(t, err)
		client, server = connection(t, acc, c)
		must(t, acc.Close())
		must(t, c.Close())
		return client, server
	}
	for name, w := range map[string]struct {
		alone bool
		make  func() (x, y Socket)
	}{
		"a pair": {true, func() (x, y Socket) {
			a, b, err := Kernel.DataPair()
			must(t, err)
			return a, b
		}},
		"who accepted":  {false, func() (x, y Socket) { a, b := connected(); return b, a }},
		"who connected": {true, func() (x, y Socket) { a, b := connected(); return a, b }},
		"what stays of a pair that moves": {true, func() (x, y Socket) {
			a, b := moved.data(t)
			return a, b
		}},
		"what somebody sent": {false, func() (x, y Socket) {
			a, b := moved.data(t)
			return b, a
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				x, y := w.make()
				limit := func(fd int) int64 {
					tv, err := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
					must(t, err)
					return tv.Nano()
				}
				// Have it learn that receiving waits.
				set := false
				for i := 0; i < 3 || w.alone && !set && i < 1000; i++ {
					time.AfterFunc(time.Millisecond, func() { _ = y.Send(ctx, []byte("x")) })
					_, err := x.Receive(ctx)
					must(t, err)
					set = limit(x.core().e.k.fd) != 0
				}
				if set != w.alone {
					t.Errorf("it has a time limit: %v", set)
				}
				ended := make(chan error, 4)
				for range 4 {
					go func() {
						_, err := x.Receive(ctx)
						ended <- err
					}()
				}
				time.Sleep(time.Millisecond)
				f, err := x.(filer).File()
				must(t, err)
				raw, err := f.SyscallConn()
				must(t, err)
				must(t, raw.Control(func(fd uintptr) {
					if n := limit(int(fd)); n != 0 {
						t.Errorf("a time limit of %d ns", n)
					}
				}))
				must(t, x.Close())
				for range 4 {
					want(t, <-ended, unix.EBADF)
				}
				var z Socket
				if x.Kind() == KindDataSocket {
					z, err = NewDataSocket(f)
				} else {
					z, err = NewConnectedSocket(f)
				}
				must(t, err)
				exchange(t, y, z, "still works")
				must(t, y.Close())
				_, err = z.Receive(ctx)
				want(t, err, io.EOF)
				must(t, z.Close())
			}
		})
	}
}

// Thousands that wait take no threads and lose nothing.
func TestManyWait(t *testing.T) {
	ctx := within(t)
	const n = 300
	var wg sync.WaitGroup
	var ends []*DataSocket
	for range n {
		x, y, err := Kernel.DataPair()
		must(t, err)
		ends = append(ends, x)
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer y.Close()
			for {
				m, err := y.Receive(ctx)
				if err == io.EOF {
					return
				}
				if err == nil {
					err = y.Send(ctx, m.Data)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for round := range 3 {
		for _, x := range ends {
			must(t, x.Send(ctx, []byte{byte(round)}))
		}
		for _, x := range ends {
			m, err := x.Receive(ctx)
			must(t, err)
			if m.Data[0] != byte(round) {
				t.Fatal(m.Data)
			}
		}
		time.Sleep(30 * time.Millisecond)
	}
	for _, x := range ends {
		must(t, x.Close())
	}
	wg.Wait()
}
