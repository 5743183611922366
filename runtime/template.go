package runtime

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"

	"github.com/halite-run/halite/dyncode"
	"github.com/halite-run/halite/internal/cage"
)

// ErrTemplate is returned for a call of a domain that has become a Template.
var ErrTemplate = fmt.Errorf("%w: it is a template; calls go to those that are made from it", ErrEnded)

// ErrNotQuiet is why a domain can't become a Template.
var ErrNotQuiet = errors.New("halite: the domain can't become a template")

// A Template is a domain that stands still, waiting for calls of the host, and from
// which others are made that begin where it stands. They share its memory until they
// write to it: what one costs depends on what it does, not on how much the template
// holds. Its methods are safe for use from any goroutine.
type Template struct {
	d     *Domain
	t     *Thread
	space *cage.Snapshot
	code  *dyncode.Region // nil: there is none
	mu    sync.Mutex      // guards t.ctx

	spares struct {
		sync.Mutex
		cages  []*cage.Cage // of domains that were closed, with the template's contents
		closed bool
	}
}

// maxSpares is how many sandboxes of closed domains a template keeps: as many as are in
// use at once where each request has its own. They hold no memory but page tables. To
// make a sandbox and to unmap it is three quarters of what a domain costs.
var maxSpares = goruntime.GOMAXPROCS(0)

// keep makes the sandbox of a domain that is closed one for the next domain. It is false
// if there is no use for it.
func (tp *Template) keep(c *cage.Cage) bool {
	s := &tp.spares
	s.Lock()
	full := s.closed || len(s.cages) >= maxSpares
	s.Unlock()
	if full || c.Reset(tp.space, nil) != nil {
		return false
	}
	s.Lock()
	defer s.Unlock()
	if s.closed || len(s.cages) >= maxSpares {
		return false
	}
	s.cages = append(s.cages, c)
	return true
}

// cage is the sandbox for a domain: a spare one, if there is one.
func (tp *Template) cage(cfg *Config) (*cage.Cage, error) {
	s := &tp.spares
	s.Lock()
	var c *cage.Cage
	if n := len(s.cages); n > 0 {
		c = s.cages[n-1]
		s.cages[n-1] = nil
		s.cages = s.cages[:n-1]
	}
	s.Unlock()
	if c == nil {
		return tp.space.New(cage.Config{MaxMemory: cfg.MaxMemory, Budget: cfg.Budget})
	}
	if err := c.Adopt(cfg.MaxMemory, cfg.Budget); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Template makes the domain one, for good. Its only thread waits for calls
// (return_and_wait), and it has no shared memory. Otherwise the error wraps ErrNotQuiet
// and the domain is as it was. Dynamic code that it has does not change any more; each copy
// has its own, of which that much is shared until the first change. A deletion that waits
// for threads waits for those of the copy.
func (d *Domain) Template() (*Template, error) {
	t, err := d.callers.freeze()
	if err != nil {
		return nil, err
	}
	if n := len(d.Threads()); n != 1 || t.tid != d.cfg.FirstThread {
		d.callers.thaw(t)
		return nil, fmt.Errorf("%w: it has %d threads; only one that waits for calls can be copied", ErrNotQuiet, n)
	}
	code := d.existingDyncode()
	space, err := d.cage.Snapshot()
	if err != nil {
		d.callers.thaw(t)
		return nil, fmt.Errorf("%w: %w", ErrNotQuiet, err)
	}
	t.ctx.Restore(t.parked)
	return &Template{d: d, t: t, space: space, code: code}, nil
}

// freeze takes the one thread that waits, and lets nobody call any more.
func (c *callers) freeze() (*Thread, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.starter
	if t == nil {
		t = c.takeLocked()
	}
	if t == nil {
		return nil, fmt.Errorf("%w: no thread of it waits for calls, or it is in a call", ErrNotQuiet)
	}
	c.starter, c.frozen = nil, true
	return t, nil
}

func (c *callers) thaw(t *Thread) {
	c.mu.Lock()
	c.frozen = false
	if c.add != nil {
		c.starter = t
	}
	c.mu.Unlock()
	if c.add == nil {
		c.put(t)
	}
}

// Size returns the bytes of memory that the domains made from it share.
func (tp *Template) Size() uint64 { return tp.space.Size() }

// NewDomain makes a domain that stands where the template does. Of cfg, Personality,
// Budget, CPU and the limits are its own; the rest is the template's. Its thread is not
// yet there for calls: call SetLocal, and SetCallers if there are to be several, and
// then Wait. One that does not come to that must be given to Drop.
//
// Go functions that the template had are the new domain's too.
func (tp *Template) NewDomain(cfg Config) (*Domain, *Thread, error) {
	c, err := tp.cage(&cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("halite: a copy of a template: %w", err)
	}
	return tp.in(c, cfg)
}

// Reset is NewDomain in the sandbox of a domain that was made from the same template,
// which it ends and closes.
func (tp *Template) Reset(old *Domain, cfg Config) (*Domain, *Thread, error) {
	c, err := old.shut()
	if err != nil {
		return nil, nil, err
	}
	if err := c.Reset(tp.space, cfg.Budget); err != nil {
		// The kernel refused something.
		c.Close()
		return tp.NewDomain(cfg)
	}
	return tp.in(c, cfg)
}

func (tp *Template) in(c *cage.Cage, cfg Config) (*Domain, *Thread, error) {
	of := &tp.d.cfg
	cfg.Classic, cfg.Invocable, cfg.FirstThread, cfg.ControlStackSize = of.Classic, of.Invocable, of.FirstThread, of.ControlStackSize
	if cfg.MaxThreads <= 0 {
		cfg.MaxThreads = defaultMaxThreads
	}
	d := newDomain(cfg, c)
	d.from = tp
	err := d.copyCode(tp)
	var t *Thread
	if err == nil {
		t, err = tp.thread(d)
	}
	if err != nil {
		d.Close()
		return nil, nil, fmt.Errorf("halite: a copy of a template: %w", err)
	}
	tp.d.host.shareWith(&d.host)
	return d, t, nil
}

func (tp *Template) thread(d *Domain) (*Thread, error) {
	from := tp.t
	tp.mu.Lock()
	t, err := from.fork(d)
	tp.mu.Unlock()
	if err != nil {
		return nil, err
	}
	t.clearTID = from.clearTID
	t.classic.copyFrom(&from.classic)
	t.waitAt(from.parkedStack)
	if at := from.exchange.request; at != 0 {
		t.exchange.request = at
		if t.exchange.header, err = t.header(at); err != nil {
			t.release()
			return nil, err
		}
	}
	if err := d.register(t); err != nil {
		t.release()
		return nil, err
	}
	return t, nil
}

// Wait makes a thread that NewDomain returned available for calls.
func (t *Thread) Wait() { t.d.callers.offer(t) }

// Close gives the template up. Domains made from it keep what they have.
func (tp *Template) Close() error {
	s := &tp.spares
	s.Lock()
	cages, closed := s.cages, s.closed
	s.cages, s.closed = nil, true
	s.Unlock()
	if closed {
		return ErrEnded
	}
	for _, c := range cages {
		c.Close()
	}
	tp.space.Close()
	tp.d.callers.put(tp.t)
	return tp.d.Close()
}
