package runtime

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const counter = guestData // what count counts up

func stands(t *testing.T, d *Domain) {
	t.Helper()
	before := load(t, d, counter)
	time.Sleep(5 * time.Millisecond)
	if after := load(t, d, counter); after != before {
		t.Errorf("suspended, and the guest has counted from %d to %d", before, after)
	}
}

func goesOn(t *testing.T, d *Domain) {
	t.Helper()
	before := load(t, d, counter)
	eventually(t, "the guest goes on", func() bool { return load(t, d, counter) != before })
}

func suspend(t *testing.T, d *Domain) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := d.Suspend(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestSuspend(t *testing.T) {
	d := newGuest(t, nil)
	for range 4 {
		thread(t, d, "count").Start()
	}
	goesOn(t, d)
	for range 20 {
		suspend(t, d)
		stands(t, d)
		d.Resume()
		goesOn(t, d)
	}
	// Nested.
	suspend(t, d)
	suspend(t, d)
	d.Resume()
	stands(t, d)
	d.Resume()
	goesOn(t, d)
	d.Resume() // one too many does nothing
	goesOn(t, d)
}

// TestSuspendOthers: threads that begin, and calls of the host, wait.
func TestSuspendOthers(t *testing.T) {
	d := newGuest(t, nil)
	h, err := d.NewHostThread(0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	early := thread(t, d, "count")
	suspend(t, d)
	late := thread(t, d, "count")
	early.Start()
	late.Start()
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		if r, err := h.Call(t.Context(), symbol(t, "add"), 2, 3); err != nil || r != 5 {
			t.Errorf("%d, %v", r, err)
		}
		done.Store(true)
	})
	stands(t, d)
	if done.Load() {
		t.Error("a call went through a suspended domain")
	}
	d.Resume()
	wg.Wait()
	goesOn(t, d)
	suspend(t, d)
	stands(t, d)
	d.Resume()
}

// TestSuspendWaits: a system call that sleeps is no obstacle, and sleeps on.
func TestSuspendWaits(t *testing.T) {
	var calls, woken atomic.Int32
	d := newGuest(t, &scripted{syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
		calls.Add(1)
		deadline, ok := th.Progress().(time.Time)
		if !ok {
			deadline = time.Now().Add(50 * time.Millisecond)
		}
		if th.Park(deadline) == Interrupted {
			th.SetProgress(deadline)
			return RestartUnlessHandled
		}
		woken.Add(1)
		return 7
	}})
	thread(t, d, "call", 1).Start()
	eventually(t, "the call", func() bool { return calls.Load() > 0 })
	suspend(t, d)
	time.Sleep(60 * time.Millisecond)
	if woken.Load() != 0 {
		t.Error("the call has come back")
	}
	d.Resume()
	if e := d.Wait(t.Context()); e.Err != nil || e.Code != 7 {
		t.Errorf("%+v", e)
	}
}

// TestSuspendFunction: a Go function that the guest has called is waited for.
func TestSuspendFunction(t *testing.T) {
	d := newGuest(t, nil)
	inside, release := make(chan *HostCall, 1), make(chan struct{})
	f, err := d.AddHostFunc(func(c *HostCall) {
		if err := d.Suspend(c.Context()); err != ErrBusy {
			t.Errorf("from within: %v", err)
		}
		inside <- c
		<-release
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.NewHostThread(0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := h.Call(t.Context(), f); err != nil {
			t.Error(err)
		}
	})
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Suspend(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { close(release) })
	suspend(t, d)
	d.Resume()
	wg.Wait()
}

// TestSuspendEnd: a suspended domain ends like any other.
func TestSuspendEnd(t *testing.T) {
	settled(t, func() {
		d := newGuest(t, nil)
		for range 4 {
			thread(t, d, "count").Start()
		}
		goesOn(t, d)
		suspend(t, d)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := d.Suspend(t.Context()); err != nil {
			t.Error(err) // there is nothing left that could move
		}
		d.Resume()
	})
}

// TestSuspendStorm suspends from several sides while calls and threads come and go.
func TestSuspendStorm(t *testing.T) {
	d := newGuest(t, nil)
	thread(t, d, "count").Start()
	stop := make(chan struct{})
	var wg, callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			h, err := d.NewHostThread(0)
			if err != nil {
				t.Error(err)
				return
			}
			defer h.Close()
			for i := uint64(0); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := h.Call(t.Context(), symbol(t, "add"), i, 1); err != nil || r != i+1 {
					t.Errorf("%d, %v", r, err)
					return
				}
			}
		})
	}
	var held atomic.Int32
	for range 3 {
		wg.Go(func() {
			for range 100 {
				if err := d.Suspend(t.Context()); err != nil {
					t.Error(err)
					return
				}
				held.Add(1)
				before := load(t, d, counter)
				time.Sleep(50 * time.Microsecond)
				if load(t, d, counter) != before {
					t.Error("it moves")
				}
				held.Add(-1)
				d.Resume()
			}
		})
	}
	wg.Wait()
	goesOn(t, d)
	close(stop)
	callers.Wait()
}
