package runtime

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMaxCPU(t *testing.T) {
	settled(t, func() {
		d := newGuestWith(t, Config{CPU: NewCPUBudget(30 * time.Millisecond)})
		for range 3 {
			thread(t, d, "spin").Start()
		}
		e := d.Wait(t.Context())
		var limit *CPULimitError
		if !errors.As(e.Err, &limit) || limit.Max != 30*time.Millisecond || e.Signal != int(unix.SIGXCPU) {
			t.Errorf("%+v", e)
		}
		if s := d.Stats(); s.CPU < limit.Max || s.Started != 3 {
			t.Errorf("%+v", s)
		}
		d.Close()
	})
}

// TestCPUBudget: domains that share one end together, also those that have done
// nothing.
func TestCPUBudget(t *testing.T) {
	b := NewCPUBudget(20 * time.Millisecond)
	busy, lazy := newGuestWith(t, Config{CPU: b}), newGuestWith(t, Config{CPU: b})
	thread(t, busy, "spin").Start()
	var limit *CPULimitError
	if e := busy.Wait(t.Context()); !errors.As(e.Err, &limit) {
		t.Errorf("%+v", e)
	}
	if e := lazy.Wait(t.Context()); !errors.As(e.Err, &limit) {
		t.Errorf("the other one: %+v", e)
	}
	if b.Used() < 20*time.Millisecond || lazy.Stats().CPU != 0 {
		t.Errorf("%v, of which the other one %v", b.Used(), lazy.Stats().CPU)
	}
}

// TestCPUOfSleepers: who sleeps in a call, or stands still, uses nothing.
func TestCPUOfSleepers(t *testing.T) {
	var calls atomic.Int32
	d := newGuestWith(t, Config{CPU: NewCPUBudget(time.Hour), Personality: &scripted{syscall: func(th *Thread, nr uint64, a [6]uint64) int64 {
		calls.Add(1)
		if th.Park(time.Time{}) == Interrupted {
			return Restart
		}
		return 0
	}}})
	thread(t, d, "call", 1).Start()
	eventually(t, "the call", func() bool { return calls.Load() > 0 })
	thread(t, d, "count") // not started
	start := d.Stats().CPU
	looks := func() uint64 { clock.mu.Lock(); defer clock.mu.Unlock(); return clock.looks }
	for first := looks(); looks() < first+10; {
		time.Sleep(time.Millisecond)
	}
	if s := d.Stats(); s.CPU != start || s.Threads != 2 || s.Memory == 0 {
		t.Errorf("%+v, before %v", s, start)
	}
	for _, th := range d.Threads() {
		if th.start != nil && th.start.entry == symbol(t, "count") {
			th.Drop()
		}
	}
}
