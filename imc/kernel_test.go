package imc

import (
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A socket that is given away while somebody waits in it has no time limit for those
// who get it, and who waits is not left waiting for ever.
func TestShareWhileReceiving(t *testing.T) {
	ctx := within(t)
	for range 20 {
		x, y, err := Kernel.DataPair()
		must(t, err)
		// Have it learn that receiving waits.
		for range 3 {
			time.AfterFunc(time.Millisecond, func() { _ = y.Send(ctx, []byte("x")) })
			_, err := x.Receive(ctx)
			must(t, err)
		}
		ended := make(chan error, 4)
		for range 4 {
			go func() {
				_, err := x.Receive(ctx)
				ended <- err
			}()
		}
		time.Sleep(time.Millisecond)
		f, err := x.File()
		must(t, err)
		raw, err := f.SyscallConn()
		must(t, err)
		must(t, raw.Control(func(fd uintptr) {
			if tv, err := unix.GetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_RCVTIMEO); err != nil || tv.Nano() != 0 {
				t.Errorf("a time limit of %v, %v", tv, err)
			}
		}))
		must(t, x.Close())
		for range 4 {
			want(t, <-ended, unix.EBADF)
		}
		z, err := NewDataSocket(f)
		must(t, err)
		exchange(t, y, z, "still works")
		must(t, y.Close())
		_, err = z.Receive(ctx)
		want(t, err, io.EOF)
		must(t, z.Close())
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
