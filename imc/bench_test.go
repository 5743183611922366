package imc

import (
	"context"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

func BenchmarkMessage(b *testing.B) {
	for _, tr := range []Transport{Memory, Kernel} {
		b.Run(tr.String(), func(b *testing.B) {
			x, y, err := tr.DataPair()
			must(b, err)
			ctx := context.Background()
			data := make([]byte, 64)
			b.ReportAllocs()
			done := make(chan error)
			go func() {
				for {
					if _, err := y.Receive(ctx); err != nil {
						done <- err
						return
					}
				}
			}()
			defer cpuTime(b)()
			for b.Loop() {
				if err := x.Send(ctx, data); err != nil {
					b.Fatal(err)
				}
			}
			must(b, x.Close())
			if err := <-done; err != io.EOF {
				b.Error(err)
			}
			must(b, y.Close())
		})
	}
}

func BenchmarkPing(b *testing.B) {
	for _, tr := range []Transport{Memory, Kernel} {
		b.Run(tr.String(), func(b *testing.B) {
			x, y, err := tr.DataPair()
			must(b, err)
			ctx := context.Background()
			data := make([]byte, 64)
			b.ReportAllocs()
			go func() {
				for {
					m, err := y.Receive(ctx)
					if err != nil {
						return
					}
					_ = y.Send(ctx, m.Data)
				}
			}()
			defer cpuTime(b)()
			for b.Loop() {
				if err := x.Send(ctx, data); err != nil {
					b.Fatal(err)
				}
				if _, err := x.Receive(ctx); err != nil {
					b.Fatal(err)
				}
			}
			must(b, x.Close())
		})
	}
}

func BenchmarkCall(b *testing.B) { benchmarkCall(b, context.Background()) }

func BenchmarkCallCancellable(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	benchmarkCall(b, ctx)
}

func benchmarkCall(b *testing.B, ctx context.Context) {
	for _, tr := range []Transport{Memory, Kernel} {
		b.Run(tr.String(), func(b *testing.B) {
			acc, c, err := tr.Endpoints()
			must(b, err)
			data := make([]byte, 64)
			done := make(chan error)
			go func() {
				done <- Serve(ctx, acc, func(_ context.Context, data []byte, _ []Desc) ([]byte, []Desc, error) { return data, nil, nil })
			}()
			b.ReportAllocs()
			defer cpuTime(b)()
			for b.Loop() {
				if _, _, err := Call(ctx, c, data); err != nil {
					b.Fatal(err)
				}
			}
			must(b, c.Close())
			must(b, <-done)
			must(b, acc.Close())
		})
	}
}

// cpuTime reports what the process spent, which on a busy machine says more than
// what the clock says.
func cpuTime(b *testing.B) func() {
	now := func() int64 {
		var u unix.Rusage
		_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := now()
	return func() { b.ReportMetric(float64(now()-start)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkChannel is what a wake-up costs here: a round trip over Go channels.
func BenchmarkChannel(b *testing.B) {
	x, y := make(chan []byte, 1), make(chan []byte, 1)
	go func() {
		for v := range x {
			y <- v
		}
	}()
	defer cpuTime(b)()
	for b.Loop() {
		x <- nil
		<-y
	}
	close(x)
}
