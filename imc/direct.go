package imc

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A call within the process needs no connection if the object is served by a Server in
// this process. If the caller could not cancel it anyway, the handler runs on the caller's
// goroutine; otherwise on one of the server's, so that the caller can leave a handler
// that does not look at its context. Everything else is as if the call had gone over a
// connection: data and descriptors are copied, limits hold, errors look the same, and the
// server's Serve returns only when the handler has.

// enter gives the serving that a call may enter, which it must leave; or nil. With
// handed there is a hand to run the handler, or nil if one has to be made.
func (c *ConnectEndpoint) enter(handed bool) (*serving, *hand) {
	a := c.a
	if a == nil {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.serving
	// Who waits in line is served first; where descriptors may be refused, the
	// connection knows.
	if r == nil || c.closed.Load() || r.s.closed.Load() || a.line.len() > 0 || a.local != nil || r.direct.calls >= r.most {
		return nil, nil
	}
	r.direct.calls++
	r.wg.Add(1)
	n := len(r.direct.idle)
	if !handed || n == 0 {
		return r, nil
	}
	h := r.direct.idle[n-1]
	r.direct.idle = r.direct.idle[:n-1]
	return r, h
}

// leave ends what enter began. The hand, if there is one, waits for the next call; it is
// told whether it is wanted.
func (r *serving) leave(h *hand) (wanted bool) {
	a := r.s.a
	a.mu.Lock()
	r.direct.calls--
	if h != nil && a.serving == r && len(r.direct.idle) <= runtime.GOMAXPROCS(0) {
		r.direct.idle = append(r.direct.idle, h)
		wanted = true
	}
	a.mu.Unlock()
	r.wg.Done()
	return wanted
}

// register makes a serving known to enter, and unregister ends that.
func (r *serving) register() {
	a := r.s.a
	a.mu.Lock()
	if a.serving == nil && r.srv.MaxCalls == 0 {
		// A limit that somebody set is counted by the workers.
		a.serving = r
	}
	a.mu.Unlock()
}

func (r *serving) unregister() {
	a := r.s.a
	a.mu.Lock()
	var idle []*hand
	if a.serving == r {
		a.serving = nil
		idle, r.direct.idle = r.direct.idle, nil
	}
	a.mu.Unlock()
	for _, h := range idle {
		close(h.jobs)
	}
}

// answered is what is kept of a reply, and how long it was.
type answered struct {
	data  []byte
	size  int64
	descs []Desc
}

// direct calls the object without a connection; ok is false if that can't be.
func direct(ctx context.Context, c *ConnectEndpoint, keep room, data []byte, descs []Desc) (a answered, err error, ok bool) {
	done := ctx.Done()
	r, h := c.enter(done != nil)
	if r == nil {
		return a, nil, false
	}
	data, in, err := r.admit(data, descs)
	switch {
	case err != nil:
		if !r.leave(h) && h != nil {
			close(h.jobs)
		}
	case done == nil:
		defer r.leave(nil)
		a, err = r.run(r.direct.ctx, keep, data, in)
	default:
		a, err = r.handOver(ctx, done, h, keep, data, in)
	}
	return a, err, true
}

// admit copies what a call brings, and charges it to the server's budget until run has
// run.
func (r *serving) admit(data []byte, descs []Desc) ([]byte, []Desc, error) {
	if int64(len(data)) > r.limit {
		return nil, nil, asCallError(failure("call", KindConnectedSocket, unix.EMSGSIZE, fmt.Sprintf("more than %d bytes", r.limit)))
	}
	if !r.budget.take(int64(len(data)), int64(len(descs))) {
		return nil, nil, asCallError(errServerBudget())
	}
	in, err := dupMany(descs)
	if err != nil {
		r.budget.give(int64(len(data)), int64(len(descs)))
		return nil, nil, err
	}
	return append([]byte(nil), data...), in, nil
}

// run runs the handler and copies what it answers, as much as is to be kept.
func (r *serving) run(ctx context.Context, keep room, data []byte, in []Desc) (answered, error) {
	defer r.budget.give(int64(len(data)), int64(len(in)))
	defer Message{Descs: in}.Close()
	reply, out, err := r.srv.Handler(ctx, data, in)
	defer Message{Descs: out}.Close()
	switch {
	case err != nil:
		return answered{}, asCallError(err)
	case len(reply) > DefaultMaxCall:
		return answered{}, failure("call", KindConnectedSocket, unix.EMSGSIZE, fmt.Sprintf("more than %d bytes", DefaultMaxCall))
	}
	// What is not kept must be something that could be sent all the same.
	descs, err := dupMany(out)
	if err != nil {
		return answered{}, asCallError(err)
	}
	n := min(len(descs), keep.descs)
	Message{Descs: descs[n:]}.Close()
	return answered{append([]byte(nil), reply[:min(len(reply), keep.bytes)]...), int64(len(reply)), descs[:n]}, nil
}

// A hand is a goroutine of a serving that runs handlers for callers who wait.
type hand struct{ jobs chan *job }

// job is a call that is handed over. Who takes it from 0 to something else first, the
// caller who leaves or the hand that is done, decides who owns the answer.
type job struct {
	state atomic.Int32
	done  chan struct{} // holds one signal: the answer is there
	ctx   *handedContext

	keep  room
	data  []byte
	descs []Desc

	answer answered
	err    error
}

const (
	jobDone = 1 + iota
	jobLeft
)

var jobs = sync.Pool{New: func() any { return &job{done: make(chan struct{}, 1)} }}

func (j *job) free() {
	*j = job{done: j.done}
	jobs.Put(j)
}

func (r *serving) handOver(ctx context.Context, done <-chan struct{}, h *hand, keep room, data []byte, in []Desc) (answered, error) {
	j := jobs.Get().(*job)
	j.keep, j.data, j.descs, j.ctx = keep, data, in, &handedContext{Context: r.ctx}
	if h == nil {
		h = &hand{jobs: make(chan *job, 1)}
		r.wg.Add(1) // enter has one, so that it is not 0
		go r.lend(h)
	}
	h.jobs <- j // never blocks: the hand was idle
	select {
	case <-j.done:
	case <-done:
		if own := j.ctx; j.state.CompareAndSwap(0, jobLeft) {
			own.end(context.Canceled)
			return answered{}, ctx.Err()
		}
		<-j.done
	}
	a, err := j.answer, j.err
	j.free()
	return a, err
}

// lend runs handlers until it is not wanted any more.
func (r *serving) lend(h *hand) {
	defer r.wg.Done()
	var j *job
	defer func() {
		if j != nil {
			// The handler ended its goroutine.
			j.err = failure("call", KindConnectEndpoint, unix.ECONNRESET, "the server ended without a reply")
			r.finish(nil, j)
		}
	}()
	for next := range h.jobs {
		j = next
		j.answer, j.err = r.run(j.ctx, j.keep, j.data, j.descs)
		next, j = j, nil
		if !r.finish(h, next) {
			return
		}
	}
}

// finish gives the answer to who waits for it. The hand is idle before that, so that the
// caller's next call finds it.
func (r *serving) finish(h *hand, j *job) (wanted bool) {
	j.ctx.end(context.Canceled)
	left := !j.state.CompareAndSwap(0, jobDone)
	wanted = r.leave(h)
	if left {
		Message{Descs: j.answer.descs}.Close()
		j.free()
	} else {
		j.done <- struct{}{}
	}
	return wanted
}

// handedContext is the context of a handler whose caller waits elsewhere: it ends with
// the server's, with the caller's patience, and with the call.
type handedContext struct {
	context.Context
	mu   sync.Mutex
	done chan struct{}
	err  error
	stop func() bool
}

func (c *handedContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		} else {
			c.stop = context.AfterFunc(c.Context, func() { c.end(c.Context.Err()) })
		}
	}
	return c.done
}

func (c *handedContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return c.Context.Err()
}

func (c *handedContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
		c.stop()
	}
}

// asCallError makes of an error what the caller would have received.
func asCallError(err error) error { return decodeCallError(encodeCallError(err)) }

// dupMany is dupAll for a call, which may have more descriptors than a message.
func dupMany(descs []Desc) (out []Desc, err error) {
	if err := checkCallDescs(descs); err != nil {
		return nil, err
	}
	for len(descs) > 0 {
		n := min(len(descs), MaxDescs)
		some, err := dupAll("send", KindConnectedSocket, descs[:n])
		if err != nil {
			Message{Descs: out}.Close()
			return nil, err
		}
		out, descs = append(out, some...), descs[n:]
	}
	return out, nil
}

// directContext is the server's context; a type of its own, so that a handler can't
// tell from it which way the call came.
type directContext struct{ context.Context }
