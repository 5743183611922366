package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/internal/safemem"
)

// Config describes a domain. The zero value is usable.
type Config struct {
	// MaxMemory bounds the bytes of code and of writable memory; 0 means the whole
	// address space.
	MaxMemory uint64
	// Budget bounds the same of several domains together; nil: no bound.
	Budget *cage.Budget
	// MaxThreads bounds the threads alive at once; 0 means 4096.
	MaxThreads int
	// ControlStackSize is the size in bytes of the stack of return addresses
	// that each thread has in the host; 0 means 1 MiB. Memory is used as far as
	// the stack grows.
	ControlStackSize int
	// Personality serves the linux slot; nil refuses every call.
	Personality Personality
	// Symbolizer names code addresses in fault reports; may be nil.
	Symbolizer Symbolizer
	// Futexes are those in memory that is shared with other domains; nil: none.
	Futexes *Futexes
	// FirstThread is the number of the first thread, and thereby what a guest
	// takes for its process id; 0 means 1000.
	FirstThread int
	// NextThread gives the numbers of the further threads, one after another, where they
	// must differ from those of other domains; nil: they count up from FirstThread. It is
	// asked again if a thread of the domain has the number; its numbers are below 1<<29.
	NextThread func() int
	// Classic makes a domain of the classic ABI (Native Client x86-64): the guest's
	// return addresses are on its own stack, and it calls NaCl's numbers.
	Classic bool
	// Invocable lets threads of the guest wait for calls of the host
	// (return_and_wait).
	Invocable bool
	// CPU bounds the processor time of guest code; nil means no bound, and that it is
	// not counted.
	CPU *CPUBudget
	// Profile collects where guest code spends its time; nil: nobody does.
	Profile *Profile
}

const (
	defaultMaxThreads   = 4096
	defaultFirstThread  = 1000
	defaultControlStack = 1 << 20
)

var (
	// ErrEnded is returned for what can not be done any more because the
	// domain has ended.
	ErrEnded = errors.New("halite: the domain has ended")
	// ErrThreads is returned when a domain has as many threads as it may.
	ErrThreads = errors.New("halite: too many threads in the domain")
)

// A Domain is one sandbox: a cage and the threads in it. Its methods are safe
// for use from any goroutine.
type Domain struct {
	cfg     Config
	cage    *cage.Cage
	mem     safemem.Memory
	person  Personality
	futexes futexTable
	host    hostFuncs
	callers callers
	// contexts are those that carry a thread (HostCall.Context) and are not over.
	contexts atomic.Int32

	retiring   retirements
	dyncode    dynamicCode
	classic    classicState
	suspension suspension
	cpu        atomic.Int64 // processor time of guest code, in nanoseconds; see cpuClock

	mu       sync.Mutex
	threads  map[int]*Thread
	lastTID  int
	started  int   // threads there ever were
	leader   int32 // exit code of the first thread, if it left by itself
	ending   *Ending
	isClosed bool

	over atomic.Bool   // ending is set: what is asked before each entry of the guest
	from *Template     // nil: of New
	done chan struct{} // closed when ending is set
	gone chan struct{} // closed when ending is set and threads is empty
}

// An Ending is the reason why a domain ended.
type Ending struct {
	// Code is the argument of exit, 0..255.
	Code int
	// Signal is the number of the signal that ended the domain, or 0.
	Signal int
	// Err is the fault or the context's error; nil for an ordinary exit.
	Err error
}

// ExitStatus is the number a shell would show: Code, or 128+Signal.
func (e Ending) ExitStatus() int {
	if e.Signal != 0 {
		return 128 + e.Signal
	}
	return e.Code
}

// NewDomain reserves an empty sandbox.
func NewDomain(cfg Config) (*Domain, error) {
	if err := engine.Init(); err != nil {
		return nil, err
	}
	if cfg.MaxThreads <= 0 {
		cfg.MaxThreads = defaultMaxThreads
	}
	if cfg.FirstThread <= 0 {
		cfg.FirstThread = defaultFirstThread
	}
	if cfg.ControlStackSize <= 0 {
		cfg.ControlStackSize = defaultControlStack
	}
	space := cage.Config{MaxMemory: cfg.MaxMemory, Trampolines: engine.Trampolines(), Budget: cfg.Budget}
	if cfg.Classic {
		if err := engine.InitClassic(); err != nil {
			return nil, err
		}
		space.Trampolines, space.Guard = engine.ClassicTrampolines(), cage.ClassicGuard
	}
	c, err := cage.New(space)
	if err != nil {
		return nil, fmt.Errorf("halite: reserving a sandbox: %w", err)
	}
	return newDomain(cfg, c), nil
}

func newDomain(cfg Config, c *cage.Cage) *Domain {
	d := &Domain{
		cfg:     cfg,
		cage:    c,
		mem:     safemem.New(c.Base()),
		person:  cfg.Personality,
		threads: make(map[int]*Thread),
		lastTID: cfg.FirstThread - 1,
		done:    make(chan struct{}),
		gone:    make(chan struct{}),
	}
	if d.person == nil {
		d.person = NoPersonality{}
	}
	d.futexes.init(0)
	d.callers.d = d
	if cfg.CPU != nil {
		clock.watch(d)
	}
	if cfg.Profile != nil {
		go d.profile()
	}
	return d
}

// Cage returns the domain's address space, for the loader and the linker.
func (d *Domain) Cage() *cage.Cage { return d.cage }

// Memory returns the window through which guest memory is read and written.
func (d *Domain) Memory() safemem.Memory { return d.mem }

// SetSymbolizer replaces Config.Symbolizer; call it before the first thread
// starts.
func (d *Domain) SetSymbolizer(s Symbolizer) { d.cfg.Symbolizer = s }

// Done is closed when it is decided that the domain ends.
func (d *Domain) Done() <-chan struct{} { return d.done }

// Gone is closed when the domain has ended and no thread of it is left.
func (d *Domain) Gone() <-chan struct{} { return d.gone }

// Ending returns the reason of the end; false while the domain lives.
func (d *Domain) Ending() (Ending, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending == nil {
		return Ending{}, false
	}
	return *d.ending, true
}

// End ends the domain; the first reason given is the one that counts. Threads
// leave soon after (Gone); End does not wait for them, so that a thread may end
// its own domain.
func (d *Domain) End(e Ending) {
	// Threads that wait for calls have no goroutine to leave on. Whoever ends the
	// domain may hold what their leaving wants.
	if d.end(e) && d.cfg.Invocable {
		go d.callers.settle()
	}
}

// EndSync is End with threads that wait for calls gone when it returns. The caller holds
// no lock that Personality.ThreadEnd takes. A goroutine less is some microseconds.
func (d *Domain) EndSync(e Ending) {
	if d.end(e) && d.cfg.Invocable {
		d.callers.settle()
	}
}

// end is End but for the threads that wait for calls. It reports whether the domain had
// not ended before.
func (d *Domain) end(e Ending) bool {
	d.mu.Lock()
	if d.ending != nil {
		d.mu.Unlock()
		return false
	}
	d.ending = &e
	d.over.Store(true)
	close(d.done)
	all := make([]*Thread, 0, len(d.threads))
	for _, t := range d.threads {
		all = append(all, t)
	}
	if len(all) == 0 {
		close(d.gone)
	}
	d.mu.Unlock()
	for _, t := range all {
		t.Kick()
	}
	return true
}

// Exit ends the domain as exit_group does.
func (d *Domain) Exit(code int) { d.End(Ending{Code: code & 0xff}) }

func (d *Domain) ended() bool { return d.over.Load() }

// Wait waits until the domain has ended and every thread has left. When ctx ends
// first, the domain is ended with its error.
func (d *Domain) Wait(ctx context.Context) Ending {
	stop := d.Bind(ctx)
	defer stop()
	<-d.gone
	e, _ := d.Ending()
	return e
}

// Bind makes the end of ctx the end of the domain until stop is called.
func (d *Domain) Bind(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	cancel := context.AfterFunc(ctx, func() {
		d.End(Ending{Signal: sigKill, Err: context.Cause(ctx)})
	})
	return func() { cancel() }
}

// Close ends the domain if it has not ended, waits for its threads and gives
// everything back: address space, control stacks, descriptors. It must not be
// called from a thread of the domain, and each HostThread must be closed, and
// each thread that was not started dropped, for it to return.
func (d *Domain) Close() error {
	c, err := d.shut()
	if err != nil || d.from != nil && d.from.keep(c) {
		return nil // closed already, or of use still
	}
	return c.Close()
}

// shut is Close for all but the address space, which it returns.
func (d *Domain) shut() (*cage.Cage, error) {
	d.EndSync(Ending{Signal: sigKill, Err: ErrEnded})
	<-d.gone
	d.mu.Lock()
	if d.isClosed {
		d.mu.Unlock()
		return nil, ErrEnded
	}
	d.isClosed = true
	d.mu.Unlock()
	d.dyncode.mu.Lock()
	d.dyncode.closed = true
	d.dyncode.mu.Unlock()
	clock.forget(d)
	return d.cage, nil
}

// Threads returns the threads that are alive, in no order.
func (d *Domain) Threads() []*Thread {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Thread, 0, len(d.threads))
	for _, t := range d.threads {
		all = append(all, t)
	}
	return all
}

// Thread finds a thread by number.
func (d *Domain) Thread(tid int) *Thread {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.threads[tid]
}

// PID is what the guest takes for its process id.
func (d *Domain) PID() int { return d.cfg.FirstThread }

// register makes t known under a number of its own.
func (d *Domain) register(t *Thread) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending != nil {
		return ErrEnded
	}
	if len(d.threads) >= d.cfg.MaxThreads {
		return ErrThreads
	}
	for {
		if d.cfg.NextThread != nil && d.started > 0 {
			d.lastTID = d.cfg.NextThread()
		} else {
			d.lastTID++
		}
		if d.lastTID > maxTID {
			d.lastTID = d.cfg.FirstThread + 1
		}
		if d.threads[d.lastTID] == nil {
			break
		}
	}
	t.tid = d.lastTID
	d.threads[t.tid] = t
	d.started++
	if d.suspension.active.Load() {
		t.attention.Store(true)
	}
	return nil
}

// maxTID keeps thread numbers within what a futex word can hold beside its two
// flag bits.
const maxTID = 1<<29 - 1

// unregister forgets t. The last thread to leave by itself ends the domain.
func (d *Domain) unregister(t *Thread) {
	d.mu.Lock()
	delete(d.threads, t.tid)
	d.retiring.forget(t)
	if t.tid == d.cfg.FirstThread {
		d.leader = t.exitCode
	}
	last := len(d.threads) == 0
	ended := d.ending != nil
	leader := d.leader
	if last && ended {
		close(d.gone)
	}
	d.mu.Unlock()
	d.suspension.settled()
	if last && !ended && !t.host {
		d.End(Ending{Code: int(leader) & 0xff})
	}
}
