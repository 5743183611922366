package libcshim

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/runtime"
)

// Layout of the kernel's struct sigaction: handler, flags, restorer, mask.
const sigactionSize = 32

// sigsetSize is the only size that the kernel accepts.
const sigsetSize = 8

func sysRtSigaction(k *task, a *args) (int64, error) {
	n := int32Arg(a[0])
	if a[3] != sigsetSize || n < 1 || n > numSignals {
		return 0, unix.EINVAL
	}
	var act action
	if uint32(a[1]) != 0 {
		if unblockable.has(n) {
			return 0, unix.EINVAL
		}
		var b [sigactionSize]byte
		if err := k.read(a[1], b[:]); err != nil {
			return 0, err
		}
		act = action{handler: le.Uint64(b[0:]), flags: le.Uint64(b[8:]), restorer: le.Uint64(b[16:]), mask: sigset(le.Uint64(b[24:])) &^ unblockable}
		if act.handler >= cage.Size {
			return 0, unix.EINVAL
		}
	}
	s := &k.p.signals
	s.mu.Lock()
	old := s.actions[n]
	if uint32(a[1]) != 0 {
		s.actions[n] = act
		if s.ignores(n) {
			s.pending.drop(bit(n))
			for _, t := range k.p.tasks() {
				t.sig.pending.drop(bit(n))
			}
		}
	}
	s.mu.Unlock()
	if uint32(a[2]) != 0 {
		var b [sigactionSize]byte
		le.PutUint64(b[0:], old.handler)
		le.PutUint64(b[8:], old.flags)
		le.PutUint64(b[16:], old.restorer)
		le.PutUint64(b[24:], uint64(old.mask))
		return 0, k.write(a[2], b[:])
	}
	return 0, nil
}

// sigsetAt reads a signal set.
func (k *task) sigsetAt(addr uint64) (sigset, error) {
	v, err := k.p.mem.Load64(uint32(addr))
	return sigset(v), err
}

func sysRtSigprocmask(k *task, a *args) (int64, error) {
	if a[3] != sigsetSize {
		return 0, unix.EINVAL
	}
	old := k.sig.mask
	if uint32(a[1]) != 0 {
		set, err := k.sigsetAt(a[1])
		if err != nil {
			return 0, err
		}
		switch int32Arg(a[0]) {
		case unix.SIG_BLOCK:
			set |= old
		case unix.SIG_UNBLOCK:
			set = old &^ set
		case unix.SIG_SETMASK:
		default:
			return 0, unix.EINVAL
		}
		k.setMask(set)
	}
	if uint32(a[2]) != 0 {
		return 0, k.store64(a[2], uint64(old))
	}
	return 0, nil
}

func sysRtSigpending(k *task, a *args) (int64, error) {
	if a[1] > sigsetSize {
		return 0, unix.EINVAL
	}
	k.p.signals.mu.Lock()
	set := (k.sig.pending.set | k.p.signals.pending.set) & k.sig.mask
	k.p.signals.mu.Unlock()
	return 0, k.store64(a[0], uint64(set))
}

// sysRtSigsuspend: the mask comes back when the handler has returned.
func sysRtSigsuspend(k *task, a *args) (int64, error) {
	if a[1] != sigsetSize {
		return 0, unix.EINVAL
	}
	set, err := k.sigsetAt(a[0])
	if err != nil {
		return 0, err
	}
	k.waitMask(set)
	return k.pause()
}

func sysPause(k *task, a *args) (int64, error) { return k.pause() }

func (k *task) pause() (int64, error) {
	for {
		if k.park() {
			return 0, errRestartUnlessHandled
		}
	}
}

func sysRtSigtimedwait(k *task, a *args) (int64, error) {
	if a[3] != sigsetSize {
		return 0, unix.EINVAL
	}
	set, err := k.sigsetAt(a[0])
	if err != nil {
		return 0, err
	}
	set &^= unblockable
	var deadline time.Time
	if uint32(a[2]) != 0 {
		ts, err := k.timespec(a[2])
		if err != nil {
			return 0, err
		}
		deadline = k.until(ts)
	}
	s := &k.p.signals
	take := func() (siginfo, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		i, ok := k.sig.pending.take(set)
		if !ok {
			i, ok = s.pending.take(set)
		}
		k.sig.waiting = set
		if ok {
			k.sig.waiting = 0
		}
		return i, ok
	}
	defer func() {
		s.mu.Lock()
		k.sig.waiting = 0
		s.mu.Unlock()
	}()
	for {
		if i, ok := take(); ok {
			if uint32(a[1]) != 0 {
				if err := k.write(a[1], i.encode()); err != nil {
					return 0, err
				}
			}
			return int64(i.signo), nil
		}
		switch k.t.Park(deadline) {
		case runtime.TimedOut:
			return 0, unix.EAGAIN
		case runtime.Interrupted:
			return 0, k.interrupted(deadline)
		}
	}
}

// Layout of stack_t: sp, flags, size.
const stackTSize = 24

func sysSigaltstack(k *task, a *args) (int64, error) {
	s := &k.p.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := k.t.Registers().RSP
	var old [stackTSize]byte
	state := k.altState(sp)
	le.PutUint64(old[0:], k.sig.altAddr)
	le.PutUint32(old[8:], state)
	le.PutUint64(old[16:], k.sig.altSize)
	if uint32(a[0]) != 0 {
		var b [stackTSize]byte
		if err := k.read(a[0], b[:]); err != nil {
			return 0, err
		}
		addr, flags, size := le.Uint64(b[0:]), le.Uint32(b[8:]), le.Uint64(b[16:])
		switch {
		case state == ssOnStack:
			return 0, unix.EPERM
		case flags&^(ssDisable|ssOnStack|ssAutoDisarm) != 0:
			return 0, unix.EINVAL
		case flags&ssDisable != 0:
			k.sig.altAddr, k.sig.altSize, k.sig.altFlags = 0, 0, 0
		case size < minSigStack:
			return 0, unix.ENOMEM
		case addr >= cage.Size || addr+size > cage.Size:
			return 0, unix.ENOMEM
		default:
			k.sig.altAddr, k.sig.altSize, k.sig.altFlags = addr, size, flags&ssAutoDisarm
		}
	}
	if uint32(a[1]) != 0 {
		return 0, k.write(a[1], old[:])
	}
	return 0, nil
}

// A handler returns by returning; nothing of ours calls rt_sigreturn.
func sysRtSigreturn(k *task, a *args) (int64, error) {
	k.p.dom.End(runtime.Ending{Signal: int(unix.SIGSEGV)})
	return 0, nil
}

// user makes the siginfo of kill and its kin.
func (k *task) user(n, code int) siginfo {
	return siginfo{signo: n, code: code, pid: k.p.dom.PID(), uid: int(k.p.cfg.Identity.UID)}
}

func validSignal(v uint64) (int, error) {
	n := int32Arg(v)
	if n < 0 || n > numSignals {
		return 0, unix.EINVAL
	}
	return n, nil
}

// sysKill reaches the processes of the tree.
func sysKill(k *task, a *args) (int64, error) {
	n, err := validSignal(a[1])
	if err != nil {
		return 0, err
	}
	return 0, k.kill(int32Arg(a[0]), k.user(n, siUser))
}

// kill sends a signal as kill(2) chooses who gets it; signal 0 only asks.
func (k *task) kill(pid int, i siginfo) error {
	t, self := k.p.tree, k.p.node
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*node
	switch {
	case pid == hostPID:
		return unix.EPERM
	case pid > 0:
		if n := t.nodes[pid]; n != nil {
			list = append(list, n)
		}
	case pid == -1:
		for _, n := range t.nodes {
			if n != self {
				list = append(list, n)
			}
		}
	default:
		group := -pid
		if pid == 0 {
			group = self.group
		}
		t.members(group, func(n *node) { list = append(list, n) })
	}
	return k.killThese(list, i)
}

// killThese is kill for those who were chosen. The caller holds tree.mu.
func (k *task) killThese(list []*node, i siginfo) error {
	self := k.p.node
	if len(list) == 0 {
		return unix.ESRCH
	}
	if i.signo == 0 {
		return nil
	}
	var first error
	for _, n := range list {
		if n == self {
			continue
		}
		if err := n.send(i); err != nil && first == nil {
			first = err
		}
	}
	if !slices.Contains(list, self) {
		return first
	}
	if i.signo == int(unix.SIGKILL) {
		return self.send(i)
	}
	// A signal to oneself that is not blocked arrives before kill returns.
	k.p.signals.mu.Lock()
	blocked := k.sig.mask.has(i.signo)
	k.p.signals.mu.Unlock()
	if blocked {
		return k.p.send(nil, i)
	}
	return k.p.send(k, i)
}

func sysTkill(k *task, a *args) (int64, error) { return k.tkill(a[0], a[1]) }

func sysTgkill(k *task, a *args) (int64, error) {
	if int32Arg(a[0]) != k.p.dom.PID() {
		return 0, unix.ESRCH
	}
	return k.tkill(a[1], a[2])
}

func (k *task) tkill(tid, sig uint64) (int64, error) {
	n, err := validSignal(sig)
	if err != nil {
		return 0, err
	}
	if int32Arg(tid) <= 0 {
		return 0, unix.EINVAL
	}
	target, err := k.taskOf(int32Arg(tid))
	if err != nil || n == 0 {
		return 0, err
	}
	return 0, k.p.send(target, k.user(n, siTKill))
}

func (k *task) taskOf(tid int) (*task, error) {
	if t := k.p.dom.Thread(tid); t != nil {
		if target, ok := t.Local().(*task); ok {
			return target, nil
		}
	}
	return nil, unix.ESRCH
}

// queued reads the siginfo_t of rt_sigqueueinfo.
func (k *task) queued(sig, addr uint64) (siginfo, error) {
	n, err := validSignal(sig)
	if err != nil {
		return siginfo{}, err
	}
	var b [siginfoSize]byte
	if err := k.read(addr, b[:]); err != nil {
		return siginfo{}, err
	}
	return siginfo{
		signo: n, code: int(int32(le.Uint32(b[siCode:]))), errno: int(int32(le.Uint32(b[siErrno:]))),
		pid: int(int32(le.Uint32(b[siPID:]))), uid: int(le.Uint32(b[siUID:])), value: le.Uint64(b[siValue:]),
	}, nil
}

func sysRtSigqueueinfo(k *task, a *args) (int64, error) {
	i, err := k.queued(a[1], a[2])
	if err != nil {
		return 0, err
	}
	pid := int32Arg(a[0])
	if pid <= 0 {
		return 0, unix.ESRCH
	}
	if pid != k.p.node.pid && (i.code >= 0 || i.code == siTKill) {
		return 0, unix.EPERM // nobody can pretend to be the kernel
	}
	return 0, k.kill(pid, i)
}

func sysRtTgsigqueueinfo(k *task, a *args) (int64, error) {
	i, err := k.queued(a[2], a[3])
	if err != nil {
		return 0, err
	}
	if int32Arg(a[0]) != k.p.dom.PID() {
		return 0, unix.ESRCH
	}
	target, err := k.taskOf(int32Arg(a[1]))
	if err != nil || i.signo == 0 {
		return 0, err
	}
	return 0, k.p.send(target, i)
}

// Alarms: the real-time interval timer.

func sysAlarm(k *task, a *args) (int64, error) {
	left, _ := k.p.setAlarm(time.Duration(uint32(a[0]))*time.Second, 0)
	if left > 0 {
		return int64((left + time.Second - 1) / time.Second), nil
	}
	return 0, nil
}

// setAlarm arms the timer (0 disarms) and returns what was left of it.
func (p *Process) setAlarm(first, every time.Duration) (left, interval time.Duration) {
	s := &p.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	left, interval = s.alarmLeft(), s.every
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
	s.alarmTurn++
	s.every = every
	if first > 0 {
		turn := s.alarmTurn
		s.alarmAt = time.Now().Add(first)
		s.alarm = time.AfterFunc(first, func() { p.alarmRings(turn) })
	}
	return left, interval
}

func (s *signalState) alarmLeft() time.Duration {
	if s.alarm == nil {
		return 0
	}
	return max(time.Until(s.alarmAt), time.Microsecond)
}

func (p *Process) alarmRings(turn int) {
	s := &p.signals
	s.mu.Lock()
	if s.alarmTurn != turn || s.alarm == nil {
		s.mu.Unlock()
		return
	}
	if s.every > 0 {
		// From when it was due, not from now: no drift.
		s.alarmAt = s.alarmAt.Add(s.every)
		s.alarm.Reset(max(time.Until(s.alarmAt), time.Millisecond/10))
	} else {
		s.alarm = nil
	}
	s.mu.Unlock()
	_ = p.send(nil, siginfo{signo: int(unix.SIGALRM), code: siKernel})
}

// stopAlarms is the end of the process's timers.
func (p *Process) stopAlarms() {
	for which := itimerReal; which <= itimerProf; which++ {
		p.setTimer(which, 0, 0)
	}
}

// setTimer arms one of the three (0 disarms) and returns what was left of it.
func (p *Process) setTimer(which int, first, every time.Duration) (left, interval time.Duration) {
	if which == itimerReal {
		return p.setAlarm(first, every)
	}
	return p.setCPUTimer(which, first, every)
}

// timerLeft is what is left of one, and its interval.
func (p *Process) timerLeft(which int) (left, every time.Duration) {
	s := &p.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	if which == itimerReal {
		return s.alarmLeft(), s.every
	}
	t := &s.cpuTimers[which-itimerVirtual]
	return t.left(which), t.every
}

// Layout of struct itimerval: interval and value, each seconds and microseconds.
func encodeItimer(left, every time.Duration) []byte {
	b := make([]byte, 32)
	le.PutUint64(b[0:], uint64(every/time.Second))
	le.PutUint64(b[8:], uint64(every%time.Second/time.Microsecond))
	le.PutUint64(b[16:], uint64(left/time.Second))
	le.PutUint64(b[24:], uint64(left%time.Second/time.Microsecond))
	return b
}

func sysSetitimer(k *task, a *args) (int64, error) {
	which := int32Arg(a[0])
	if which < itimerReal || which > itimerProf {
		return 0, unix.EINVAL
	}
	var first, every time.Duration
	if uint32(a[1]) != 0 {
		var b [32]byte
		if err := k.read(a[1], b[:]); err != nil {
			return 0, err
		}
		for i, d := range []*time.Duration{&every, &first} {
			sec, usec := int64(le.Uint64(b[16*i:])), int64(le.Uint64(b[16*i+8:]))
			if sec < 0 || usec < 0 || usec >= 1e6 {
				return 0, unix.EINVAL
			}
			*d = runtime.Seconds(sec, usec*1000)
		}
	}
	left, interval := k.p.setTimer(which, first, every)
	if uint32(a[2]) != 0 {
		return 0, k.write(a[2], encodeItimer(left, interval))
	}
	return 0, nil
}

func sysGetitimer(k *task, a *args) (int64, error) {
	which := int32Arg(a[0])
	if which < itimerReal || which > itimerProf {
		return 0, unix.EINVAL
	}
	left, every := k.p.timerLeft(which)
	return 0, k.write(a[1], encodeItimer(left, every))
}
