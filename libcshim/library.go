package libcshim

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/runtime"
)

// callerStack is the size of the data stack of each thread for calls of the host
// but the first; memory is used as far as it grows.
const callerStack = 1 << 20

// errClassicSymbols is returned where functions are looked up by name.
var errClassicSymbols = errors.New("libcshim: a program of the classic ABI, which is no library and has no symbols")

// addCaller is the C library's function that starts such a thread.
const addCaller = "__halite_add_caller"

// offer makes the host's functions known to the domain.
func (p *Process) offer() (map[string]uint32, error) {
	if len(p.cfg.Functions) == 0 {
		return nil, nil
	}
	addrs := make(map[string]uint32, len(p.cfg.Functions))
	for name, f := range p.cfg.Functions {
		if f == nil {
			return nil, fmt.Errorf("function %s is nil", name)
		}
		addr, err := p.dom.AddHostFunc(f)
		if err != nil {
			return nil, err
		}
		addrs[name] = addr
	}
	return addrs, nil
}

// Start runs the program, or the start of the C library and the constructors of a
// library, on the caller's goroutine until its first thread waits for calls. What a
// program answered then is returned. The process must be Invocable or a Library;
// it is started, or Run, once. When ctx ends first, or the guest exits, the process
// is over.
func (p *Process) Start(ctx context.Context) (answer []byte, descs []runtime.Descriptor, err error) {
	if !p.cfg.Invocable && !p.cfg.Library {
		return nil, nil, errors.New("libcshim: the process is not to be invoked")
	}
	if p.classic != nil && p.cfg.Callers > 1 {
		return nil, nil, errClassicSymbols
	}
	if p.ran.Swap(true) {
		return nil, nil, errors.New("libcshim: a process runs once")
	}
	if err := ctx.Err(); err != nil {
		p.main.Drop()
		return nil, nil, context.Cause(ctx)
	}
	if err := p.setCallers(); err != nil {
		p.main.Drop()
		return nil, nil, err
	}
	stop := p.dom.Bind(ctx)
	waits := p.main.Run()
	stop()
	if !waits {
		e := p.dom.Wait(context.Background())
		if e.Err != nil {
			return nil, nil, e.Err
		}
		return nil, nil, &runtime.ExitError{Ending: e}
	}
	answer, descs = p.main.FirstAnswer()
	return answer, descs, nil
}

// setCallers says how further threads for calls of the host are made, if there may be
// some.
func (p *Process) setCallers() error {
	if !p.cfg.Library || p.cfg.Callers <= 1 {
		return nil
	}
	fn, err := p.linker.Sym(ld.HandleDefault, addCaller, "", 0)
	if err != nil {
		return err
	}
	p.dom.SetCallers(p.cfg.Callers, func(t *runtime.Thread) error {
		c := runtime.Call{Int: [6]uint64{callerStack}}
		if err := t.Do(fn.Addr, &c); err != nil {
			return err
		}
		if e := uint32(c.Int[0]); e != 0 {
			return fmt.Errorf("a further thread for calls: %w", unix.Errno(e&0xfff))
		}
		return nil
	})
	return nil
}

// Function finds a function by name, as dlsym(RTLD_DEFAULT) does.
func (p *Process) Function(name string) (addr uint32, err error) {
	if p.classic != nil {
		return 0, errClassicSymbols
	}
	s, err := p.linker.Sym(ld.HandleDefault, name, "", 0)
	switch {
	case err != nil:
		return 0, err
	case s.TLSModule != 0 || !s.Function || s.Addr%32 != 0:
		return 0, fmt.Errorf("%s: not a function", name)
	}
	return s.Addr, nil
}

// Variable finds a variable by name.
func (p *Process) Variable(name string) (addr uint32, err error) {
	if p.classic != nil {
		return 0, errClassicSymbols
	}
	s, err := p.linker.Sym(ld.HandleDefault, name, "", 0)
	switch {
	case err != nil:
		return 0, err
	case s.TLSModule != 0:
		return 0, fmt.Errorf("%s: a thread-local variable has no one address", name)
	case s.Function:
		return 0, fmt.Errorf("%s: a function, not a variable", name)
	}
	return s.Addr, nil
}

// An OpenFile is what a guest passed to the host with return_and_wait: it can be
// passed on to a guest, and must be closed.
type OpenFile struct{ o *openFile }

// Close gives the host's reference back.
func (f *OpenFile) Close() error {
	if f.o == nil {
		return os.ErrClosed
	}
	o := f.o
	f.o = nil
	return o.release()
}

// Install implements runtime.DescriptorTable: for an *OpenFile, an
// *os.File, or a descriptor of package imc.
func (p *Process) Install(_ *runtime.Thread, x runtime.Descriptor) (int, error) {
	var o *openFile
	switch x := x.(type) {
	case *OpenFile:
		if x.o == nil {
			return -1, os.ErrClosed
		}
		o = x.o
		o.refs.Add(1)
	case *os.File:
		h, err := newHostStream(x, p.cfg.Identity)
		if err != nil {
			return -1, err
		}
		flags, err := unix.FcntlInt(uintptr(h.fd), unix.F_GETFL, 0)
		if err != nil {
			h.Close()
			return -1, err
		}
		o = newOpenFile(h, "", flags&unix.O_ACCMODE)
	case imc.Desc:
		d, err := x.Dup()
		if err != nil {
			return -1, err
		}
		if o, err = p.openDesc(d); err != nil {
			return -1, err
		}
	default:
		return -1, fmt.Errorf("libcshim: a %T can't be passed to a guest", x)
	}
	fd, err := p.fds.add(o, 0, true)
	if err != nil {
		_ = o.release()
		return -1, err
	}
	return fd, nil
}

// Take implements runtime.DescriptorTable.
func (p *Process) Take(_ *runtime.Thread, fd int) (runtime.Descriptor, error) {
	o, err := p.fds.get(fd)
	if err != nil {
		return nil, err
	}
	return &OpenFile{o}, nil
}

// Remove implements runtime.DescriptorTable.
func (p *Process) Remove(_ *runtime.Thread, fd int) {
	if o, err := p.fds.remove(fd); err == nil {
		_ = o.release()
	}
}

// Invoke is runtime.Domain.Invoke: it gives a message to a thread that waits for
// one and returns the answer.
func (p *Process) Invoke(ctx context.Context, msg []byte, descs ...runtime.Descriptor) ([]byte, []runtime.Descriptor, error) {
	return p.dom.Invoke(ctx, msg, descs...)
}
