package halite

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/libcshim"
	"github.com/halite-run/halite/runtime"
)

// A Ptr is an address in a library's sandbox, an offset of 32 bits; 0 is null. It
// means nothing in another one.
type Ptr uint32

// Memory reads and writes a sandbox: every access is checked and a bad address is
// an error. The guest may change what is there at any time that one of its threads
// runs, so what matters is read once, and checked afterwards.
type Memory = safemem.Memory

// Errors of calls; errors.Is finds them.
var (
	// ErrEnded: the domain is over. What ended it is wrapped too.
	ErrEnded = runtime.ErrEnded
	// ErrBusy: a call from within a callback that would have to wait for itself.
	ErrBusy = runtime.ErrBusy
)

// An ExitError is returned by a call during which the guest ended its domain by
// itself (exit, abort).
type ExitError = runtime.ExitError

// A RevokedError is returned by a call in which the guest called a Go function
// after Callback.Close.
type RevokedError = runtime.RevokedError

// A Descriptor is what Process.Invoke passes beside bytes: an *os.File, or what
// an earlier Invoke returned.
type Descriptor = runtime.Descriptor

// A Library is a shared object in a domain of its own, with everything it needs,
// whose functions Go code calls.
//
//	lib, err := halite.Load(ctx, halite.Config{Program: "libsum.so", Libraries: []string{"guest/lib"}})
//	defer lib.Close()
//	sum, err := lib.Func("sum")
//	r, err := sum.Call(ctx, halite.Bytes(data), halite.Int(len(data)))
//	fmt.Println(r.Int32())
//
// A call runs on the caller's own thread; it costs some forty nanoseconds (BenchmarkCall).
// Methods are safe for use from several goroutines; Config.Callers says how many
// calls are in progress at once, the others wait for their turn.
//
// # When a call ends otherwise
//
// A call that faults, exits, or is still running when its context ends, is the end
// of the domain: it was stopped at an arbitrary place, and what it left behind can't
// be trusted. That call returns a *FaultError, an *ExitError or the context's cause,
// every later one ErrEnded; Load makes a new one. A call whose context has ended
// before it begins does not touch the domain. Neither does one that waits for its
// turn, or that is given bad arguments.
//
// # Callbacks
//
// Config.Functions and Callback make Go functions callable by the guest. They run
// on the goroutine of the call (or of the guest's own thread), with the guest
// waiting. A call of the same library with the callback's context (Call.Context, or a
// context.Context parameter) nests on the same guest thread, to any depth that its
// stacks have room for; one with another context takes another thread, and waits
// forever if there is none and the context does not end. Calls of other libraries
// are calls like any other.
//
// A panic in a callback, or runtime.Goexit, unwinds the guest's functions along with
// Go's, and the library can be used on; what those functions held (a mutex, memory)
// stays held. A longjmp of the guest past a callback into an outer call is a fault.
type Library struct {
	p            *libcshim.Process
	d            *runtime.Domain
	malloc, free uint32
	from         *Template // nil: of Load
}

// Load validates and links the shared object that c.Program names, with its
// dependencies and the C library, into a fresh domain without a program, and runs
// its constructors. The caller must Close it. Args, Name and Stdin mean what they
// mean for a program: what the constructors see.
func Load(ctx context.Context, c Config) (*Library, error) {
	p, err := newProcess(c, true)
	if err != nil {
		return nil, err
	}
	l := &Library{p: p, d: p.Domain()}
	_, descs, err := p.Start(ctx)
	for _, x := range descs {
		x.Close()
	}
	if err == nil {
		l.malloc, err = p.Function("malloc")
	}
	if err == nil {
		l.free, err = p.Function("free")
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("halite: %s: %w", c.Program, err)
	}
	return l, nil
}

// Close ends the domain and gives everything back. Calls in progress are stopped.
// Destructors do not run: see Exit. It must not be called from a callback.
func (l *Library) Close() error { return l.p.Close() }

// Exit lets the library end as a program does: functions of atexit and destructors
// run, buffers are written. Close must follow.
func (l *Library) Exit(ctx context.Context) error {
	f, err := l.Func("exit")
	if err != nil {
		return err
	}
	_, err = f.Call(ctx, Int(0))
	var exit *ExitError
	if errors.As(err, &exit) && exit.Ending.Signal == 0 {
		return nil
	}
	return err
}

// Process is the domain's descriptors, limits and system calls.
func (l *Library) Process() *Process { return l.p }

// Memory is the library's memory. It must not be used after Close.
func (l *Library) Memory() Memory { return l.d.Memory() }

// Done is closed when the domain is over, by Close or by a call that ended it.
func (l *Library) Done() <-chan struct{} { return l.d.Done() }

// Func finds a function that the library or one of its dependencies exports.
func (l *Library) Func(name string) (*Func, error) {
	addr, err := l.p.Function(name)
	if err != nil {
		return nil, fmt.Errorf("halite: %w", err)
	}
	return &Func{l: l, addr: addr}, nil
}

// FuncAt is the function that a pointer of the guest points to: one that it
// returned, or passed to a callback. A call of what is no function is a fault.
func (l *Library) FuncAt(p Ptr) *Func { return &Func{l: l, addr: uint32(p)} }

// Var finds a variable that the library exports.
func (l *Library) Var(name string) (Ptr, error) {
	addr, err := l.p.Variable(name)
	if err != nil {
		return 0, fmt.Errorf("halite: %w", err)
	}
	return Ptr(addr), nil
}

// A Func is a C function of a library.
type Func struct {
	l    *Library
	addr uint32
}

// Ptr is the function's address, to be passed to C.
func (f *Func) Ptr() Ptr { return Ptr(f.addr) }

// onStack bounds what a call copies to the guest's stack; larger buffers are
// allocated on its heap.
const onStack = 32 << 10

// Call calls the function and waits for its return. It does not look at the
// function's type: the arguments must be what C expects, and the result is read as
// what C returned.
func (f *Func) Call(ctx context.Context, args ...Arg) (Result, error) {
	var c runtime.Call
	err := error(nil)
	if registers(args, &c) {
		err = f.l.d.Do(ctx, f.addr, &c)
	} else {
		err = f.enterWithMemory(ctx, args, &c)
	}
	if err != nil {
		return Result{}, err
	}
	return Result{c.Int[0], c.Int[1], c.Float[0], c.Float[1]}, nil
}

// registers puts arguments into registers, if that is where all of them go.
func registers(args []Arg, c *runtime.Call) bool {
	n := 0
	for i := range args {
		if a := &args[i]; a.kind == argInt && n < len(c.Int) {
			c.Int[n] = a.bits
			n++
		} else if a.kind == argFloat && c.NFloat < 8 {
			c.Float[c.NFloat] = a.bits
			c.NFloat++
		} else {
			return false
		}
	}
	return true
}

func (f *Func) enterWithMemory(ctx context.Context, args []Arg, c *runtime.Call) (err error) {
	v, err := f.l.d.Enter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = v.Leave(err) }()
	return f.callWithMemory(v.Thread(), args, c)
}

// callWithMemory is a call with stack arguments or with arguments that are copied
// into the guest.
func (f *Func) callWithMemory(t *runtime.Thread, args []Arg, c *runtime.Call) (err error) {
	*c = runtime.Call{}
	mem := f.l.d.Memory()
	small, words := 0, 0
	var buf [16]uint32
	at := buf[:] // where the copies are, 0 for those on the stack
	if len(args) > len(buf) {
		at = make([]uint32, len(args))
	}
	var heap []uint32
	defer func() {
		for _, p := range heap {
			if t.Exiting() {
				return // there is nobody to give it back to
			}
			if e := f.l.freeOn(t, p); e != nil && err == nil {
				err = e
			}
		}
	}()
	ints, floats := 0, 0
	for i := range args {
		a := &args[i]
		switch a.kind {
		case argFloat:
			if floats++; floats > 8 {
				words++
			}
		case argStack:
			if len(a.bytes()) > onStack {
				return fmt.Errorf("halite: a structure of %d bytes as an argument; at most %d are passed by value", len(a.bytes()), onStack)
			}
			words += (len(a.bytes()) + 7) / 8
		default:
			if ints++; ints > 6 {
				words++
			}
			if a.kind == argInt {
				break
			}
			n := a.size()
			if n > math.MaxInt32 {
				return fmt.Errorf("halite: a buffer of %d bytes does not fit a sandbox", n)
			}
			if small+n <= onStack {
				small += (n + 15) &^ 15
				break
			}
			p, err := f.l.mallocOn(t, uint64(n))
			if err != nil {
				return err
			}
			heap = append(heap, p)
			at[i] = p
		}
	}
	base := t.Below(uint32(small))
	sp := (base - 8*uint32(words)) &^ 15
	if base == 0 || sp > base {
		return errors.New("halite: no room on the guest's stack")
	}
	c.Stack = sp
	next, word, n := base, sp, 0
	push := func(v uint64) error {
		word += 8
		return mem.Store64(word-8, v)
	}
	for i := range args {
		a := &args[i]
		switch a.kind {
		case argFloat:
			if c.NFloat < 8 {
				c.Float[c.NFloat] = a.bits
				c.NFloat++
			} else if err := push(a.bits); err != nil {
				return errCopy(err)
			}
			continue
		case argStack:
			if err := mem.Write(word, a.bytes()); err != nil {
				return errCopy(err)
			}
			word += uint32(len(a.bytes())+7) &^ 7
			continue
		}
		v := a.bits
		if a.kind != argInt {
			if at[i] == 0 {
				at[i] = next
				next += uint32(a.size()+15) &^ 15
			}
			v = uint64(at[i])
			if err := a.copyIn(mem, at[i]); err != nil {
				return errCopy(err)
			}
		}
		if n < len(c.Int) {
			c.Int[n] = v
			n++
		} else if err := push(v); err != nil {
			return errCopy(err)
		}
	}
	if err := t.Do(f.addr, c); err != nil {
		return err
	}
	for i := range args {
		if a := &args[i]; a.kind == argOut || a.kind == argInOut {
			if err := mem.Read(at[i], a.bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

func errCopy(err error) error {
	return fmt.Errorf("halite: copying arguments into the guest: %w", err)
}

func (l *Library) mallocOn(t *runtime.Thread, n uint64) (uint32, error) {
	c := runtime.Call{Int: [6]uint64{max(n, 1)}}
	if err := t.Do(l.malloc, &c); err != nil {
		return 0, err
	}
	p := uint32(c.Int[0])
	if p == 0 {
		return 0, fmt.Errorf("halite: malloc of %d bytes: %w", n, ErrNoMemory)
	}
	// What the guest says is believed as far as it goes: a bad address is found
	// when it is written to.
	return p, nil
}

func (l *Library) freeOn(t *runtime.Thread, p uint32) error {
	c := runtime.Call{Int: [6]uint64{uint64(p)}}
	return t.Do(l.free, &c)
}

// ErrNoMemory: the guest's malloc returned null.
var ErrNoMemory = errors.New("the guest is out of memory")

// Malloc calls the guest's malloc. The caller must Free what it returns, or leave
// it to Close.
func (l *Library) Malloc(ctx context.Context, n int) (p Ptr, err error) {
	if n < 0 {
		return 0, fmt.Errorf("halite: malloc of %d bytes", n)
	}
	v, err := l.d.Enter(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = v.Leave(err) }()
	addr, err := l.mallocOn(v.Thread(), uint64(n))
	return Ptr(addr), err
}

// Free calls the guest's free.
func (l *Library) Free(ctx context.Context, p Ptr) (err error) {
	v, err := l.d.Enter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = v.Leave(err) }()
	return l.freeOn(v.Thread(), uint32(p))
}

// An Arena is guest memory that is freed together. It belongs to one goroutine.
type Arena struct {
	l    *Library
	ctx  context.Context
	list []Ptr
}

// NewArena makes an empty arena; ctx is for its calls of malloc and free.
func (l *Library) NewArena(ctx context.Context) *Arena { return &Arena{l: l, ctx: ctx} }

// Alloc allocates n bytes.
func (a *Arena) Alloc(n int) (Ptr, error) {
	p, err := a.l.Malloc(a.ctx, n)
	if err == nil {
		a.list = append(a.list, p)
	}
	return p, err
}

// Bytes allocates a copy of b.
func (a *Arena) Bytes(b []byte) (Ptr, error) {
	p, err := a.Alloc(len(b))
	if err == nil {
		err = a.l.Memory().Write(uint32(p), b)
	}
	return p, err
}

// String allocates a copy of s with a zero byte behind it.
func (a *Arena) String(s string) (Ptr, error) {
	return a.Bytes(append([]byte(s), 0))
}

// Close frees everything.
func (a *Arena) Close() error {
	var errs []error
	for _, p := range a.list {
		errs = append(errs, a.l.Free(a.ctx, p))
	}
	a.list = nil
	return errors.Join(errs...)
}

// A Callback is a Go function as a C function pointer.
type Callback struct {
	l    *Library
	addr uint32
}

// Callback makes a Go function callable by the library, until it is closed: at most
// some nine hundred at once, Config.Functions included. f is
//
//   - a func(*Call), which costs the least, or
//   - a function whose parameters are integers, floats, bools and Ptrs, after an
//     optional context.Context, and which returns nothing or one of these; it is
//     called through reflection, which takes longer.
//
// The guest may call it at any time and as often as it likes, with any arguments,
// from any of its threads: f must bear that.
func (l *Library) Callback(f any) (*Callback, error) {
	h, err := hostFunc(f)
	if err != nil {
		return nil, fmt.Errorf("halite: %w", err)
	}
	addr, err := l.d.AddHostFunc(h)
	if err != nil {
		return nil, err
	}
	return &Callback{l, addr}, nil
}

// Ptr is the C function pointer.
func (c *Callback) Ptr() Ptr { return Ptr(c.addr) }

// Arg passes the function pointer.
func (c *Callback) Arg() Arg { return Pointer(c.Ptr()) }

// Close revokes the function. Calls in progress go on; a later call of the guest ends
// the domain with a RevokedError. The address is given out again only when all others
// were.
func (c *Callback) Close() {
	if c.addr != 0 {
		c.l.d.RevokeHostFunc(c.addr)
		c.addr = 0
	}
}

// Call is a call of a callback: its arguments, where its result goes, and the context
// for calls back into the guest.
type Call = runtime.HostCall

// A PanicError ended a domain in which a callback panicked on a thread of the
// guest's own.
type PanicError = runtime.PanicError
