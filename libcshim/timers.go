package libcshim

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/runtime"
)

// timerState holds the timers of timer_create.
type timerState struct {
	mu     sync.Mutex
	timers map[int]*guestTimer
	last   int
	over   bool
}

// maxTimers bounds the timers of a process.
const maxTimers = 1024

type guestTimer struct {
	id     int
	clock  int
	signo  int // 0: none
	value  uint64
	target *task // nil: the process
	timer  *time.Timer
	at     time.Time
	every  time.Duration
	turn   int
	missed int // expirations since the last signal was sent
}

func (s *timerState) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, t := range s.timers {
		t.disarm()
	}
	s.timers = nil
}

func (t *guestTimer) disarm() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.turn++
}

func (t *guestTimer) left() time.Duration {
	if t.timer == nil {
		return 0
	}
	return max(time.Until(t.at), 1)
}

// Layout of struct sigevent: value, signo, notify, thread id.
const (
	sigevSignal   = 0
	sigevNone     = 1
	sigevThreadID = 4
)

func sysTimerCreate(k *task, a *args) (int64, error) {
	clock := int32Arg(a[0])
	if _, err := k.p.clock(clock); err != nil {
		return 0, err
	}
	if isCPUClock(clock) {
		return 0, unix.EOPNOTSUPP
	}
	t := &guestTimer{clock: clock, signo: int(unix.SIGALRM)}
	explicit := uint32(a[1]) != 0
	if explicit {
		var b [20]byte
		if err := k.read(a[1], b[:]); err != nil {
			return 0, err
		}
		t.value, t.signo = le.Uint64(b[0:]), int(int32(le.Uint32(b[8:])))
		switch int(le.Uint32(b[12:])) {
		case sigevNone:
			t.signo = 0
		case sigevThreadID:
			target, err := k.taskOf(int(int32(le.Uint32(b[16:]))))
			if err != nil {
				return 0, unix.EINVAL
			}
			t.target = target
		case sigevSignal:
		default:
			return 0, unix.EINVAL
		}
		if t.signo < 0 || t.signo > numSignals {
			return 0, unix.EINVAL
		}
	}
	s := &k.p.timers
	s.mu.Lock()
	if s.over || len(s.timers) >= maxTimers {
		s.mu.Unlock()
		return 0, unix.EAGAIN
	}
	if s.timers == nil {
		s.timers = make(map[int]*guestTimer)
	}
	t.id = s.last
	s.last++
	if !explicit {
		t.value = uint64(t.id)
	}
	s.timers[t.id] = t
	s.mu.Unlock()
	return 0, k.store32(a[2], uint32(t.id))
}

func (k *task) timer(id uint64) (*guestTimer, error) {
	t := k.p.timers.timers[int32Arg(id)]
	if t == nil {
		return nil, unix.EINVAL
	}
	return t, nil
}

// Layout of struct itimerspec: interval and value.
func encodeItimerspec(left, every time.Duration) []byte {
	b := make([]byte, 32)
	le.PutUint64(b[0:], uint64(every/time.Second))
	le.PutUint64(b[8:], uint64(every%time.Second))
	le.PutUint64(b[16:], uint64(left/time.Second))
	le.PutUint64(b[24:], uint64(left%time.Second))
	return b
}

func sysTimerSettime(k *task, a *args) (int64, error) {
	every, err := k.timespec(a[2])
	if err != nil {
		return 0, err
	}
	first, err := k.timespec(a[2] + 16)
	if err != nil {
		return 0, err
	}
	s := &k.p.timers
	s.mu.Lock()
	t, err := k.timer(a[0])
	if err != nil {
		s.mu.Unlock()
		return 0, err
	}
	left, interval := t.left(), t.every
	t.disarm()
	t.every = runtime.Seconds(every.Sec, every.Nsec)
	if first != (unix.Timespec{}) {
		const timerAbstime = 1
		t.at = time.Now().Add(runtime.Seconds(first.Sec, first.Nsec))
		if a[1]&timerAbstime != 0 {
			t.at = absolute(t.clock, first)
		}
		turn := t.turn
		t.timer = time.AfterFunc(max(time.Until(t.at), 0), func() { k.p.timerRings(t, turn) })
	}
	s.mu.Unlock()
	if uint32(a[3]) != 0 {
		return 0, k.write(a[3], encodeItimerspec(left, interval))
	}
	return 0, nil
}

// minPeriod keeps a guest from keeping the host busy with timers.
const minPeriod = 50 * time.Microsecond

func (p *Process) timerRings(t *guestTimer, turn int) {
	s := &p.timers
	s.mu.Lock()
	if t.turn != turn || s.over {
		s.mu.Unlock()
		return
	}
	missed := 0
	if t.every > 0 {
		t.at = t.at.Add(t.every)
		if late := time.Since(t.at); late > 0 {
			missed = int(late / t.every)
			t.at = t.at.Add(time.Duration(missed) * t.every)
		}
		t.timer.Reset(max(time.Until(t.at), minPeriod))
	} else {
		t.timer = nil
	}
	t.missed = missed
	s.mu.Unlock()
	if t.signo != 0 {
		_ = p.send(t.target, siginfo{signo: t.signo, code: siTimer, timer: t.id, overrun: missed, value: t.value})
	}
}

func sysTimerGettime(k *task, a *args) (int64, error) {
	s := &k.p.timers
	s.mu.Lock()
	t, err := k.timer(a[0])
	if err != nil {
		s.mu.Unlock()
		return 0, err
	}
	b := encodeItimerspec(t.left(), t.every)
	s.mu.Unlock()
	return 0, k.write(a[1], b)
}

func sysTimerGetoverrun(k *task, a *args) (int64, error) {
	s := &k.p.timers
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := k.timer(a[0])
	if err != nil {
		return 0, err
	}
	return int64(t.missed), nil
}

func sysTimerDelete(k *task, a *args) (int64, error) {
	s := &k.p.timers
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := k.timer(a[0])
	if err != nil {
		return 0, err
	}
	t.disarm()
	delete(s.timers, t.id)
	return 0, nil
}
