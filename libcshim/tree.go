package libcshim

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// A tree is the first process and all that it and they have started: what they
// share, who is whose child, and what they may have together. It is a world of
// its own: no number in it names anything outside.
//
// Lock order: tree.mu, then signalState.mu, then the locks of package runtime.
type tree struct {
	max    int // processes at once, those that nobody has waited for included
	budget *cage.Budget
	cpu    *runtime.CPUBudget
	// lastID is the last number that was given to a process or a thread: they are of one
	// sequence, because locks in shared memory hold their owner's.
	lastID atomic.Int64
	// futexes are those in memory that several processes have.
	futexes *runtime.Futexes
	ns      *namespace.Namespace // of the first process; the others have copies
	ids     namespace.Identity
	tracer  *tracer
	given   Config    // as the host gave it
	from    *Template // nil: loaded

	locks   lockTable
	records recordLocks
	unix    unixNames
	fifos   fifos
	ptys    ptys
	imc     *imc.Budget // what they may have outside their own memory
	anon    anonymousFiles
	flight  flight
	ttys    changedTerminals

	root    *node
	first   sync.Mutex     // held while the first process runs
	running sync.WaitGroup // processes but the first

	mu         sync.Mutex
	nodes      map[int]*node
	foreground int // process group that the terminal belongs to
	ending     bool
}

// firstPID is the number of the first process, and hostPID what it takes for its
// parent. Whoever loses its parent gets the host for one, which waits for it.
const (
	firstPID = 1000
	hostPID  = 1
	maxPID   = 1 << 22
)

// A node is a process as the others see it. It has one program after the other,
// by execve.
type node struct {
	tree *tree
	pid  int

	// waiters are threads of the process that wait for children.
	waiters watchers
	// ends are those that wait for its end by a pidfd.
	ends watchers

	// The rest is guarded by tree.mu.
	parent   *node // nil: the host
	children []*node
	group    int
	sid      int
	image    *Process // the program; nil before it has begun and when it has ended
	next     *Process // what execve has prepared
	killed   bool     // by SIGKILL, whatever it is doing
	execed   bool
	zombie   bool
	status   ExitStatus
}

// errExec ends the domain of a program that makes room for another.
var errExec = errors.New("libcshim: execve")

func startTree(cfg *Config) *tree {
	t := &tree{
		given: *cfg, max: max(cfg.MaxProcesses, 1), ns: cfg.Namespace, ids: cfg.Identity, tracer: newTracer(cfg.Trace),
		nodes: map[int]*node{}, foreground: firstPID, futexes: runtime.NewFutexes(),
	}
	if t.max > 1 && cfg.MaxMemory != 0 {
		t.budget = cage.NewBudget(cfg.MaxMemory)
	}
	if cfg.MaxCPU > 0 {
		t.cpu = runtime.NewCPUBudget(cfg.MaxCPU)
	}
	limitOutput(cfg, t)
	files := cfg.MaxFiles
	if files <= 0 {
		files = defaultMaxFiles
	}
	t.flight.t, t.flight.max = t, files
	t.imc = newIMCBudget(cfg.MaxMemory, files)
	t.root = &node{tree: t, pid: firstPID, group: firstPID, sid: firstPID}
	t.nodes[firstPID] = t.root
	t.lastID.Store(firstPID)
	return t
}

// several reports whether there can be more than one process.
func (t *tree) several() bool { return t.max > 1 }

// nextID is the next number of the sequence. It takes no lock.
func (t *tree) nextID() int {
	for {
		last := t.lastID.Load()
		next := last + 1
		if next > maxPID {
			next = firstPID + 1
		}
		if t.lastID.CompareAndSwap(last, next) {
			return int(next)
		}
	}
}

// newNode makes a child of parent, which has no program yet.
func (t *tree) newNode(parent *node) (*node, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ending || len(t.nodes) >= t.max {
		return nil, unix.EAGAIN
	}
	taken := func(id int) bool {
		if t.nodes[id] != nil {
			return true
		}
		for _, n := range t.nodes {
			if n.group == id || n.sid == id {
				return true
			}
		}
		return false
	}
	pid := t.nextID()
	for taken(pid) {
		pid = t.nextID()
	}
	n := &node{tree: t, pid: pid, parent: parent, group: parent.group, sid: parent.sid}
	t.nodes[n.pid] = n
	return n, nil
}

// abandon forgets a node whose process could not be made.
func (t *tree) abandon(n *node) {
	t.mu.Lock()
	delete(t.nodes, n.pid)
	t.mu.Unlock()
}

// start lets a new process run.
func (t *tree) start(n *node, p *Process) {
	t.mu.Lock()
	n.image = p
	n.parent.children = append(n.parent.children, n)
	t.running.Add(1)
	if t.ending {
		p.dom.End(runtime.Ending{Signal: int(unix.SIGKILL)})
	}
	t.mu.Unlock()
	go func() {
		defer t.running.Done()
		status, _ := n.run(context.Background(), p)
		n.exited(status)
	}()
}

// run runs a process to its end, from program to program.
func (n *node) run(ctx context.Context, p *Process) (ExitStatus, error) {
	t := n.tree
	for {
		p.main.Start()
		e := p.dom.Wait(ctx)
		p.timers.stop()
		t.mu.Lock()
		next := n.next
		n.next = nil
		if next != nil && e.Err == errExec {
			next.takeOver(p)
			n.image, n.execed = next, true
			if n.killed || t.ending {
				next.dom.End(runtime.Ending{Signal: int(unix.SIGKILL)})
			}
		}
		t.mu.Unlock()
		if next == nil || e.Err != errExec {
			if next != nil {
				next.discard()
			}
			p.tracer.end(p, e)
			return ExitStatus{Code: e.Code, Signal: e.Signal}, e.Err
		}
		p.dispose()
		p = next
	}
}

// exited tells the world that a process has ended. Its descriptors are closed
// before anybody can know.
func (n *node) exited(status ExitStatus) {
	t := n.tree
	t.mu.Lock()
	p := n.image
	t.mu.Unlock()
	p.dispose()
	t.mu.Lock()
	defer t.mu.Unlock()
	n.image = nil
	n.zombie, n.status = true, status
	n.ends.notify()
	t.ptys.leaderEnds(n)
	for _, c := range n.children {
		c.parent = nil
		if c.zombie {
			delete(t.nodes, c.pid)
		}
	}
	n.children = nil
	parent := n.parent
	if parent == nil || parent.image == nil {
		delete(t.nodes, n.pid)
		return
	}
	if parent.image.ignoresChildren() {
		parent.reap(n)
	}
	i := siginfo{signo: int(unix.SIGCHLD), pid: n.pid, uid: int(t.ids.UID)}
	i.code, i.value = status.child()
	_ = parent.image.send(nil, i)
	parent.waiters.notify()
}

// reap forgets a child that has ended. The caller holds tree.mu.
func (n *node) reap(child *node) {
	delete(n.tree.nodes, child.pid)
	n.children = slices.DeleteFunc(n.children, func(c *node) bool { return c == child })
}

// Values of si_code for SIGCHLD.
const (
	cldExited = 1
	cldKilled = 2
)

// child is what si_code and si_status say of it.
func (e ExitStatus) child() (code int, status uint64) {
	if e.Signal != 0 {
		return cldKilled, uint64(e.Signal)
	}
	return cldExited, uint64(e.Code)
}

// wait is what wait4 stores.
func (e ExitStatus) wait() uint32 {
	if e.Signal != 0 {
		return uint32(e.Signal) & 0x7f
	}
	return uint32(e.Code) & 0xff << 8
}

// ignoresChildren reports whether children that end leave nothing to wait for.
func (p *Process) ignoresChildren() bool {
	p.signals.mu.Lock()
	defer p.signals.mu.Unlock()
	a := &p.signals.actions[unix.SIGCHLD]
	return a.handler == sigIgn || a.flags&saNoCldWait != 0
}

// end kills all processes but the first, for good, and waits for them.
func (t *tree) end() {
	t.mu.Lock()
	t.ending = true
	for _, n := range t.nodes {
		if n != t.root {
			_ = n.send(siginfo{signo: int(unix.SIGKILL)})
		}
	}
	t.mu.Unlock()
	t.running.Wait()
}

// send makes a signal pending for a process. The caller holds tree.mu.
func (n *node) send(i siginfo) error {
	if i.signo == int(unix.SIGKILL) {
		n.killed = true
	}
	if n.image == nil {
		return nil // it has ended, or has not begun
	}
	return n.image.send(nil, i)
}

// members calls f for each process of a group. The caller holds tree.mu.
func (t *tree) members(group int, f func(*node)) {
	for _, n := range t.nodes {
		if n.group == group {
			f(n)
		}
	}
}

// current is the program that the first process has now.
func (p *Process) current() *Process {
	t := p.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.root.image != nil {
		return t.root.image
	}
	return p
}

// anonymousFiles are those of memfd_create.
type anonymousFiles struct {
	mu   sync.Mutex
	fs   namespace.FS
	last uint64
}

func (a *anonymousFiles) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fs != nil {
		_ = a.fs.Close()
		a.fs = nil
	}
}
