package libcshim

import (
	goruntime "runtime"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTimer is ITIMER_VIRTUAL or ITIMER_PROF: it runs on the CPU time that getrusage tells,
// which is the host process's. The kernel has one such timer for all of it, so that these
// are looked at from time to time instead: they ring late, and never early.
// Guarded by signalState.mu.
type cpuTimer struct {
	timer *time.Timer
	at    time.Duration // on its clock
	every time.Duration
	turn  int // tells a look that comes late that the timer was replaced
}

const (
	itimerReal    = 0
	itimerVirtual = 1
	itimerProf    = 2
	cpuTimerCount = 2
)

// cpuTimerLook is the least time between two looks at a clock.
const cpuTimerLook = 10 * time.Millisecond

// cpuTimerClock reads the clock of a timer: user time, or all.
func cpuTimerClock(which int) time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	d := time.Duration(u.Utime.Nano())
	if which == itimerProf {
		d += time.Duration(u.Stime.Nano())
	}
	return d
}

// setCPUTimer arms one (0 disarms) and returns what was left of it.
func (p *Process) setCPUTimer(which int, first, every time.Duration) (left, interval time.Duration) {
	s := &p.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.cpuTimers[which-itimerVirtual]
	left, interval = t.left(which), t.every
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.turn++
	t.every = every
	if first > 0 {
		turn := t.turn
		t.at = cpuTimerClock(which) + first
		t.timer = time.AfterFunc(lookAfter(first), func() { p.lookAtCPUTimer(which, turn) })
	}
	return left, interval
}

// lookAfter is when a timer that has so much left is to be looked at: not before it can
// have used that up on all processors.
func lookAfter(left time.Duration) time.Duration {
	return max(left/time.Duration(goruntime.NumCPU()), cpuTimerLook)
}

func (t *cpuTimer) left(which int) time.Duration {
	if t.timer == nil {
		return 0
	}
	return max(t.at-cpuTimerClock(which), time.Microsecond)
}

func (p *Process) lookAtCPUTimer(which, turn int) {
	s := &p.signals
	s.mu.Lock()
	t := &s.cpuTimers[which-itimerVirtual]
	if t.turn != turn || t.timer == nil {
		s.mu.Unlock()
		return
	}
	now := cpuTimerClock(which)
	rings := now >= t.at
	switch {
	case !rings:
		t.timer.Reset(lookAfter(t.at - now))
	case t.every > 0:
		t.at = max(t.at+t.every, now)
		t.timer.Reset(lookAfter(t.at - now))
	default:
		t.timer = nil
	}
	s.mu.Unlock()
	if rings {
		signal := unix.SIGVTALRM
		if which == itimerProf {
			signal = unix.SIGPROF
		}
		_ = p.send(nil, siginfo{signo: int(signal), code: siKernel})
	}
}
