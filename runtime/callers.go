package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/halite-run/halite/internal/engine"
)

// callers are the threads that wait for calls of the host (return_and_wait). No
// goroutine belongs to them while they wait; one of the host's enters with each
// call. Who finds none waits, or has one made.
type callers struct {
	d *Domain
	// hot is one of them, for the usual case of one call at a time. free is whether it
	// waits; who makes it false has the thread.
	hot     atomic.Pointer[Thread]
	free    atomic.Bool
	waiting atomic.Int32 // goroutines in queue

	mu      sync.Mutex
	idle    []*Thread
	queue   []chan *Thread
	handed  map[*Thread]bool // given to who was in queue, who has not looked yet
	max     int              // that may be made
	made    int
	starter *Thread // makes them; it is not called otherwise
	add     func(t *Thread) error
	adding  sync.Mutex // held while starter runs
	frozen  bool       // the domain is a Template
}

// ErrBusy is returned for a call that would have to wait for itself.
var ErrBusy = errors.New("halite: the guest is in a call and no other thread of it can take this one")

// SetCallers lets a domain have up to n threads for calls of the host at once.
// The first thread that waits for calls is then no longer called but makes the
// others, one when it is first wanted, by way of add: that calls a guest function
// on it that starts a thread which waits. Call it before the first thread runs.
func (d *Domain) SetCallers(n int, add func(t *Thread) error) {
	d.callers.max, d.callers.add = n, add
}

// offer takes a thread that has begun to wait.
func (c *callers) offer(t *Thread) {
	if c.add != nil {
		c.mu.Lock()
		if c.starter == nil {
			c.starter = t
			c.mu.Unlock()
			c.settle()
			c.d.suspension.settled()
			return
		}
		c.mu.Unlock()
	}
	c.put(t)
}

// takeHot takes the hot thread if it waits.
func (c *callers) takeHot() *Thread {
	if c.free.Load() && c.free.CompareAndSwap(true, false) {
		return c.hot.Load()
	}
	return nil
}

// rests is whether t is the hot thread and waits for a call.
func (c *callers) rests(t *Thread) bool { return c.hot.Load() == t && c.free.Load() }

// put makes a thread available.
func (c *callers) put(t *Thread) {
	if c.hot.Load() == t {
		c.putHot()
		return
	}
	c.mu.Lock()
	if c.hot.Load() == nil {
		c.hot.Store(t)
		c.mu.Unlock()
		c.putHot()
		return
	}
	c.idle = append(c.idle, t)
	c.mu.Unlock()
	c.noticed()
}

// putHot makes the hot thread available.
func (c *callers) putHot() {
	c.free.Store(true)
	if c.waiting.Load() != 0 || c.d.ended() || c.d.suspension.active.Load() {
		c.noticed()
	}
}

// noticed tells of a thread that became available: who came to wait, ended the domain or
// suspended it before that has seen nothing of it.
func (c *callers) noticed() {
	if c.waiting.Load() != 0 || c.d.ended() {
		c.settle()
	}
	c.d.suspension.settled()
}

// settle gives waiting threads to waiting goroutines; in a domain that has ended it
// lets them go.
func (c *callers) settle() {
	c.mu.Lock()
	if c.d.ended() {
		gone := c.idle
		c.idle = nil
		if t := c.takeHot(); t != nil {
			c.hot.Store(nil)
			gone = append(gone, t)
		}
		starter := c.starter
		c.mu.Unlock()
		if starter != nil {
			c.adding.Lock() // it may be running
			if c.mu.Lock(); c.starter != nil {
				c.starter = nil
				gone = append(gone, starter)
			}
			c.mu.Unlock()
			c.adding.Unlock()
		}
		for _, t := range gone {
			t.end()
		}
		return
	}
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		t := c.takeLocked()
		if t == nil {
			return
		}
		c.handLocked(t)
	}
}

// handLocked gives a thread to the first in queue.
func (c *callers) handLocked(t *Thread) {
	if c.handed == nil {
		c.handed = map[*Thread]bool{}
	}
	c.handed[t] = true
	c.queue[0] <- t // has room for one
	c.queue = c.queue[1:]
	c.waiting.Add(-1)
}

// received is what the other side does with it.
func (c *callers) received(t *Thread) *Thread {
	c.mu.Lock()
	delete(c.handed, t)
	c.mu.Unlock()
	return t
}

func (c *callers) takeLocked() *Thread {
	if t := c.takeHot(); t != nil {
		return t
	}
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	t := c.idle[n-1]
	c.idle = c.idle[:n-1]
	return t
}

// take returns a thread for a call. With wait false it returns ErrBusy rather
// than wait.
func (c *callers) take(ctx context.Context, wait bool) (*Thread, error) {
	if t := c.takeHot(); t != nil {
		return t, nil
	}
	c.mu.Lock()
	if t := c.takeLocked(); t != nil {
		c.mu.Unlock()
		return t, nil
	}
	if c.frozen {
		c.mu.Unlock()
		return nil, ErrTemplate
	}
	grow := c.add != nil && c.made < c.max && c.starter != nil
	if grow {
		c.made++
	}
	if !wait && !grow {
		c.mu.Unlock()
		return nil, ErrBusy
	}
	mine := make(chan *Thread, 1)
	c.queue = append(c.queue, mine)
	c.waiting.Add(1)
	// One that came after we looked, but before it could see us.
	if t := c.takeLocked(); t != nil {
		c.handLocked(t)
	}
	c.mu.Unlock()
	if grow {
		if err := c.grow(ctx); err != nil {
			c.mu.Lock()
			c.made--
			none := c.made == 0
			c.mu.Unlock()
			if none || !wait {
				c.cancel(mine)
				return nil, err
			}
		}
	}
	select {
	case t := <-mine:
		return c.received(t), nil
	case <-ctx.Done():
		c.cancel(mine)
		return nil, context.Cause(ctx)
	case <-c.d.done:
		c.cancel(mine)
		return nil, c.d.endedError()
	}
}

// cancel takes a goroutine out of the queue, and hands on what it was just given.
func (c *callers) cancel(mine chan *Thread) {
	c.mu.Lock()
	for i, q := range c.queue {
		if q == mine {
			c.queue = append(c.queue[:i:i], c.queue[i+1:]...)
			c.waiting.Add(-1)
			break
		}
	}
	c.mu.Unlock()
	select {
	case t := <-mine:
		c.put(c.received(t))
	default:
	}
}

// grow has the starter make a thread, which offers itself when it is ready.
func (c *callers) grow(ctx context.Context) error {
	defer c.d.suspension.settled()
	c.adding.Lock()
	defer c.adding.Unlock()
	c.mu.Lock()
	t := c.starter
	c.mu.Unlock()
	if t == nil {
		return c.d.endedError()
	}
	stop := c.d.Bind(ctx)
	defer stop()
	if err := c.add(t); err != nil {
		return t.reason(err)
	}
	return nil
}

// lost notes that a thread that was taken will not come back.
func (c *callers) lost(t *Thread) {
	c.mu.Lock()
	if c.hot.Load() == t {
		c.hot.Store(nil)
	}
	c.made--
	c.mu.Unlock()
}

// endedError is what is returned for a call of a domain that has ended.
func (d *Domain) endedError() error {
	if e, ok := d.Ending(); ok && e.Err != nil && e.Err != ErrEnded {
		return fmt.Errorf("%w: %w", ErrEnded, e.Err)
	}
	return ErrEnded
}

// A Visit is a call of the host on a thread of a domain, from Enter to Leave.
type Visit struct {
	t       *Thread
	nested  *callContext
	around  context.Context // the call that this one is nested in
	stop    func()          // of a binding of its own
	bound   bool
	through bool // Invoke: the thread went on
}

// Enter takes a thread of the domain for a call: the one that ctx carries (see
// HostCall.Context), and otherwise one that waits for calls. If there is none it
// waits until there is one, ctx ends, or the domain does. The caller must Leave,
// on the same goroutine.
//
// When ctx ends between Enter and Leave, the domain ends: a guest that was stopped
// in the middle can't go on. When it had ended before, nothing happens to it.
func (d *Domain) Enter(ctx context.Context) (Visit, error) { return d.enter(ctx, false) }

func (d *Domain) enter(ctx context.Context, mustWait bool) (Visit, error) {
	if err := ctx.Err(); err != nil {
		return Visit{}, context.Cause(ctx)
	}
	if d.ended() {
		return Visit{}, d.endedError()
	}
	cc := d.callContextOf(ctx)
	if cc != nil && !mustWait {
		if !cc.mu.TryLock() {
			return Visit{}, ErrBusy
		}
		if !cc.over {
			t := cc.t
			v := Visit{t: t, nested: cc, around: t.calling}
			if ctx.Done() != cc.Done() {
				v.stop = d.Bind(ctx)
			}
			t.calling = ctx
			return v, nil
		}
		cc.mu.Unlock()
		cc = nil
	}
	t, err := d.callers.take(ctx, cc == nil)
	if err != nil {
		return Visit{}, err
	}
	v := Visit{t: t}
	if done := ctx.Done(); done != nil {
		if err := t.bound.begin(t, ctx, done); err != nil {
			d.callers.put(t)
			return Visit{}, err
		}
		v.bound = true
	}
	t.calling = ctx
	return v, nil
}

// Do calls a function of the domain: Enter, Thread.Do and Leave in one. ctx and the
// errors are theirs.
func (d *Domain) Do(ctx context.Context, fn uint32, c *Call) error {
	if c.NFloat == 0 && c.Stack == 0 && d.contexts.Load() == 0 && !d.ended() {
		if t := d.callers.takeHot(); t != nil {
			return t.visit(ctx, fn, c)
		}
	}
	return d.do(ctx, fn, c)
}

func (d *Domain) do(ctx context.Context, fn uint32, c *Call) (err error) {
	v, err := d.enter(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = v.Leave(err) }()
	return v.t.Do(fn, c)
}

// visit is Do on a thread that waits for calls, for most calls: what takes a call of
// nothing from a hundred nanoseconds to thirty.
func (t *Thread) visit(ctx context.Context, fn uint32, c *Call) (err error) {
	done := ctx.Done()
	if done != nil {
		if err := t.bound.begin(t, ctx, done); err != nil {
			t.d.callers.put(t)
			return err
		}
	}
	t.calling = ctx
	visits := true
	defer t.unwind(&visits)
	if t.visitStack == 0 || t.attention.Load() || t.exiting {
		var stack uint32
		if stack, err = t.room(0); err == nil {
			err = t.run(fn, stack, c)
		}
	} else {
		if exit := t.ctx.Call(fn, t.visitStack, &c.Int); exit.Reason != engine.ExitReturn {
			if done, e := t.came(exit); done {
				err = e
			} else {
				err = t.loop()
			}
		}
		if err == nil {
			t.results(c)
		}
	}
	visits = false
	if err != nil || len(t.frames) > 0 {
		t.back(&waiting, 1)
	}
	t.inCall = true
	if done != nil && !t.bound.end() && err == nil {
		err = errThreadEnded
	}
	if err != nil || t.Exiting() {
		return t.leave(false, false, err)
	}
	t.calling = nil
	t.d.callers.putHot()
	return nil
}

// unwind gives the thread back after a visit that ends by a panic of a Go function that
// the guest called, or by runtime.Goexit.
func (t *Thread) unwind(visits *bool) {
	if *visits { // otherwise the thread may be somebody else's by now
		t.back(&waiting, 1)
		t.leave(t.calling.Done() != nil, false, nil)
	}
}

// leave gives a thread back after a call from outside.
func (t *Thread) leave(bound, through bool, err error) error {
	t.calling = nil
	if bound && !t.bound.end() && err == nil {
		err = errThreadEnded
	}
	if err != nil {
		err = t.reason(err)
	}
	if t.Exiting() || through {
		t.end()
		t.d.callers.lost(t)
	} else {
		t.d.callers.put(t)
	}
	return err
}

// Thread is the thread of the visit, on which Do may be called.
func (v *Visit) Thread() *Thread { return v.t }

// Leave gives the thread back. It returns err, or what it means: the reason why
// the domain ended.
func (v *Visit) Leave(err error) error {
	t := v.t
	if v.nested != nil {
		t.calling = v.around
		v.nested.mu.Unlock()
		if v.stop != nil {
			v.stop()
		}
		if err != nil {
			err = t.reason(err)
		}
		return err
	}
	return t.leave(v.bound, v.through, err)
}

// binding makes the end of a context the end of the domain, but only while a call
// is in progress. It outlives the call: mostly the next one comes with the same
// context, and costs two atomic operations then.
type binding struct {
	done <-chan struct{}
	stop func() bool
	gen  uint64
	// state is 2*gen between calls, 2*gen+1 during one, and cancelled.
	state atomic.Uint64
}

const cancelled = ^uint64(0)

func (b *binding) begin(t *Thread, ctx context.Context, done <-chan struct{}) error {
	if ctx.Err() != nil { // its function may be about to run
		return context.Cause(ctx)
	}
	if done != b.done {
		b.to(t.d, ctx, done)
	}
	b.state.Store(2*b.gen + 1)
	// If it ended before the store, the function above has seen no call.
	if ctx.Err() != nil && b.state.CompareAndSwap(2*b.gen+1, 2*b.gen) {
		return context.Cause(ctx)
	}
	return nil
}

// to makes it one of another context.
func (b *binding) to(d *Domain, ctx context.Context, done <-chan struct{}) {
	b.release()
	b.gen++
	b.done = done
	gen := b.gen
	b.state.Store(2 * gen)
	b.stop = context.AfterFunc(ctx, func() {
		if b.state.CompareAndSwap(2*gen+1, cancelled) {
			d.End(Ending{Signal: sigKill, Err: context.Cause(ctx)})
		}
	})
}

// end is false if the context ended during the call.
func (b *binding) end() bool {
	if b.state.CompareAndSwap(2*b.gen+1, 2*b.gen) {
		return true
	}
	<-b.done
	return false
}

func (b *binding) release() {
	if b.stop != nil {
		b.stop()
		b.stop, b.done = nil, nil
	}
}
