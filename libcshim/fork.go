package libcshim

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/runtime"
)

// sysFork serves fork and vfork: the child is a copy either way.
func sysFork(k *task, a *args) (int64, error) {
	if !k.p.tree.several() {
		return 0, unix.ENOSYS
	}
	pid, err := k.fork()
	if err != nil {
		k.p.tracer.note(k.p, "+++ fork: %v +++", err)
		return 0, forkErrno(err)
	}
	return int64(pid), nil
}

func forkErrno(err error) unix.Errno {
	var refused *cage.Error
	switch {
	case errors.Is(err, runtime.ErrNoFork), errors.Is(err, cage.ErrDynamic):
		return unix.ENOSYS
	case errors.As(err, &refused):
		return unix.ENOMEM
	}
	return unix.EAGAIN
}

// sysClone is fork for programs that make the call themselves. Threads are made
// by thread_spawn.
func sysClone(k *task, a *args) (int64, error) {
	const signalMask = 0xff
	if a[0]&^(signalMask|unix.CLONE_VM|unix.CLONE_VFORK) != 0 || a[1] != 0 {
		return 0, unix.ENOSYS
	}
	return sysFork(k, a)
}

// fork makes a copy of the process and lets it run.
func (k *task) fork() (pid int, err error) {
	p, t := k.p, k.p.tree
	n, err := t.newNode(p.node)
	if err != nil {
		return 0, err
	}
	c := n.newImage(p.cfg, p.ns.Clone())
	started := false
	defer func() {
		if !started {
			c.discard()
			t.abandon(n)
		}
	}()
	c.exe = p.exe
	p.mu.Lock()
	c.cwd, c.umask, c.nice, c.affinity = p.cwd, p.umask, p.nice, p.affinity
	name := k.name
	p.mu.Unlock()
	if !p.cfg.NoSystemMounts {
		if err := c.ownMounts(); err != nil {
			return 0, err
		}
	}
	var thread *runtime.Thread
	c.linker, err = p.linker.Fork(k.t.TID(), n.pid, func(cfg *ld.Config) error {
		p.memory.mu.Lock()
		defer p.memory.mu.Unlock()
		c.memory.copyFrom(&p.memory)
		if thread, err = k.t.Fork(c, n.pid); err != nil {
			return err
		}
		c.dom, c.main = thread.Domain(), thread
		c.mem = c.dom.Memory()
		cfg.Cage, cfg.Open, cfg.Retire = c.dom.Cage(), c.openLibrary, c.dom.Retire
		return nil
	})
	if err != nil {
		return 0, err
	}
	c.dom.SetSymbolizer(symbolizer{c.linker})
	c.fds.copyFrom(&p.fds)
	p.signals.mu.Lock()
	c.signals.actions = p.signals.actions
	sig := taskSignals{mask: k.sig.mask, altAddr: k.sig.altAddr, altSize: k.sig.altSize, altFlags: k.sig.altFlags}
	p.signals.mu.Unlock()
	thread.SetLocal(&task{p: c, t: thread, name: name, sig: sig})
	started = true
	t.start(n, c)
	return n.pid, nil
}
