package runtime

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCall(t *testing.T) {
	d := newGuest(t, nil)
	got, err := d.Call(t.Context(), symbol(t, "add"), 40, 2)
	if got != 42 || err != nil {
		t.Errorf("add(40, 2) = %d, %v", got, err)
	}
	got, err = d.Call(t.Context(), symbol(t, "call"), 1)
	if int64(got) != -errNoSys || err != nil {
		t.Errorf("a call without personality: %d, %v", int64(got), err)
	}
	if got, err = d.Call(t.Context(), symbol(t, "nullcall")); got != 0 || err != nil {
		t.Errorf("NaCl's null call: %d, %v", got, err)
	}
	if got, err = d.Call(t.Context(), symbol(t, "nonecall")); int64(got) != -errNoSys || err != nil {
		t.Errorf("a NaCl call that nobody serves: %d, %v", int64(got), err)
	}
}

func TestExit(t *testing.T) {
	d := newGuest(t, &scripted{syscall: func(t *Thread, nr uint64, a [6]uint64) int64 {
		t.Domain().Exit(int(nr))
		return 0
	}})
	thread(t, d, "call", 300).Start()
	if e := d.Wait(t.Context()); e.Code != 300&0xff || e.Signal != 0 || e.Err != nil {
		t.Errorf("%+v", e)
	}
}

// TestLastThreadEnds: the first thread leaves, the other goes on; the domain ends
// with the last, with the code of the first.
func TestLastThreadEnds(t *testing.T) {
	release := make(chan struct{})
	d := newGuest(t, &scripted{syscall: func(t *Thread, nr uint64, a [6]uint64) int64 {
		if nr == 2 {
			<-release
		}
		t.Exit(int(a[0]))
		return 0
	}})
	first, second := thread(t, d, "call", 1, 7), thread(t, d, "call", 2, 9)
	first.Start()
	second.Start()
	eventually(t, "the first thread leaves", func() bool { return d.Thread(first.TID()) == nil })
	if _, ended := d.Ending(); ended {
		t.Fatal("the domain ended with the first thread")
	}
	close(release)
	if e := d.Wait(t.Context()); e.Code != 7 {
		t.Errorf("%+v", e)
	}
}

func TestDeadlineStopsLoop(t *testing.T) {
	for _, name := range []string{"spin", "count"} {
		d := newGuest(t, nil)
		thread(t, d, name).Start()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		start := time.Now()
		e := d.Wait(ctx)
		cancel()
		if !errors.Is(e.Err, context.DeadlineExceeded) || e.Signal != int(unix.SIGKILL) {
			t.Errorf("%s: %+v", name, e)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestDeadlineStopsCall(t *testing.T) {
	d := newGuest(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := d.Call(ctx, symbol(t, "spin"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := d.Call(t.Context(), symbol(t, "add")); !errors.Is(err, ErrEnded) {
		t.Errorf("a call of a domain that ended: %v", err)
	}
}

// TestEndWakesBlocked: threads in Park, in ParkPoll, in a futex and in a loop all
// leave when the domain ends.
func TestEndWakesBlocked(t *testing.T) {
	settled(t, func() {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pipe[0])
		defer unix.Close(pipe[1])
		var waiting atomic.Int32
		d := newGuest(t, &scripted{syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
			waiting.Add(1)
			switch nr {
			case 1:
				for th.Park(time.Time{}) != Interrupted {
				}
			case 2:
				fds := []unix.PollFd{{Fd: int32(pipe[0]), Events: unix.POLLIN}}
				for {
					if why, _ := th.ParkPoll(fds, time.Time{}); why == Interrupted {
						break
					}
				}
			case 3:
				if err := th.FutexWait(guestData, false, 0, 1, time.Time{}); err != ErrFutexInterrupted {
					t.Errorf("futex: %v", err)
				}
			}
			return Restart
		}})
		const each = 5
		for range each {
			thread(t, d, "call", 1).Start()
			thread(t, d, "call", 2).Start()
			thread(t, d, "call", 3).Start()
		}
		thread(t, d, "spin").Start()
		eventually(t, "all wait", func() bool { return waiting.Load() == 3*each })
		start := time.Now()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestManyDomainsLeaveNothing(t *testing.T) {
	settled(t, func() {
		for range 20 {
			d := newGuest(t, nil)
			if got, err := d.Call(t.Context(), symbol(t, "add"), 1, 2); got != 3 || err != nil {
				t.Fatal(got, err)
			}
			thread(t, d, "spin").Start()
			thread(t, d, "add") // never started; must be dropped by hand
			for _, th := range d.Threads() {
				if th.start != nil && th.start.entry == symbol(t, "add") {
					th.Drop()
				}
			}
			d.Close()
		}
	})
}

func TestFaults(t *testing.T) {
	for name, want := range map[string]struct {
		signal unix.Signal
		instr  string
	}{
		"nullread": {unix.SIGSEGV, "mov"}, "nested": {unix.SIGSEGV, "mov"}, "divide": {unix.SIGFPE, "div"},
		"illegal": {unix.SIGILL, "ud2"}, "recurse": {unix.SIGSEGV, "call"},
	} {
		d := newGuestWith(t, Config{ControlStackSize: 64 << 10, Symbolizer: testSymbols{}})
		thread(t, d, name).Start()
		e := d.Wait(t.Context())
		var f *FaultError
		if !errors.As(e.Err, &f) || e.Signal != int(want.signal) || f.Signal != int(want.signal) {
			t.Errorf("%s: %+v", name, e)
			continue
		}
		if !strings.Contains(f.Instruction, want.instr) {
			t.Errorf("%s: instruction %q", name, f.Instruction)
		}
		if len(f.Backtrace) == 0 || !strings.Contains(f.Backtrace[0].String(), "somewhere") {
			t.Errorf("%s: backtrace %v", name, f.Backtrace)
		}
		if base := d.Cage().Base(); strings.Contains(f.Report(), strings.TrimPrefix(hexOf(uint64(base)), "0x")[:6]) {
			t.Errorf("%s: the report shows the base:\n%s", name, f.Report())
		}
		switch name {
		case "nullread":
			if !f.HasAddr || f.Addr != 8 || f.Kind != "read" {
				t.Errorf("%s: %+v", name, f)
			}
		case "nested":
			if len(f.Backtrace) != 2 {
				t.Errorf("%s: backtrace %v", name, f.Backtrace)
			}
		}
	}
}

func hexOf(v uint64) string {
	const digits = "0123456789abcdef"
	out := ""
	for ; v != 0; v >>= 4 {
		out = string(digits[v&15]) + out
	}
	return "0x" + out
}

type testSymbols struct{}

func (testSymbols) Symbol(addr uint32) (Symbol, bool) {
	return Symbol{Object: "guest.s", Function: "somewhere", Offset: addr - guestText}, true
}

// TestHandlers: an interrupted computation goes on as if nothing had happened.
func TestHandlers(t *testing.T) {
	var sent, got atomic.Int32
	var returned atomic.Int32
	d := newGuest(t, &scripted{
		attention: func(th *Thread) {
			if sent.Load() == got.Load() {
				return
			}
			got.Store(sent.Load())
			if err := th.PushHandler(Handler{Entry: symbol(t, "handler"), Stack: guestStack - 0x1000, Args: []uint64{1}, Tag: "x"}); err != nil {
				t.Error(err)
			}
		},
		returned: func(th *Thread, tag any) {
			if tag != "x" {
				t.Errorf("tag %v", tag)
			}
			returned.Add(1)
		},
	})
	h, err := d.NewHostThread(0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			if sum, err := h.Call(t.Context(), symbol(t, "preserved"), 200000); sum != 2+12+13+8+9+10+6 || err != nil {
				t.Errorf("sum %d, %v", sum, err)
				return
			}
		}
	}()
	for {
		select {
		case <-done:
			if n := load(t, d, guestData+8); n != uint64(returned.Load()) || n == 0 {
				t.Errorf("%d handlers ran, %d returned", n, returned.Load())
			}
			t.Logf("%d handlers", returned.Load())
			return
		case <-time.After(50 * time.Microsecond):
			sent.Add(1)
			h.Thread().Kick()
		}
	}
}

// TestHandlersBeforeTheyBegin: an interruption that comes before the handler of
// the last one has run an instruction puts the next one on top of it.
func TestHandlersBeforeTheyBegin(t *testing.T) {
	const each = 6
	pushed, returned := 0, 0
	d := newGuest(t, &scripted{
		syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
			pushed = 0
			th.Kick()
			return 9
		},
		attention: func(th *Thread) {
			if pushed < each {
				pushed++
				if err := th.PushHandler(Handler{Entry: symbol(t, "handler"), Stack: guestStack - 0x1000, Args: []uint64{1}}); err != nil {
					t.Error(err)
				}
				th.Kick()
			}
		},
		returned: func(th *Thread, tag any) { returned++ },
	})
	for i := 1; i <= 3; i++ {
		// At a call, and at the beginning of a function.
		pushed = each * (i % 2)
		if got, err := d.Call(t.Context(), symbol(t, "calls"), 1, 4); got != 4*9 || err != nil {
			t.Fatalf("%d, %v", got, err)
		}
	}
	if n := load(t, d, guestData+8); n != uint64(returned) || n < 3*4*each {
		t.Errorf("%d handlers ran, %d returned", n, returned)
	}
}

// TestRestart: a call that is cut short is made again after the handler, or is
// -EINTR, as handler and call want it.
func TestRestart(t *testing.T) {
	for _, c := range []struct {
		cut     int64
		restart bool
		calls   int32
		result  int64
	}{
		{Restart, true, 2, 5}, {Restart, false, 1, -errIntr},
		{RestartUnlessHandled, true, 1, -errIntr}, {RestartUnlessHandled, false, 1, -errIntr},
	} {
		var calls atomic.Int32
		pending := true
		d := newGuest(t, &scripted{
			syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
				if nr != 77 || a[0] != 88 {
					t.Errorf("call %d(%d)", nr, a[0])
				}
				if calls.Add(1) == 1 {
					th.Kick()
					if th.Park(time.Time{}) != Interrupted {
						t.Error("not interrupted")
					}
					return c.cut
				}
				return 5
			},
			attention: func(th *Thread) {
				if pending {
					pending = false
					if err := th.PushHandler(Handler{Entry: symbol(t, "handler"), Stack: guestStack - 0x1000, Args: []uint64{1}, Restart: c.restart}); err != nil {
						t.Error(err)
					}
				}
			},
		})
		got, err := d.Call(t.Context(), symbol(t, "call"), 77, 88)
		if err != nil || int64(got) != c.result || calls.Load() != c.calls {
			t.Errorf("%+v: %d after %d calls, %v", c, int64(got), calls.Load(), err)
		}
	}
}

// TestRestartWithoutHandler: a kick that leads to nothing is not seen.
func TestRestartWithoutHandler(t *testing.T) {
	n := 0
	d := newGuest(t, &scripted{syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
		if n > 0 && th.Progress() != n {
			t.Errorf("progress %v, want %d", th.Progress(), n)
		}
		if n++; n < 5 {
			th.SetProgress(n)
			return RestartUnlessHandled
		}
		return 9
	}})
	if got, err := d.Call(t.Context(), symbol(t, "call"), 1); got != 9 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

// TestJumpOutOfHandler: handlers that never return leave no state behind.
func TestJumpOutOfHandler(t *testing.T) {
	var th *Thread
	most := 0
	d := newGuest(t, &scripted{
		syscall: func(x *Thread, nr uint64, a [6]uint64) int64 {
			th = x
			x.Kick()
			return 0
		},
		attention: func(x *Thread) {
			if x != th {
				return
			}
			th = nil
			if err := x.PushHandler(Handler{Entry: symbol(t, "jumpinghandler"), Stack: guestStack - 0x1000}); err != nil {
				t.Error(err)
			}
			most = max(most, len(x.frames))
		},
	})
	const n = 5000
	got, err := d.Call(t.Context(), symbol(t, "jumploop"), 1, n)
	if got != n || err != nil {
		t.Errorf("%d jumps, %v", got, err)
	}
	if most != 1 {
		t.Errorf("%d handlers were remembered at once", most)
	}
}

// TestFaultHandler: a fault becomes a handler, which leaves by a jump.
func TestFaultHandler(t *testing.T) {
	for _, name := range []string{"nullread", "divide", "illegal"} {
		n := 0
		d := newGuest(t, &scripted{fault: func(th *Thread, f *FaultError) bool {
			n++
			if err := th.PushHandler(Handler{Entry: symbol(t, "fixhandler"), Stack: guestStack - 0x1000}); err != nil {
				t.Error(err)
			}
			return true
		}})
		got, err := d.Call(t.Context(), symbol(t, "guardedfault"), uint64(symbol(t, name)))
		if got != 1 || err != nil || n != 1 {
			t.Errorf("%s: %d, %v, %d faults", name, got, err, n)
		}
	}
}

// TestInvoke: host functions that call the guest again, to some depth.
func TestInvoke(t *testing.T) {
	d := newGuest(t, &scripted{syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
		if nr == 0 {
			return 0
		}
		r, err := th.Invoke(symbol(t, "call"), nr-1, 0)
		if err != nil {
			t.Errorf("depth %d: %v", nr, err)
			return -1
		}
		return int64(r) + 1
	}})
	if got, err := d.Call(t.Context(), symbol(t, "call"), 500); got != 500 || err != nil {
		t.Errorf("depth %d, %v", got, err)
	}
	// The end of the domain unwinds all of it.
	d2 := newGuest(t, &scripted{syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
		if nr == 0 {
			th.Domain().Exit(3)
			return 0
		}
		if _, err := th.Invoke(symbol(t, "call"), nr-1, 0); err == nil {
			t.Errorf("depth %d returned", nr)
		}
		return 0
	}})
	thread(t, d2, "call", 50).Start()
	if e := d2.Wait(t.Context()); e.Code != 3 {
		t.Errorf("%+v", e)
	}
}

func TestMaxThreads(t *testing.T) {
	d := newGuestWith(t, Config{MaxThreads: 3})
	for range 3 {
		thread(t, d, "spin").Start()
	}
	if _, err := d.NewThread(ThreadConfig{Entry: symbol(t, "spin")}); err != ErrThreads {
		t.Errorf("%v", err)
	}
}

func TestManyThreads(t *testing.T) {
	const n = 1000
	var arrived atomic.Int32
	d := newGuestWith(t, Config{ControlStackSize: 16 << 10, Personality: &scripted{syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
		if arrived.Add(1) == n {
			th.Domain().FutexWake(guestData, false, n, 1)
		} else {
			_ = th.FutexWait(guestData, false, 0, 1, time.Time{})
		}
		th.Exit(0)
		return 0
	}}})
	// The last one may wake before the others wait: let it be the last to start.
	for range n - 1 {
		thread(t, d, "call", 1).Start()
	}
	eventually(t, "all but one arrive", func() bool { return arrived.Load() == n-1 })
	time.Sleep(20 * time.Millisecond)
	thread(t, d, "call", 1).Start()
	if e := d.Wait(t.Context()); e.Code != 0 || e.Err != nil {
		t.Errorf("%+v", e)
	}
}

func BenchmarkSyscall(b *testing.B) {
	d := newGuest(b, &scripted{syscall: func(*Thread, uint64, [6]uint64) int64 { return 0 }})
	h, err := d.NewHostThread(0)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	calls := symbol(b, "calls")
	b.ResetTimer()
	if _, err := h.Call(b.Context(), calls, 1, uint64(b.N)); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCall(b *testing.B) {
	d := newGuest(b, nil)
	h, err := d.NewHostThread(0)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	add := symbol(b, "add")
	ctx := context.Background()
	for b.Loop() {
		if _, err := h.Call(ctx, add, 1, 2); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDomain(b *testing.B) {
	for b.Loop() {
		d := newGuest(b, nil)
		d.Close()
	}
}
