// Package halite links, checks and runs native code that nobody trusts, inside
// this process, at native speed.
//
// Run takes a program that `halite cc` built, validates every byte of code in it
// and in the libraries it needs, links it and runs it in a sandbox (a domain) of
// its own: 4 GiB of address space that it can't leave, a file tree that holds what
// the caller granted, system calls served in Go. A program that faults, loops or
// runs out of its limits ends with an error; the host goes on.
//
//	status, err := halite.Run(ctx, halite.Config{
//		Program: "/opt/guest/bin/lua",
//		Args:    []string{"-e", "print(1 + 1)"},
//		Stdout:  os.Stdout,
//	})
//
// Units are bytes and time.Durations. Everything is safe for use from several
// goroutines at once; domains share nothing that a guest could write.
//
// What is not promised: a guest can use up CPU time until its context ends, and
// what it can learn through the timing of the processor's caches and predictors is
// not kept from it. docs/validator.md has the whole threat model.
package halite

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/internal/outer"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/libcshim"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// ExitStatus is how a program ended: by exit, or by a signal.
type ExitStatus = libcshim.ExitStatus

// FaultError is what Run returns for a guest that did what the processor or the
// sandbox refused: signal, address, registers, instruction and backtrace.
type FaultError = runtime.FaultError

// A Mount makes a directory or file appear in the domain's file tree.
type Mount struct {
	// Guest is the absolute path in the domain.
	Guest string
	// Host is a directory or a regular file of the host. Symbolic links in its
	// name are followed once, now; the guest can't get out of it by any link,
	// name or race.
	Host string
	// FS is mounted when Host is empty; it is read-only. With neither, the
	// mount is an empty directory in memory that can be written to.
	FS fs.FS
	// ReadOnly refuses changes.
	ReadOnly bool
	// Size bounds a mount in memory, in bytes; 0 is 64 MiB.
	Size int64
}

// Config describes a program to run. Only Program (or GuestProgram) is needed.
type Config struct {
	// Program is a file of the host. In the domain it has the path that one of
	// the Mounts gives it, and otherwise stands alone in /bin.
	Program string
	// GuestProgram is used instead when it is not empty: a path in the domain, of
	// a program that one of the Mounts provides.
	GuestProgram string
	// Name is argv[0]; empty means the program's path in the domain.
	Name string
	// Args are the arguments that follow it.
	Args []string
	// Env is the environment, "NAME=value". Nothing of the host's gets in.
	Env []string
	// Dir is the first working directory, a path of the domain; empty means "/".
	Dir string

	// Mounts are all that the guest can see of the host, but for the libraries.
	Mounts []Mount
	// Libraries are directories of the host in which shared objects are looked
	// up: the first, usually the C library's, after all other places, the further
	// ones before the program's own search path. The guest sees them, read-only, as /lib, /lib.1, …
	Libraries []string

	// Stdin, Stdout and Stderr are descriptors 0, 1 and 2; nil is /dev/null.
	// An *os.File is handed through.
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Network decides what TCP and UDP sockets the guest may use; nil means that
	// it can have none. Loopback and AnyNetwork are two policies.
	Network NetworkPolicy

	// Ports are further descriptors by number, from 3 on, by which the program
	// and this process can talk.
	Ports map[int]*Port

	// Descriptors are descriptors of package imc by number, from 3 on: whom the
	// program can reach beyond itself. New duplicates them: the caller keeps its
	// own, and closes them when it likes.
	Descriptors map[int]imc.Desc

	// Trace gets a line for each system call, LinkTrace one for each decision
	// of the dynamic linker.
	Trace     io.Writer
	LinkTrace func(string)

	// MaxProcesses is how many processes there can be at once, the program and all
	// that it and they start; each is a domain of its own in this process. 0 or 1:
	// the program can start none. What it can execute is what its file tree holds
	// of programs for the sandbox.
	MaxProcesses int

	MaxMemory  uint64 // bytes of code and of writable memory, of all processes; 0: what fits the sandboxes
	MaxThreads int    // of each process; 0: 4096
	MaxFiles   int    // open descriptors of each process; 0: 1024
	StackSize  int    // bytes of the first thread's stack; 0: 8 MiB
	// MaxCPU bounds the processor time of the guest code of all processes; when it is
	// used up they end, with a CPULimitError. It is counted in slices of some
	// milliseconds. 0: no bound.
	MaxCPU time.Duration
	// Profile collects where the code of all processes spends its time; nil: nobody does.
	Profile *Profile
	// MaxOutput bounds the bytes on Stdout and Stderr together; a program that writes
	// more ends with an OutputLimitError, and what it has started ends too. Both are pipes to the guest then, never a
	// terminal or a file. 0: no bound.
	MaxOutput int64

	// VerdictCache is a directory of the host in which it is kept which code was
	// found safe, so that the next process need not validate it again; "" is none.
	// It is made if it is not there, and must belong to this process's user
	// alone. Nothing that a Mount shows may hold it or lie in it: who has its key
	// can vouch for any code. docs/loading.md says what it promises.
	VerdictCache string

	// Functions, for Load, are Go functions that the library calls: what is
	// undefined in it and its dependencies, by name. See Library.Callback for
	// what they may look like.
	Functions map[string]any
	// Callers, for Load, is how many calls can be in progress at once; 0: 1, for a
	// library that knows nothing of threads. Further ones wait.
	Callers int
	// Invocable lets the program wait for messages of the host
	// (nacl_return_and_wait): Process.Start runs it until it does, Process.Invoke
	// gives it one.
	Invocable bool
}

// A NetworkPolicy decides about each address that a guest names, and about who
// connects or sends to it.
type NetworkPolicy = libcshim.NetworkPolicy

// NetworkUse is what a NetworkPolicy is asked about.
type NetworkUse = libcshim.NetworkUse

// Loopback allows the host's own loopback addresses and nothing else.
func Loopback(u NetworkUse) bool { return libcshim.Loopback(u) }

// AnyNetwork allows everything that this process may do.
func AnyNetwork(u NetworkUse) bool { return libcshim.AnyNetwork(u) }

// A Port is a stream between a guest and its host.
type Port = libcshim.Port

// A Process is a loaded program that has not run yet.
type Process = libcshim.Process

// Stats are figures about a process (Process.Stats).
type Stats = runtime.Stats

// A CPULimitError is the end of a domain that has used Config.MaxCPU, an
// OutputLimitError of one that has written more than Config.MaxOutput.
type (
	CPULimitError    = runtime.CPULimitError
	OutputLimitError = libcshim.OutputLimitError
)

// New validates, loads and links a program. The caller must Close the process,
// whether it Runs it or not.
func New(c Config) (*Process, error) { return newProcess(c, false) }

func newProcess(c Config, library bool) (*Process, error) {
	functions, err := hostFuncs(c.Functions)
	if err != nil {
		return nil, fmt.Errorf("halite: %w", err)
	}
	ns := namespace.New()
	cfg := libcshim.Config{
		Env: c.Env, Dir: c.Dir, Namespace: ns,
		Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, Ports: c.Ports, Descriptors: c.Descriptors, Network: c.Network,
		Trace: c.Trace, LinkTrace: c.LinkTrace,
		MaxProcesses: c.MaxProcesses, MaxMemory: c.MaxMemory, MaxThreads: c.MaxThreads, MaxFiles: c.MaxFiles, StackSize: c.StackSize,
		MaxCPU: c.MaxCPU, MaxOutput: c.MaxOutput, Profile: c.Profile.samples(),
		Library: library, Functions: functions, Callers: c.Callers, Invocable: c.Invocable,
	}
	if cfg.Verdicts, err = verdictsOf(&c); err != nil {
		ns.Close()
		return nil, fmt.Errorf("halite: %w", err)
	}
	if err := mountAll(ns, &c, &cfg); err != nil {
		ns.Close()
		return nil, fmt.Errorf("halite: %w", err)
	}
	name := c.Name
	if name == "" {
		name = cfg.Program
	}
	cfg.Args = append([]string{name}, c.Args...)
	p, err := libcshim.NewProcess(cfg)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("halite: %w", err)
	}
	return p, nil
}

// Run loads a program, runs it to its end and gives everything back. The error is
// nil when the program ended by itself, whatever its status, or by a signal that
// it was sent; a *FaultError; the context's error when that ended first; or the
// reason why it could not be started.
func Run(ctx context.Context, c Config) (ExitStatus, error) {
	p, err := New(c)
	if err != nil {
		return ExitStatus{}, err
	}
	defer p.Close()
	return p.Run(ctx)
}

// Closure lists the objects that a program needs and what is missing among them.
type Closure = ld.Closure

// Libraries finds what a program or library needs, as Run would, without loading
// or running anything.
func Libraries(c Config) (*Closure, error) {
	ns := namespace.New()
	defer ns.Close()
	var cfg libcshim.Config
	if err := mountAll(ns, &c, &cfg); err != nil {
		return nil, fmt.Errorf("halite: %w", err)
	}
	closure, err := libcshim.CloseOver(ns, cfg.Program, cfg.LibraryPath)
	if err != nil {
		return nil, fmt.Errorf("halite: %w", err)
	}
	return closure, nil
}

// OuterSandbox puts a second wall, the kernel's, around this whole process, for
// the case that a guest breaks out of its own: of the file system only what the
// given configurations name can be opened from now on, and nothing can be executed,
// traced, connected to or signalled. It can't be undone. Load the programs first
// (New opens files that they do not show to their guests); what programs are to
// load later must lie in their Mounts or Libraries.
//
// It needs Landlock and seccomp, and a program that does not link runtime/cgo. After
// an error part of the wall may stand: end the process.
func OuterSandbox(configs ...Config) error {
	var w outer.Config
	for _, c := range configs {
		w.ReadOnly = append(w.ReadOnly, c.Libraries...)
		for _, m := range c.Mounts {
			switch {
			case m.Host == "":
			case m.ReadOnly:
				w.ReadOnly = append(w.ReadOnly, m.Host)
			default:
				w.ReadWrite = append(w.ReadWrite, m.Host)
			}
		}
	}
	return outer.Enter(w)
}

// owner is who the guest takes itself for.
var owner = namespace.Identity{UID: 1000, GID: 1000}

// mountAll builds the file tree and finds the program's place in it.
func mountAll(ns *namespace.Namespace, c *Config, cfg *libcshim.Config) error {
	for i, dir := range c.Libraries {
		guest := "/lib"
		if i > 0 {
			guest = fmt.Sprintf("/lib.%d", i)
			cfg.LibraryPath = append(cfg.LibraryPath, guest)
		}
		if err := mountOne(ns, Mount{Guest: guest, Host: dir, ReadOnly: true}); err != nil {
			return fmt.Errorf("library directory: %w", err)
		}
	}
	for _, m := range c.Mounts {
		if err := mountOne(ns, m); err != nil {
			return fmt.Errorf("mount %s: %w", m.Guest, err)
		}
	}
	if c.GuestProgram != "" {
		cfg.Program = c.GuestProgram
		return nil
	}
	guest, ok, err := guestPath(c)
	if err != nil {
		return err
	}
	if !ok {
		err = mountOne(ns, Mount{Guest: guest, Host: c.Program, ReadOnly: true})
	}
	cfg.Program = guest
	return err
}

func mountOne(ns *namespace.Namespace, m Mount) error {
	if !path.IsAbs(m.Guest) {
		return fmt.Errorf("guest path %q is not absolute", m.Guest)
	}
	var tree namespace.FS
	switch {
	case m.Host != "":
		st, err := os.Stat(m.Host)
		if err != nil {
			return err
		}
		if st.IsDir() {
			tree, err = namespace.HostDir(m.Host, owner)
		} else {
			tree, err = namespace.HostFile(m.Host, owner)
		}
		if err != nil {
			return err
		}
	case m.FS != nil:
		tree = namespace.FromFS(m.FS, owner)
	default:
		tree = namespace.NewMemory(namespace.MemoryConfig{Identity: owner, MaxBytes: m.Size})
	}
	if err := ns.Mount(m.Guest, tree, namespace.MountOptions{ReadOnly: m.ReadOnly}); err != nil {
		tree.Close()
		return err
	}
	return nil
}

// guestPath is where the guest finds its program, and whether a mount put it there.
func guestPath(c *Config) (guest string, mounted bool, err error) {
	if c.Program == "" {
		return "", false, fmt.Errorf("no program named")
	}
	file, err := realPath(c.Program)
	if err != nil {
		return "", false, err
	}
	if st, err := os.Stat(file); err != nil {
		return "", false, err
	} else if !st.Mode().IsRegular() {
		return "", false, fmt.Errorf("%s: not a regular file", c.Program)
	}
	longest := -1
	for _, m := range c.Mounts {
		if m.Host == "" {
			continue
		}
		host, err := realPath(m.Host)
		if err != nil {
			return "", false, err
		}
		rel, err := filepath.Rel(host, file)
		if err != nil || rel == ".." || strings.HasPrefix(rel, "../") || len(host) <= longest {
			continue
		}
		longest = len(host)
		guest = path.Join(m.Guest, filepath.ToSlash(rel))
	}
	if longest >= 0 {
		return guest, true, nil
	}
	return "/bin/" + filepath.Base(file), false, nil
}

func realPath(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}
