package libcshim

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/runtime"
)

// Bounds of execve, as on Linux: one string, the first line of a script, scripts
// that are run by scripts.
const (
	maxArg     = 128 << 10
	maxShebang = 256
	maxScripts = 5
)

func sysExecve(k *task, a *args) (int64, error) { return k.execve(cwdFD, a[0], a[1], a[2], 0) }
func sysExecveat(k *task, a *args) (int64, error) {
	return k.execve(a[0], a[1], a[2], a[3], int32Arg(a[4]))
}

func (k *task) execve(dirfd, path, argv, envp uint64, flags int) (int64, error) {
	if !k.p.tree.several() || k.p.dom.Invocable() {
		return 0, unix.ENOSYS
	}
	if flags&^(unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW) != 0 {
		return 0, unix.EINVAL
	}
	dir, name, err := k.program(dirfd, path, flags)
	if err != nil {
		return 0, err
	}
	left := maxArgs
	args, err := k.vector(argv, &left)
	if err != nil {
		return 0, err
	}
	env, err := k.vector(envp, &left)
	if err != nil {
		return 0, err
	}
	next, err := k.p.prepareExec(dir, name, args, env)
	if err != nil {
		k.p.tracer.note(k.p, "+++ execve %q: %v +++", name, err)
		return 0, execErrno(err)
	}
	next.main.Local().(*task).sig.mask = k.mask()
	t := k.p.tree
	t.mu.Lock()
	n := k.p.node
	if n.next != nil { // another thread was faster
		t.mu.Unlock()
		next.discard()
		return 0, unix.EAGAIN
	}
	n.next = next
	t.mu.Unlock()
	k.p.signals.mu.Lock()
	for _, i := range k.sig.pending.infos {
		_ = k.p.signals.pending.add(i)
	}
	k.p.signals.mu.Unlock()
	k.p.dom.End(runtime.Ending{Err: errExec})
	return 0, nil
}

func (k *task) mask() sigset {
	k.p.signals.mu.Lock()
	defer k.p.signals.mu.Unlock()
	return k.sig.mask
}

// program is the name of what is to be executed, and where it starts from.
func (k *task) program(dirfd, addr uint64, flags int) (dir, name string, err error) {
	if flags&unix.AT_EMPTY_PATH != 0 {
		if name, err = k.path(addr); err != nil {
			return "", "", err
		}
		if name == "" {
			o, err := k.p.fds.get(int32Arg(dirfd))
			if err != nil {
				return "", "", err
			}
			defer o.release()
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.path == "" || o.isDir {
				return "", "", unix.EACCES
			}
			return "/", o.path, nil
		}
	}
	if dir, name, err = k.atPath(dirfd, addr); err != nil {
		return "", "", err
	}
	if flags&unix.AT_SYMLINK_NOFOLLOW != 0 {
		st, _, err := k.p.ns.Stat(dir, name, false)
		if err != nil {
			return "", "", err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return "", "", unix.ELOOP
		}
	}
	return dir, name, nil
}

// vector copies an array of strings; each costs its bytes and its pointer.
func (k *task) vector(addr uint64, left *int) ([]string, error) {
	if uint32(addr) == 0 {
		return nil, nil
	}
	var list []string
	for at := uint32(addr); ; at += 8 {
		p, err := k.p.mem.Load64(at)
		if err != nil {
			return nil, err
		}
		if uint32(p) == 0 {
			return list, nil
		}
		s, err := k.p.mem.ReadString(uint32(p), maxArg)
		if errors.Is(err, safemem.ErrTooLong) {
			return nil, unix.E2BIG
		}
		if err != nil {
			return nil, err
		}
		if *left -= len(s) + 1 + 8; *left < 0 {
			return nil, unix.E2BIG
		}
		list = append(list, s)
	}
}

// prepareExec makes a process of the same node that has another program. Nothing of
// the old one is changed.
func (p *Process) prepareExec(dir, name string, args, env []string) (*Process, error) {
	for range maxScripts {
		file, line, err := p.executable(dir, name)
		if err != nil {
			return nil, err
		}
		if line == "" {
			return p.newProgram(file, args, env)
		}
		interpreter, arg, _ := strings.Cut(line, " ")
		if interpreter == "" {
			return nil, unix.ENOEXEC
		}
		list := []string{interpreter}
		if arg = strings.TrimSpace(arg); arg != "" {
			list = append(list, arg)
		}
		args = append(append(list, name), args[min(1, len(args)):]...)
		name = interpreter
	}
	return nil, unix.ELOOP
}

// executable finds a file that can be executed: its absolute name, without links,
// and what a script says about who runs it; "" for what is no script.
func (p *Process) executable(dir, name string) (file, line string, err error) {
	if err := p.ns.Access(dir, name, unix.X_OK, true); err != nil {
		return "", "", err
	}
	f, err := openGuest(p.ns, dir, name)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	var head [maxShebang]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return "", "", err
	}
	first, script := bytes.CutPrefix(head[:n], []byte("#!"))
	if !script {
		return f.path, "", nil
	}
	if end := bytes.IndexByte(first, '\n'); end >= 0 {
		first = first[:end]
	} else if n == len(head) && !bytes.ContainsAny(bytes.TrimLeft(first, " \t"), " \t") {
		return "", "", unix.ENOEXEC // the name is cut off
	}
	line = strings.Trim(strings.ReplaceAll(string(first), "\t", " "), " ")
	if line == "" || strings.IndexByte(line, 0) >= 0 {
		return "", "", unix.ENOEXEC
	}
	return f.path, line, nil
}

// newProgram loads a program for the process's node.
func (p *Process) newProgram(file string, args, env []string) (*Process, error) {
	cfg := p.cfg
	cfg.Program, cfg.Args, cfg.Env = file, args, env
	if len(args) == 0 {
		cfg.Args = []string{""} // as Linux does, so that argv[0] exists
	}
	c := p.node.newImage(cfg, p.ns.Clone())
	c.cwd = p.dir()
	p.mu.Lock()
	c.umask, c.nice, c.affinity = p.umask, p.nice, p.affinity
	p.mu.Unlock()
	if !cfg.NoSystemMounts {
		if err := c.ownMounts(); err != nil {
			c.discard()
			return nil, err
		}
	}
	err := c.newDomain()
	if err == nil {
		err = c.load()
	}
	if err != nil {
		c.discard()
		return nil, err
	}
	return c, nil
}

// takeOver gives a new program what it keeps of the old one, whose threads have
// gone. The caller holds tree.mu, so that no signal is lost in between.
func (p *Process) takeOver(old *Process) {
	p.fds.takeFrom(&old.fds)
	s := &old.signals
	s.mu.Lock()
	for n := range s.actions {
		if s.actions[n].handler == sigIgn {
			p.signals.actions[n].handler = sigIgn
		}
	}
	p.signals.pending, s.pending = s.pending, queue{}
	s.mu.Unlock()
	for which := itimerReal; which <= itimerProf; which++ {
		if left, every := old.timerLeft(which); left > 0 {
			p.setTimer(which, left, every)
		}
	}
	if p.signals.pending.set&^p.main.Local().(*task).sig.mask != 0 {
		p.main.Kick()
	}
}

// execErrno is the number for a program that can't be run.
func execErrno(err error) unix.Errno {
	var format *loader.FormatError
	var e unix.Errno
	switch {
	case errors.As(err, &format):
		return unix.ENOEXEC
	case errors.As(err, &e):
		switch e {
		case unix.ENOENT, unix.EACCES, unix.ENOTDIR, unix.ELOOP, unix.ENAMETOOLONG, unix.E2BIG, unix.ENOMEM, unix.ENOEXEC, unix.EIO, unix.EISDIR:
			return e
		}
	}
	return unix.ENOEXEC
}
