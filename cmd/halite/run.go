package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/toolchain"
	"github.com/halite-run/halite/toolchain/ports"
	"golang.org/x/sys/unix"
)

// Exit statuses of run itself, as env(1) and timeout(1) have them.
const (
	statusTimeout  = 124
	statusRefused  = 125 // could not be loaded: unsafe, broken, unresolved
	statusNotFound = 127
)

// list is a flag that can be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// placement are the flags that say what a program finds: run and ldd share them.
type placement struct {
	dirs, libs list
}

func (p *placement) register(f *flagSet) {
	f.Var(&p.dirs, "dir", "`host:guest[:ro]`: show a directory or file of the host to the program (repeatable)")
	f.Var(&p.libs, "lib", "`directory` of the host to look for shared libraries in (repeatable)")
}

// apply fills in mounts and library directories; the C library's comes last.
func (p *placement) apply(c *halite.Config) error {
	for _, d := range p.dirs {
		m, err := parseMount(d)
		if err != nil {
			return err
		}
		c.Mounts = append(c.Mounts, m)
	}
	sysroot, err := toolchain.Sysroot()
	switch {
	case err == nil:
		c.Libraries = append(c.Libraries, filepath.Join(sysroot, "lib"))
	case !errors.Is(err, toolchain.ErrNoSysroot): // static programs need none
		return err
	}
	c.Libraries = append(c.Libraries, p.libs...)
	return nil
}

func parseMount(s string) (halite.Mount, error) {
	parts := strings.Split(s, ":")
	m := halite.Mount{Host: parts[0]}
	switch {
	case len(parts) == 3 && parts[2] == "ro":
		m.ReadOnly = true
	case len(parts) == 3 && parts[2] == "rw", len(parts) == 2:
	default:
		return m, fmt.Errorf("--dir %s: want host:guest or host:guest:ro", s)
	}
	if m.Host == "" || !strings.HasPrefix(parts[1], "/") {
		return m, fmt.Errorf("--dir %s: want a path of the host and an absolute path of the guest", s)
	}
	m.Guest = parts[1]
	return m, nil
}

func runMain(args []string) int {
	f := newFlags("run", "PROGRAM [ARGUMENT...]",
		"Validates, links and runs a program in a sandbox. PROGRAM is a file, or the name of a\nprogram that `halite port` has built (lua, python3.11), which is then mounted at /usr. It sees nothing of this machine's\nfiles but the program, the C library and what --dir and --lib give it; /tmp is memory, /bin/sh is the\nshell that `halite port dash` has built. It can start programs that it sees, as further sandboxes of this process.\nExit status: the program's own; 128+n when signal n ended it; 124 after --timeout;\n125 when it could not be loaded; 127 when it does not exist.",
		"halite run --dir $PWD:/work --trace ./hello world")
	var where placement
	var env list
	where.register(f)
	f.Var(&env, "env", "`NAME=value` for the program's environment; NAME alone passes this process's on (repeatable)")
	var given list
	f.Var(&given, "i", "`fd:kind[:guestfd]`: give the program a descriptor that this command was started with, as an IMC descriptor; kinds are connect, accept, socket, data, file and memory (repeatable)")
	dir := f.String("cwd", "", "the program's first working `directory`, as it sees it")
	name := f.String("argv0", "", "the `name` that the program finds in argv[0]")
	trace := f.Bool("trace", false, "show every system call on standard error")
	traceFile := f.String("trace-file", "", "write every system call to a `file`")
	linkTrace := f.Bool("trace-link", false, "show what the dynamic linker does on standard error")
	network := f.String("net", "", "TCP and UDP sockets: `loopback` addresses only, or any (default: none)")
	timeout := f.Duration("timeout", 0, "stop the program after this `duration`")
	memory := f.Uint64("max-memory", 0, "`MiB` of code and writable memory that the program and what it starts may have")
	outer := f.Bool("outer", false, "let the kernel confine this whole process too, with Landlock and seccomp")
	noVerdicts := f.Bool("no-verdicts", false, "validate all code, and keep nothing about it: neither read nor write the verdicts in the cache directory")
	cpu := f.Duration("max-cpu", 0, "processor `time` that the code of the program and of what it starts may use, such as 2s")
	output := f.Int64("max-output", 0, "`bytes` that they may write to standard output and standard error, which are no terminal then")
	threads := f.Int("max-threads", 0, "`number` of threads that it, and each process that it starts, may have")
	profileFile := f.String("cpuprofile", "", "write to a `file`, for go tool pprof, in which functions the program and what it starts spend their time")
	processes := f.Int("max-processes", defaultProcesses, "`number` of processes that there may be at once: itself and what it starts; 1: it can start none")
	if code := parse(f, args); code >= 0 {
		return code
	}
	if f.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "halite run: no program named; see halite run --help")
		return 2
	}
	c := halite.Config{
		Program: f.Arg(0), Args: f.Args()[1:], Name: *name, Dir: *dir,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Mounts:       []halite.Mount{{Guest: "/tmp"}},
		MaxProcesses: *processes, MaxMemory: *memory << 20, MaxThreads: *threads,
		MaxCPU: *cpu, MaxOutput: *output,
	}
	switch *network {
	case "", "none":
	case "loopback":
		c.Network = halite.Loopback
	case "any":
		c.Network = halite.AnyNetwork
	default:
		fmt.Fprintf(os.Stderr, "halite run: --net %s: want loopback, any or none\n", *network)
		return 2
	}
	descs, err := inherit(given)
	if err != nil {
		fmt.Fprintln(os.Stderr, "halite run:", err)
		return 2
	}
	defer closeInherited(descs)
	c.Descriptors = descs
	if err := installed(&c); err != nil {
		fmt.Fprintln(os.Stderr, "halite run:", err)
		return statusNotFound
	}
	if err := where.apply(&c); err != nil {
		fail("run", err)
		return statusRefused
	}
	shell(&c)
	c.Env = environment(env)
	var closeTrace func() error
	if *traceFile != "" {
		file, err := os.Create(*traceFile)
		if err != nil {
			fail("run", err)
			return statusRefused
		}
		c.Trace, closeTrace = file, file.Close
	} else if *trace {
		c.Trace = os.Stderr
	}
	if *linkTrace {
		c.LinkTrace = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	if cache, err := toolchain.Cache(); err == nil && !*noVerdicts {
		c.VerdictCache = filepath.Join(cache, "verdicts")
	}
	var closeProfile func() error
	if *profileFile != "" {
		if closeProfile, err = startProfile(&c, *profileFile); err != nil {
			fail("run", err)
			return statusRefused
		}
	}
	status := run(c, *timeout, *outer)
	if closeProfile != nil {
		if err := closeProfile(); err != nil && status == 0 {
			return fail("run", err)
		}
	}
	if closeTrace != nil {
		if err := closeTrace(); err != nil && status == 0 {
			return fail("run", err)
		}
	}
	return status
}

// startProfile profiles the program. Of Go's own profile, which is what sends the
// signals, nothing is kept.
func startProfile(c *halite.Config, name string) (stop func() error, err error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		file.Close()
		return nil, err
	}
	c.Profile = &halite.Profile{}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(c.Profile.Write(file), file.Close())
	}, nil
}

// installed lets the names of ports (lua, python3.11) stand for their programs, as a
// shell finds programs by their names: the port is mounted at /usr. A file of
// that name in the working directory comes first.
func installed(c *halite.Config) error {
	if strings.Contains(c.Program, "/") {
		return nil
	}
	if _, err := os.Lstat(c.Program); err == nil {
		return nil
	}
	dir, file, known := ports.Find(c.Program)
	if !known {
		return nil
	}
	if dir == "" {
		return fmt.Errorf("%s has not been built yet; `halite port %s` builds it", c.Program, ports.PortOf(c.Program))
	}
	if c.Name == "" {
		c.Name = c.Program
	}
	c.Program = file
	c.Mounts = append([]halite.Mount{{Guest: "/usr", Host: dir, ReadOnly: true}}, c.Mounts...)
	return nil
}

// defaultProcesses is enough for a build or a test suite, and little for a fork bomb.
const defaultProcesses = 64

// shell gives programs that can start others a /bin/sh, which system() and popen()
// want, if `halite port dash` has built one and no mount is in its place.
func shell(c *halite.Config) {
	if c.MaxProcesses <= 1 {
		return
	}
	for _, m := range c.Mounts {
		if g := path.Clean(m.Guest); g == "/" || g == "/bin" || g == "/bin/sh" {
			return
		}
	}
	if dir, file, _ := ports.Find("sh"); dir != "" {
		c.Mounts = append(c.Mounts, halite.Mount{Guest: "/bin/sh", Host: file, ReadOnly: true})
	}
}

// environment is what --env asks for, and a PATH, so that programs that want one
// are content.
func environment(asked list) []string {
	env := []string{"PATH=/bin:/usr/bin"}
	if term, ok := os.LookupEnv("TERM"); ok {
		// What a terminal can do is no secret, and line editors want it.
		if _, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS); err == nil {
			env = append(env, "TERM="+term)
		}
	}
	for _, e := range asked {
		if !strings.Contains(e, "=") {
			value, ok := os.LookupEnv(e)
			if !ok {
				continue
			}
			e += "=" + value
		}
		if strings.HasPrefix(e, "PATH=") {
			env[0] = e
			continue
		}
		env = append(env, e)
	}
	return env
}

// eagerStart puts off collecting garbage until a program has had time to start: its
// libraries pass through the heap once, and a collection in the middle of that costs as
// much as reading them.
func eagerStart() {
	usual := debug.SetGCPercent(800)
	time.AfterFunc(time.Second, func() { debug.SetGCPercent(usual) })
}

func run(c halite.Config, timeout time.Duration, outer bool) int {
	eagerStart()
	p, err := halite.New(c)
	var cache *halite.VerdictCacheError
	if errors.As(err, &cache) {
		// It is there for speed alone. Of a directory that others can get at the
		// user is told; what the program is shown was the user's own wish.
		if cache.Err != nil {
			fmt.Fprintln(os.Stderr, "halite run:", cache, "(all code is validated)")
		}
		c.VerdictCache = ""
		p, err = halite.New(c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, os.ErrNotExist) {
			return statusNotFound
		}
		return statusRefused
	}
	defer p.Close()
	if outer {
		if err := halite.OuterSandbox(c); err != nil {
			fail("run", err)
			return statusRefused
		}
	}
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	stop := forwardSignals(p)
	status, err := p.Run(ctx)
	stop()
	var fault *halite.FaultError
	switch {
	case errors.As(err, &fault):
		fmt.Fprint(os.Stderr, fault.Report())
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(os.Stderr, "halite run: stopped after %v\n", timeout)
		return statusTimeout
	case err != nil && !errors.Is(err, io.EOF):
		fmt.Fprintln(os.Stderr, "halite run:", err)
		if status.Status() == 0 {
			return statusRefused
		}
	}
	return status.Status()
}

// forwardSignals gives the program what the user types or other processes send.
func forwardSignals(p *halite.Process) (stop func()) {
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-ch:
				if n, ok := s.(syscall.Signal); ok {
					p.Signal(n)
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		close(done)
	}
}
