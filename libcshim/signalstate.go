package libcshim

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/runtime"
)

// A sigset is a set of signals, bit n-1 for signal n.
type sigset uint64

func (s sigset) has(n int) bool { return s>>(n-1)&1 != 0 }
func bit(n int) sigset          { return 1 << (n - 1) }
func setOf(signals ...int) sigset {
	var s sigset
	for _, n := range signals {
		s |= bit(n)
	}
	return s
}

const (
	numSignals = 64
	sigDfl     = 0
	sigIgn     = 1
	firstRT    = 32
	// maxQueued bounds the real-time signals that wait in one queue.
	maxQueued = 1024
)

// Flags of sigaction.
const (
	saNoCldWait = 2
	saSiginfo   = 4
	saOnStack   = 0x08000000
	saRestart   = 0x10000000
	saNoDefer   = 0x40000000
	saResetHand = 0x80000000
)

// Values of si_code.
const (
	siUser   = 0
	siKernel = 0x80
	siQueue  = -1
	siTimer  = -2
	siTKill  = -6
)

var (
	ofTerminal  = setOf(int(unix.SIGINT), int(unix.SIGQUIT), int(unix.SIGTSTP), int(unix.SIGWINCH))
	unblockable = setOf(int(unix.SIGKILL), int(unix.SIGSTOP))
	// ignoredByDefault are those whose default action is nothing; stop signals
	// are among them because a domain can not be stopped.
	ignoredByDefault = setOf(int(unix.SIGCHLD), int(unix.SIGURG), int(unix.SIGWINCH), int(unix.SIGCONT),
		int(unix.SIGSTOP), int(unix.SIGTSTP), int(unix.SIGTTIN), int(unix.SIGTTOU))
)

// action is what a signal does.
type action struct {
	handler uint64
	flags   uint64
	mask    sigset
	// restorer is kept only to be given back.
	restorer uint64
}

// siginfo is what a handler is told.
type siginfo struct {
	signo, code, errno int
	pid, uid           int
	value              uint64
	addr               uint64 // of a fault
	hasAddr            bool
	overrun, timer     int
}

// queue holds pending signals: one of each ordinary signal, all of the real-time
// ones, lowest number first.
type queue struct {
	set   sigset
	infos []siginfo
}

func (q *queue) add(i siginfo) error {
	if i.signo < firstRT && q.set.has(i.signo) {
		return nil
	}
	if len(q.infos) >= maxQueued {
		return unix.EAGAIN
	}
	q.set |= bit(i.signo)
	q.infos = append(q.infos, i)
	return nil
}

// take removes the first signal of the lowest number in the set.
func (q *queue) take(of sigset) (siginfo, bool) {
	if q.set&of == 0 {
		return siginfo{}, false
	}
	best := -1
	for j, i := range q.infos {
		if of.has(i.signo) && (best < 0 || i.signo < q.infos[best].signo) {
			best = j
		}
	}
	i := q.infos[best]
	q.infos = append(q.infos[:best], q.infos[best+1:]...)
	q.set &^= bit(i.signo)
	for _, other := range q.infos {
		if other.signo == i.signo {
			q.set |= bit(i.signo)
		}
	}
	return i, true
}

// drop forgets every pending instance of the signals.
func (q *queue) drop(of sigset) {
	if q.set&of == 0 {
		return
	}
	kept := q.infos[:0]
	for _, i := range q.infos {
		if !of.has(i.signo) {
			kept = append(kept, i)
		}
	}
	q.infos = kept
	q.set &^= of
}

// signalState is a process's: actions, and what is pending for any thread.
// Its mutex guards the signal fields of all tasks too.
type signalState struct {
	mu      sync.Mutex
	actions [numSignals + 1]action
	pending queue
	alarm   *time.Timer
	alarmAt time.Time
	every   time.Duration
	// alarmTurn tells a timer that fires late that it was replaced.
	alarmTurn int
	cpuTimers [cpuTimerCount]cpuTimer
}

// taskSignals is one thread's part. Guarded by signalState.mu.
type taskSignals struct {
	mask    sigset
	pending queue
	// waiting is what sigtimedwait waits for.
	waiting sigset
	// restore is the mask that comes back after a call that replaced it for
	// the time of its wait.
	restore    sigset
	hasRestore bool
	altAddr    uint64
	altSize    uint64
	altFlags   uint32
}

// ignores reports whether a signal that nobody blocks would do nothing.
func (s *signalState) ignores(n int) bool {
	h := s.actions[n].handler
	return h == sigIgn || h == sigDfl && ignoredByDefault.has(n)
}

// send makes a signal pending: for one task, or, with k nil, for the process.
func (p *Process) send(k *task, i siginfo) error {
	if i.signo == int(unix.SIGKILL) {
		p.dom.End(runtime.Ending{Signal: i.signo})
		return nil
	}
	s := &p.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := []*task{k}
	if k == nil {
		tasks = p.tasks()
	}
	blocked, waited := true, false
	for _, t := range tasks {
		blocked = blocked && t.sig.mask.has(i.signo)
		waited = waited || t.sig.waiting.has(i.signo)
	}
	if s.ignores(i.signo) && !blocked && !waited {
		return nil
	}
	q := &s.pending
	if k != nil {
		q = &k.sig.pending
	}
	if err := q.add(i); err != nil {
		return err
	}
	// One thread that can take it is enough; the first is preferred.
	for _, t := range tasks {
		if t.sig.waiting.has(i.signo) {
			t.t.Unpark()
			return nil
		}
	}
	for _, t := range tasks {
		if !t.sig.mask.has(i.signo) {
			t.t.Kick()
			return nil
		}
	}
	return nil
}

// Signal sends a signal to the process, as kill from another process would: the
// hook for Ctrl-C. The signals that a terminal sends go to the process group that
// has the terminal, as they do there.
func (p *Process) Signal(sig unix.Signal) error {
	if sig < 1 || sig > numSignals {
		return unix.EINVAL
	}
	i := siginfo{signo: int(sig), code: siUser, uid: int(p.cfg.Identity.UID)}
	t := p.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ofTerminal.has(int(sig)) {
		return t.root.send(i)
	}
	var first error
	found := false
	t.members(t.foreground, func(n *node) {
		found = found || !n.zombie
		if err := n.send(i); err != nil && first == nil {
			first = err
		}
	})
	if !found {
		return t.root.send(i)
	}
	return first
}

// tasks lists the live tasks, the first thread first.
func (p *Process) tasks() []*task {
	threads := p.dom.Threads()
	list := make([]*task, 0, len(threads))
	for _, t := range threads {
		if k, ok := t.Local().(*task); ok {
			list = append(list, k)
			if t.TID() == p.dom.PID() {
				list[0], list[len(list)-1] = list[len(list)-1], list[0]
			}
		}
	}
	return list
}

// setMask replaces a task's mask; what became deliverable is delivered before the
// guest goes on.
func (k *task) setMask(m sigset) {
	s := &k.p.signals
	s.mu.Lock()
	k.sig.mask = m &^ unblockable
	k.recheck()
	k.handOver()
	s.mu.Unlock()
}

// handOver lets other threads have what is pending for the process and blocked
// here: perhaps it was this thread that was kicked for it. The caller holds the
// lock.
func (k *task) handOver() {
	left := k.p.signals.pending.set & k.sig.mask
	if left == 0 {
		return
	}
	for _, t := range k.p.tasks() {
		if t != k && left&^t.sig.mask != 0 {
			t.t.Kick()
		}
	}
}

// recheck sees to it that the calling task delivers what it now can. The caller
// holds the lock.
func (k *task) recheck() {
	if (k.sig.pending.set|k.p.signals.pending.set)&^k.sig.mask != 0 {
		k.t.Attend()
	}
}

// waitMask replaces the mask for the time of one call; endWaitMask undoes it
// unless a handler takes that over.
func (k *task) waitMask(m sigset) {
	s := &k.p.signals
	s.mu.Lock()
	if !k.sig.hasRestore {
		k.sig.restore, k.sig.hasRestore = k.sig.mask, true
	}
	k.sig.mask = m &^ unblockable
	k.recheck()
	s.mu.Unlock()
}

func (k *task) endWaitMask() {
	s := &k.p.signals
	s.mu.Lock()
	if k.sig.hasRestore {
		k.sig.mask, k.sig.hasRestore = k.sig.restore, false
		k.recheck()
	}
	s.mu.Unlock()
}
