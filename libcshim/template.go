package libcshim

import (
	"errors"
	"fmt"
	"sync"

	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/runtime"
)

// A Template is a started process that has become what others are copied from. Its
// methods are safe for use from any goroutine.
type Template struct {
	p  *Process
	of *runtime.Template

	mu     sync.Mutex
	users  int // processes made from it, and its owner
	closed bool
}

// ErrTemplate is why a process can't become a template.
var ErrTemplate = errors.New("libcshim: the process can't become a template")

// Template makes the process one, for good; to Close it is to Close the template. It
// was started (Start) and waits for calls, on its only thread, and holds nothing that
// can't be had twice: it has started no other process, has opened no descriptor
// beyond those that its Config gave it, has no ports and no shared memory. Otherwise the
// error wraps ErrTemplate and the process is as it was.
func (p *Process) Template() (*Template, error) {
	if err := p.alone(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	of, err := p.dom.Template()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	tp := &Template{p: p, of: of, users: 1}
	p.template.Store(tp)
	return tp, nil
}

// alone says what there is that can't be had twice.
func (p *Process) alone() error {
	switch {
	case !p.cfg.Library && !p.cfg.Invocable || !p.ran.Load():
		return errors.New("it does not wait for calls")
	case len(p.cfg.Ports) > 0:
		return errors.New("it has a port, whose other end is in use")
	}
	t := p.tree
	t.mu.Lock()
	n := len(t.nodes)
	t.mu.Unlock()
	if n != 1 || p.current() != p {
		return errors.New("it has started processes, or has executed another program")
	}
	var err error
	p.fds.each(func(fd int, o *openFile) {
		if _, given := p.cfg.Descriptors[fd]; fd > 2 && !given && err == nil {
			err = fmt.Errorf("it has opened descriptor %d", fd)
		}
	})
	return err
}

// Size returns the bytes of memory that the processes made from it share.
func (tp *Template) Size() uint64 { return tp.of.Size() }

// NewProcess makes a process that stands where the template does: started, and
// waiting for calls. It has the template's Config, and everything that counts, limits
// included, anew; its own copy of the memory; its own descriptors for the streams and
// for Config.Descriptors. File systems in memory are empty. Whatever the guest takes for
// random and has drawn already is the same in all of them.
func (tp *Template) NewProcess() (*Process, error) { return tp.make(nil) }

// Reset is NewProcess in the place of a process that was made from this template. That
// one is closed, also when there is an error.
func (tp *Template) Reset(p *Process) (*Process, error) {
	if p.tree.from != tp {
		return nil, errors.New("libcshim: the process was not made from this template")
	}
	c, err := tp.make(p)
	if err != nil {
		_ = p.Close()
	}
	return c, err
}

// make makes a process. Where it stands in the place of old, that one is closed.
func (tp *Template) make(old *Process) (*Process, error) {
	tp.mu.Lock()
	if tp.closed {
		tp.mu.Unlock()
		return nil, errors.New("libcshim: the template is closed")
	}
	tp.users++
	tp.mu.Unlock()
	from := tp.p
	cfg := from.tree.given
	cfg.Namespace = from.tree.ns.Renew()
	t := startTree(&cfg)
	t.from = tp
	c := t.root.newImage(cfg, cfg.Namespace)
	t.root.image = c
	c.ran.Store(true)
	if err := c.copyFrom(tp, old); err != nil {
		if c.dom != nil {
			_ = c.close()
			return nil, err
		}
		c.closeFiles()
		_ = cfg.Namespace.Close()
		tp.release()
		return nil, err
	}
	return c, nil
}

// copyFrom makes an empty process what the template is.
func (p *Process) copyFrom(tp *Template, old *Process) error {
	from := tp.p
	p.exe = from.exe
	from.mu.Lock()
	p.cwd, p.umask, p.nice, p.affinity = from.cwd, from.umask, from.nice, from.affinity
	from.mu.Unlock()
	if !p.cfg.NoSystemMounts {
		if err := p.systemMounts(); err != nil {
			return err
		}
	}
	if err := p.openStdio(); err != nil {
		return err
	}
	if err := p.openDescriptors(); err != nil {
		return err
	}
	p.closeAbsent(from)
	tid := from.main.TID()
	var thread *runtime.Thread
	domain := func() (err error) {
		p.memory.copyFrom(&from.memory)
		cfg := runtime.Config{
			MaxMemory: p.cfg.MaxMemory, MaxThreads: p.cfg.MaxThreads, Personality: p,
			Budget: p.tree.budget, CPU: p.tree.cpu, Futexes: p.tree.futexes, NextThread: p.tree.nextID, Profile: p.cfg.Profile,
		}
		if old != nil {
			p.dom, thread, err = tp.of.Reset(old.dom, cfg)
		} else {
			p.dom, thread, err = tp.of.NewDomain(cfg)
		}
		if err != nil {
			return err
		}
		p.main, p.mem = thread, p.dom.Memory()
		return nil
	}
	var err error
	if from.classic != nil {
		p.classic = from.classic.copy()
		err = domain()
	} else {
		p.linker, err = from.linker.Fork(tid, tid, func(cfg *ld.Config) error {
			if err := domain(); err != nil {
				return err
			}
			cfg.Cage, cfg.Open, cfg.Retire = p.dom.Cage(), p.openLibrary, p.dom.Retire
			return nil
		})
	}
	if err != nil {
		return err
	}
	if p.linker != nil {
		p.dom.SetSymbolizer(symbolizer{p.linker})
	}
	was := from.main.Local().(*task)
	thread.SetLocal(&task{p: p, t: thread, name: was.name, sig: taskSignals{mask: was.sig.mask, altAddr: was.sig.altAddr, altSize: was.sig.altSize, altFlags: was.sig.altFlags}})
	p.signals.actions = from.signals.actions
	if err := p.setCallers(); err != nil {
		thread.Drop()
		return err
	}
	if old != nil {
		_ = old.Close() // its domain is gone: what else it has
	}
	thread.Wait()
	return nil
}

// closeAbsent closes those of the first descriptors that another process has closed.
func (p *Process) closeAbsent(from *Process) {
	open := map[int]bool{}
	from.fds.each(func(fd int, _ *openFile) { open[fd] = true })
	var absent []int
	p.fds.each(func(fd int, _ *openFile) {
		if !open[fd] {
			absent = append(absent, fd)
		}
	})
	for _, fd := range absent {
		if o, err := p.fds.remove(fd); err == nil {
			_ = o.release()
		}
	}
}

// Close gives the template up. Processes made from it go on; what they share with it is
// given back with the last of them.
func (tp *Template) Close() error {
	tp.mu.Lock()
	closed := tp.closed
	tp.closed = true
	tp.mu.Unlock()
	if closed {
		return nil
	}
	return tp.release()
}

func (tp *Template) release() error {
	tp.mu.Lock()
	tp.users--
	last := tp.users == 0
	tp.mu.Unlock()
	if !last {
		return nil
	}
	err := tp.of.Close()
	if e := tp.p.close(); err == nil {
		err = e
	}
	return err
}
