package libcshim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/runtime"
)

// Config describes a process. Namespace and Program are needed.
type Config struct {
	// Program is the name of the program in the namespace.
	Program string
	// Args is the argument vector; Args[0] is Program if it is empty.
	Args []string
	// Env is the environment, "NAME=value"; nothing of the host's gets in.
	Env []string
	// Dir is the first working directory; empty means "/".
	Dir string
	// Namespace is the file tree. It belongs to the process, which closes it
	// (NewProcess does when it fails), and which adds /dev and /proc to it
	// unless NoSystemMounts is set.
	Namespace      *namespace.Namespace
	NoSystemMounts bool

	// Stdin, Stdout and Stderr are descriptors 0, 1 and 2; nil is /dev/null.
	// An *os.File is used as it is, with its position and its terminal; see
	// the package comment for what happens to others when the guest blocks.
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Network decides what TCP and UDP sockets the guest may use; nil means that
	// it can have none.
	Network NetworkPolicy

	// Ports are further descriptors, by number, from 3 on.
	Ports map[int]*Port

	// Descriptors are IMC descriptors of the guest, by number, from 3 on. They are
	// duplicated: the caller keeps its own and closes them when it likes.
	Descriptors map[int]imc.Desc

	// MaxProcesses is how many processes there can be at once: the program, those that
	// it and they start, and those that ended and were not waited for. With 0 or 1
	// there is none but the first: fork and execve are ENOSYS. Each process is a
	// domain of its own, in this process of the host.
	MaxProcesses int

	// Trace gets one line per system call, like strace.
	Trace io.Writer

	// Identity is who the guest is; zero means user and group 1000. Set Root
	// to make it 0.
	Identity namespace.Identity
	Root     bool
	// Hostname is what uname tells; empty means "halite".
	Hostname string

	// MaxMemory bounds the bytes of writable memory, of all processes together; 0
	// means no bound but the 4 GiB of each. MaxThreads, MaxFiles and the sizes of
	// stacks are for each process. Files in memory have bounds of their own (namespace.MemoryConfig): /dev/shm and
	// files of memfd_create 64 MiB each; pipes hold 64 KiB.
	MaxMemory        uint64
	MaxThreads       int // 0 = the runtime's default
	MaxFiles         int // descriptors, 0 = 1024
	StackSize        int // of the first thread's data stack, 0 = 8 MiB
	ControlStackSize int // of each thread, 0 = the runtime's default
	// MaxCPU bounds the processor time of the guest code of all processes, see
	// runtime.CPUBudget; 0 means no bound.
	MaxCPU time.Duration
	// Profile collects where guest code spends its time, see runtime.Profile.
	Profile *runtime.Profile
	// MaxOutput bounds the bytes written to Stdout and Stderr together; who writes
	// more is ended with an OutputLimitError. They are pipes then, never a terminal or a file. 0 means no bound.
	MaxOutput int64

	// LibraryPath, Preload and LinkTrace are handed to the dynamic linker, after
	// what LD_LIBRARY_PATH and LD_PRELOAD in Env say.
	LibraryPath []string
	Preload     []string
	LinkTrace   func(string)
	// Verdicts is for the dynamic linker too; nil: none.
	Verdicts *loader.Verdicts

	// Library says that Program is a shared library: the domain has no program,
	// and the host calls functions. Functions are what the host offers as its
	// undefined symbols. Callers is how many calls of the host can be in progress
	// at once, each on a guest thread of its own; 0 means 1, which is what code
	// wants that knows of no threads.
	Library   bool
	Functions map[string]runtime.HostFunc
	Callers   int
	// Invocable lets a program wait for the host's invocations: see Start.
	Invocable bool
}

const (
	defaultID    = 1000
	defaultStack = 8 << 20
	maxArgs      = 2 << 20 // bytes of arguments and environment
)

// ExitStatus is how a process ended.
type ExitStatus struct {
	Code   int // of exit, 0..255
	Signal int // that ended it, or 0
}

// Status is the number that a shell shows: Code, or 128+Signal.
func (e ExitStatus) Status() int {
	if e.Signal != 0 {
		return 128 + e.Signal
	}
	return e.Code
}

func (e ExitStatus) String() string {
	if e.Signal != 0 {
		return "killed by " + runtime.SignalName(e.Signal)
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// A Process is one program in one domain: the first of its tree, or what a fork or
// an execve of the guest made. Those that the host has are the first.
type Process struct {
	tree    *tree
	node    *node
	cfg     Config
	dom     *runtime.Domain
	mem     safemem.Memory
	ns      *namespace.Namespace
	fds     fdTable
	signals signalState
	memory  memoryState
	timers  timerState
	tracer  *tracer
	linker  *ld.Linker
	classic *classicProcess // nil: of the halite ABI
	exe     string
	started time.Time
	// monotonic0 is CLOCK_MONOTONIC at that moment.
	monotonic0 int64
	cpu0       time.Duration // CPU time of the host process when this one began

	mu       sync.Mutex
	cwd      string
	umask    uint32
	nice     int
	affinity []byte // as sched_setaffinity left it, nil for all

	main     *runtime.Thread
	ran      atomic.Bool // Run or Close has begun: main is theirs
	closing  sync.Once
	template atomic.Pointer[Template] // that it has become
}

// task is a thread's part of the process.
type task struct {
	p      *Process
	t      *runtime.Thread
	sig    taskSignals
	name   string
	robust uint32
	hooked bool // between the two hooks of a call of the IRT that blocks
}

// NewProcess makes a domain and loads a program into it. The error says what is
// wrong with the program. The caller must Close the process.
func NewProcess(cfg Config) (*Process, error) {
	if cfg.Namespace == nil {
		return nil, errors.New("libcshim: a process needs a namespace")
	}
	if cfg.Identity == (namespace.Identity{}) && !cfg.Root {
		cfg.Identity = namespace.Identity{UID: defaultID, GID: defaultID}
	}
	if cfg.Hostname == "" {
		cfg.Hostname = "halite"
	}
	if len(cfg.Args) == 0 {
		cfg.Args = []string{cfg.Program}
	}
	t := startTree(&cfg)
	p := t.root.newImage(cfg, cfg.Namespace)
	t.root.image = p
	if err := p.newDomain(); err != nil {
		_ = cfg.Namespace.Close()
		return nil, err
	}
	if err := p.setUp(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// newImage makes what a node can have as its program.
func (n *node) newImage(cfg Config, ns *namespace.Namespace) *Process {
	p := &Process{tree: n.tree, node: n, cfg: cfg, ns: ns, tracer: n.tree.tracer, cwd: "/", umask: 0o022}
	p.fds.limit = cfg.MaxFiles
	if p.fds.limit <= 0 {
		p.fds.limit = defaultMaxFiles
	}
	p.cpu0 = cpuTime()
	p.started, p.monotonic0 = time.Now(), monotonic()
	return p
}

// newDomain gives it an empty sandbox, of its program's ABI.
func (p *Process) newDomain() error {
	cfg := &p.cfg
	classic := isClassic(cfg, p.ns)
	if cfg.StackSize <= 0 {
		cfg.StackSize = defaultStack
		if classic {
			cfg.StackSize = loader.ClassicStackSize
		}
	}
	dom, err := runtime.NewDomain(runtime.Config{
		MaxMemory: cfg.MaxMemory, MaxThreads: cfg.MaxThreads, ControlStackSize: cfg.ControlStackSize,
		Personality: p, Invocable: cfg.Invocable || cfg.Library,
		Classic: classic, FirstThread: p.node.pid, Budget: p.tree.budget, CPU: p.tree.cpu, Futexes: p.tree.futexes, NextThread: p.tree.nextID,
		Profile: cfg.Profile,
	})
	if err != nil {
		return err
	}
	p.dom, p.mem = dom, dom.Memory()
	if classic {
		p.classic = new(classicProcess)
	}
	return nil
}

func (p *Process) setUp() error {
	if !p.cfg.NoSystemMounts {
		if err := p.systemMounts(); err != nil {
			return err
		}
	}
	if p.cfg.Dir != "" {
		dir, err := p.ns.Chdir("/", p.cfg.Dir)
		if err != nil {
			return fmt.Errorf("working directory %s: %w", p.cfg.Dir, err)
		}
		p.cwd = dir
	}
	if err := p.openStdio(); err != nil {
		return err
	}
	if err := p.openPorts(); err != nil {
		return err
	}
	if err := p.openDescriptors(); err != nil {
		return err
	}
	return p.load()
}

// systemMounts adds /dev and /proc.
func (p *Process) systemMounts() error {
	if err := p.ownMounts(); err != nil {
		return err
	}
	// Where C libraries put named semaphores and shared memory.
	return p.ns.Mount("/dev/shm", namespace.NewMemory(namespace.MemoryConfig{Identity: p.cfg.Identity}), namespace.MountOptions{})
}

// ownMounts adds what shows a process itself.
func (p *Process) ownMounts() error {
	err := p.ns.Mount("/dev", namespace.Devices(p.cfg.Identity, &p.fds, p.terminal, &p.tree.ptys), namespace.MountOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	return p.ns.Mount("/proc", namespace.Proc(namespace.ProcConfig{
		Identity: p.cfg.Identity, PID: p.node.pid,
		Exe: func() string { return p.exe },
		Cwd: func() string { return p.dir() },
		Files: map[string]func() []byte{
			"cmdline": func() []byte { return joinNUL(p.cfg.Args) },
			"environ": func() []byte { return joinNUL(p.cfg.Env) },
			"maps":    p.mapsFile,
			"stat":    p.statFile,
			"status":  p.statusFile,
			"comm":    func() []byte { return []byte(p.commName() + "\n") },
		},
		Descriptors: &p.fds,
	}), namespace.MountOptions{ReadOnly: true})
}

func (p *Process) openStdio() error {
	for fd, s := range []any{p.cfg.Stdin, p.cfg.Stdout, p.cfg.Stderr} {
		flags := unix.O_WRONLY
		if fd == 0 {
			flags = unix.O_RDONLY
		}
		var f namespace.File
		switch s := s.(type) {
		case nil:
			null, err := p.nullDevice()
			if err != nil {
				return err
			}
			f = null
		case *os.File:
			if s == nil {
				return fmt.Errorf("libcshim: descriptor %d is a nil file", fd)
			}
			h, err := newHostStream(s, p.cfg.Identity)
			if err != nil {
				return fmt.Errorf("libcshim: descriptor %d: %w", fd, err)
			}
			if h.isTerminal() && p.cfg.MaxOutput <= 0 {
				flags = unix.O_RDWR
			}
			f = h
		default:
			if fd == 0 {
				f = newReaderStream(p.cfg.Stdin)
			} else {
				f = &writerStream{w: s.(io.Writer)}
			}
		}
		if _, err := p.fds.add(newOpenFile(f, "", flags), fd, false); err != nil {
			_ = f.Close()
			return err
		}
	}
	return nil
}

// openPorts gives the guest its ends of the host's ports.
func (p *Process) openPorts() error {
	for fd, port := range p.cfg.Ports {
		if fd < 3 || fd >= p.fds.limit {
			return fmt.Errorf("libcshim: a port on descriptor %d", fd)
		}
		f := newOpenFile(portFile{Port: port}, "", unix.O_RDWR)
		got, err := p.fds.add(f, fd, true)
		if err == nil && got != fd {
			err = fmt.Errorf("libcshim: descriptor %d is taken", fd)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// openDescriptors gives the guest what Config.Descriptors says.
func (p *Process) openDescriptors() error {
	for fd, d := range p.cfg.Descriptors {
		if fd < 3 || fd >= p.fds.limit || d == nil {
			return fmt.Errorf("libcshim: descriptor %d: a number from 3 to %d and an IMC descriptor are needed", fd, p.fds.limit-1)
		}
		own, err := d.Dup()
		if err != nil {
			return fmt.Errorf("libcshim: descriptor %d: %w", fd, err)
		}
		o, err := p.openDesc(own)
		if err != nil {
			return fmt.Errorf("libcshim: descriptor %d: %w", fd, err)
		}
		got, err := p.fds.add(o, fd, false)
		if err != nil {
			_ = o.release()
			return fmt.Errorf("libcshim: descriptor %d: %w", fd, err)
		}
		if got != fd {
			return fmt.Errorf("libcshim: descriptor %d is taken", fd)
		}
	}
	return nil
}

// nullDevice is what stands in for a stream that is not given.
func (p *Process) nullDevice() (namespace.File, error) {
	return namespace.Devices(p.cfg.Identity, nil, nil, nil).Open("null", unix.O_RDWR, 0)
}

// terminal is /dev/tty: the pseudo terminal of the session, or the first of the standard
// streams that is a terminal.
func (p *Process) terminal() namespace.File {
	p.tree.mu.Lock()
	y := p.tree.ptys.of(p.node.sid)
	p.tree.mu.Unlock()
	if y != nil {
		if s, err := y.openSlave(); err == nil {
			return s
		}
		return nil
	}
	if _, _, sid := p.node.relations(); sid != firstPID {
		return nil // setsid has left it
	}
	if p.cfg.MaxOutput > 0 {
		return nil // a way around it
	}
	for _, s := range []any{p.cfg.Stdin, p.cfg.Stdout, p.cfg.Stderr} {
		if f, ok := s.(*os.File); ok && f != nil {
			h, err := newHostStream(f, p.cfg.Identity)
			if err != nil {
				continue
			}
			if h.isTerminal() {
				return h
			}
			h.Close()
		}
	}
	return nil
}

// Domain is the sandbox of the process, another one after each execve.
func (p *Process) Domain() *runtime.Domain { return p.current().dom }

// Namespace is its file tree. Processes that it has started have the mounts that
// it had then.
func (p *Process) Namespace() *namespace.Namespace { return p.tree.ns }

func (p *Process) dir() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cwd
}

// Run runs the program to its end; it can be done once. The error is nil for a
// program that ended by itself or by a signal that is not a fault; a
// *runtime.FaultError; or the context's error when that ended first (the status
// then says SIGKILL). When the process ends, all that it and its children have
// started is killed; none of them is left when Run returns.
func (p *Process) Run(ctx context.Context) (ExitStatus, error) {
	if p.ran.Swap(true) {
		return ExitStatus{}, errors.New("libcshim: a process runs once")
	}
	if err := ctx.Err(); err != nil {
		p.main.Drop()
		return ExitStatus{Signal: int(unix.SIGKILL)}, err
	}
	t := p.tree
	t.first.Lock()
	status, err := t.root.run(ctx, p)
	t.first.Unlock()
	t.end()
	return status, err
}

// Close ends the process and its descendants if they run and gives everything
// back: domains, descriptors, the namespace.
func (p *Process) Close() error {
	if tp := p.template.Load(); tp != nil {
		return tp.Close()
	}
	return p.close()
}

func (p *Process) close() error {
	var err error
	p.closing.Do(func() {
		if !p.ran.Swap(true) && p.main != nil {
			p.main.Drop()
		}
		t := p.tree
		t.mu.Lock()
		t.ending = true
		d := t.root.image.dom
		t.mu.Unlock()
		d.EndSync(runtime.Ending{Signal: int(unix.SIGKILL), Err: runtime.ErrEnded})
		t.end()
		t.first.Lock() // Run has returned, or knows that the process is over
		defer t.first.Unlock()
		err = p.current().dispose()
		t.ttys.restore()
		if cerr := t.ns.Close(); err == nil {
			err = cerr
		}
		t.flight.end()
		t.anon.close()
		if t.from != nil {
			t.from.release()
		}
	})
	return err
}

// dispose gives back what a program has, but for what the tree shares.
func (p *Process) dispose() error {
	p.timers.stop()
	p.stopAlarms()
	err := p.dom.Close()
	p.closeFiles()
	if p.ns != p.tree.ns {
		_ = p.ns.Close()
	}
	return err
}

// discard disposes of a program that has never run.
func (p *Process) discard() {
	if p.main != nil {
		p.main.Drop()
	}
	if p.dom != nil {
		_ = p.dispose()
	}
}

// Syscall implements runtime.Personality.
func (p *Process) Syscall(t *runtime.Thread, nr uint64, a [6]uint64) int64 {
	return p.serve(t, lookup(nr), nr, a)
}

// serve does one call, which is nil if there is none of that number.
func (p *Process) serve(t *runtime.Thread, c *call, nr uint64, a [6]uint64) int64 {
	k, ok := t.Local().(*task)
	if !ok {
		// A call from the host into the guest: it gets its task now.
		k = &task{p: p, t: t}
		t.SetLocal(k)
	}
	if c == nil {
		if p.tracer != nil {
			p.tracer.unknown(k, nr, a)
		}
		return -int64(unix.ENOSYS)
	}
	if p.tracer == nil {
		return result(c.serve(k, &a))
	}
	return p.tracer.call(k, c, &a)
}

// ThreadEnd implements runtime.Personality.
func (p *Process) ThreadEnd(t *runtime.Thread) {
	if p.linker != nil {
		p.linker.ThreadExit(t.TID())
	}
	if k, ok := t.Local().(*task); ok {
		k.dieRobust()
		p.signals.mu.Lock()
		k.sig.mask = ^sigset(0)
		k.handOver()
		p.signals.mu.Unlock()
	}
}
