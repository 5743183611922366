package imc

import (
	"io"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A socket that is given away while somebody waits in it is unchanged for those who get
// it, and who waits is not left waiting for ever.
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
	for name, pair := range map[string]func() (x, y Socket){
		"a pair": func() (x, y Socket) {
			a, b, err := Kernel.DataPair()
			must(t, err)
			return a, b
		},
		"who accepted":  func() (x, y Socket) { a, b := connected(); return b, a },
		"who connected": func() (x, y Socket) { a, b := connected(); return a, b },
		"what stays of a pair that moves": func() (x, y Socket) {
			a, b := moved.data(t)
			return a, b
		},
		"what somebody sent": func() (x, y Socket) {
			a, b := moved.data(t)
			return b, a
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				x, y := pair()
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
