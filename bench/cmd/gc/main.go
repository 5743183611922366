// Command gc measures whether anybody waits for guests: what a garbage collection and a
// timer take while every processor runs a loop, of Go code, or of C code in a halite
// domain, and how soon a guest in a loop is stopped when its context ends. All kinds take
// turns; the quantiles are printed as Markdown tables.
//
//	make sysroot
//	cd bench && CGO_ENABLED=0 go run ./cmd/gc -write ../docs/performance.md
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/bench"
)

const source = "void spin(void) { for (;;) __asm__ volatile(\"\"); }\n"

// nap is what a timer is set to.
const nap = time.Millisecond

func main() {
	rounds := flag.Int("rounds", 10, "turns of each kind of loop")
	samples := flag.Int("samples", 50, "of each kind in a turn")
	output := flag.String("write", "", "a Markdown file whose part between the marks is replaced by the table")
	flag.Parse()
	var w strings.Builder
	err := run(&w, *rounds, *samples)
	if err == nil {
		fmt.Print(w.String())
		if *output != "" {
			err = bench.Replace(*output, "gc", w.String())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gc:", err)
		os.Exit(1)
	}
}

// A loop keeps every processor busy until it is stopped.
type loop struct {
	name   string
	start  func() (stop func() error, err error)
	gc     []time.Duration
	timers []time.Duration // later than they should
}

func run(w io.Writer, rounds, samples int) error {
	dir, err := os.MkdirTemp("", "gc")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, err := bench.Library(dir, source)
	if err != nil {
		return err
	}
	list := []*loop{{name: "nothing", start: func() (func() error, error) { return func() error { return nil }, nil }},
		{name: "Go", start: spinGo}, {name: "guests", start: func() (func() error, error) { return spinGuests(c) }}}
	ends := []*end{{name: "one processor idle"}, {name: "all processors busy with loops of Go", busy: true}}
	heap := ballast()
	for range rounds {
		for _, l := range list {
			if err := l.measure(samples); err != nil {
				return err
			}
		}
		for _, e := range ends {
			if err := e.measure(c, samples/5); err != nil {
				return err
			}
		}
	}
	runtime.KeepAlive(heap)
	fmt.Fprintf(w, "Measured on %s, %d processors for Go, a heap of 64 MiB in small pieces; %d samples each, in %d turns.\n\n",
		bench.Machine(), runtime.GOMAXPROCS(0), len(list[0].gc), rounds)
	fmt.Fprintf(w, "| loops of | runtime.GC, median | 99 %% | a timer is late by, median | 99 %% |\n|---|---:|---:|---:|---:|\n")
	for _, l := range list {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", l.name, quantile(l.gc, .5), quantile(l.gc, .99), quantile(l.timers, .5), quantile(l.timers, .99))
	}
	fmt.Fprintf(w, "\n| from the end of the context to the return of the call, with | median | 99 %% | samples |\n|---|---:|---:|---:|\n")
	for _, e := range ends {
		fmt.Fprintf(w, "| %s | %s | %s | %d |\n", e.name, quantile(e.took, .5), quantile(e.took, .99), len(e.took))
	}
	return nil
}

// end is how long the end of a guest in a loop takes.
type end struct {
	name string
	busy bool
	took []time.Duration
}

func (e *end) measure(c halite.Config, samples int) error {
	if e.busy {
		stop, err := spinGo()
		if err != nil {
			return err
		}
		defer stop()
	}
	for range samples {
		lib, err := halite.Load(context.Background(), c)
		if err != nil {
			return err
		}
		spin, err := lib.Func("spin")
		if err != nil {
			lib.Close()
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		var ended time.Time
		time.AfterFunc(15*time.Millisecond, func() { ended = time.Now(); cancel() })
		_, err = spin.Call(ctx)
		if err != context.Canceled {
			err = fmt.Errorf("a call whose context ended: %w", err)
			lib.Close()
			return err
		}
		e.took = append(e.took, time.Since(ended))
		if err := lib.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) measure(samples int) error {
	stop, err := l.start()
	if err != nil {
		return err
	}
	time.Sleep(30 * time.Millisecond) // past a guest's first slice
	for range samples {
		begin := time.Now()
		runtime.GC()
		l.gc = append(l.gc, time.Since(begin))
		begin = time.Now()
		time.Sleep(nap)
		l.timers = append(l.timers, time.Since(begin)-nap)
	}
	return stop()
}

func spinGo() (stop func() error, err error) {
	var over atomic.Bool
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !over.Load() {
			}
		})
	}
	return func() error { over.Store(true); wg.Wait(); return nil }, nil
}

func spinGuests(c halite.Config) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var list []*halite.Library
	end := func() error {
		cancel()
		wg.Wait()
		for _, lib := range list {
			lib.Close()
		}
		return nil
	}
	for range runtime.GOMAXPROCS(0) {
		lib, err := halite.Load(ctx, c)
		if err != nil {
			return nil, err
		}
		list = append(list, lib)
		spin, err := lib.Func("spin")
		if err != nil {
			_ = end()
			return nil, err
		}
		wg.Go(func() { _, _ = spin.Call(ctx) })
	}
	return end, nil
}

// ballast is something to collect.
func ballast() []*[64]byte {
	list := make([]*[64]byte, 1<<20)
	for i := range list {
		list[i] = new([64]byte)
	}
	return list
}

func quantile(l []time.Duration, q float64) time.Duration {
	l = slices.Clone(l)
	slices.Sort(l)
	return l[int(q*float64(len(l)-1))].Round(10 * time.Microsecond)
}
