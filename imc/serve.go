package imc

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Handler answers calls. ctx ends when the caller gives up or Serve is told to
// stop. The descriptors that it gets and those that it returns are closed when the
// reply is sent: what is to be kept must be duplicated. An error becomes the
// caller's [*CallError]. A panic is not caught.
type Handler func(ctx context.Context, data []byte, descs []Desc) (reply []byte, replyDescs []Desc, err error)

// A Server answers the calls that arrive at AcceptEndpoints.
type Server struct {
	Handler Handler
	// MaxRequest is how many bytes a call may have; 0 means DefaultMaxCall.
	MaxRequest int64
	// MaxBytes is how many bytes all calls together may have that are received or
	// answered at this moment; what goes beyond it fails with ENOBUFS, and so do more than
	// 16384 descriptors. 0 means four times MaxRequest.
	MaxBytes int64
	// MaxCalls is how many calls are answered at once, the others wait in line; 0 means
	// 4096.
	MaxCalls int
}

// Serve answers calls with h; see [Server.Serve].
func Serve(ctx context.Context, s *AcceptEndpoint, h Handler) error {
	return (&Server{Handler: h}).Serve(ctx, s)
}

// Serve answers calls, each in a goroutine, until ctx ends (and returns its error),
// until nobody can call any more because the last ConnectEndpoint is gone (and
// returns nil), or until the AcceptEndpoint fails or is closed. It returns when
// every handler has. The AcceptEndpoint stays the caller's.
func (srv *Server) Serve(ctx context.Context, s *AcceptEndpoint) error {
	run := &serving{srv: srv, s: s, limit: srv.MaxRequest, most: int32(srv.MaxCalls)}
	if run.limit == 0 {
		run.limit = DefaultMaxCall
	}
	if run.most == 0 {
		run.most = 4096
	}
	most := srv.MaxBytes
	if most == 0 {
		most = 4 * run.limit
	}
	run.budget = NewBudget(most, 16*MaxCallDescs)
	run.ctx, run.cancel = context.WithCancelCause(ctx)
	defer run.cancel(nil)
	run.direct.ctx = directContext{run.ctx}
	context.AfterFunc(run.ctx, func() {
		run.stop.Store(true)
		s.wakeAll()
	})
	run.register()
	run.spawn()
	<-run.ctx.Done()
	run.unregister()
	run.wg.Wait()
	err := context.Cause(run.ctx)
	if err == nil || errors.Is(err, errNobody) {
		return nil
	}
	return err
}

var errNobody = errors.New("imc: nobody can call any more")

// serving is one Serve. Its workers accept and answer by themselves, so that a call
// wakes one goroutine and starts none; one that finds no other waiting starts one.
type serving struct {
	srv    *Server
	s      *AcceptEndpoint
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   atomic.Bool
	limit  int64
	budget *Budget // of requests
	most   int32
	wg     sync.WaitGroup
	direct struct { // calls without a connection
		calls int32 // this and idle are guarded by the address's lock
		idle  []*hand
		ctx   context.Context
	}
	workers atomic.Int32
	idle    atomic.Int32
}

func (r *serving) spawn() {
	if r.workers.Add(1) > r.most {
		r.workers.Add(-1)
		return
	}
	r.idle.Add(1)
	r.wg.Add(1)
	go r.work()
}

func (r *serving) work() {
	defer r.wg.Done()
	defer r.workers.Add(-1)
	pause := minPause
	spare := int32(runtime.GOMAXPROCS(0)) + 1
	for {
		c, err := r.s.accept(nil, false, &r.stop)
		if err != nil {
			if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
				if nap(&pause, r.ctx.Done()) == nil {
					continue
				}
			}
			if errors.Is(err, unix.EPIPE) {
				err = errNobody
			}
			r.cancel(err)
			r.idle.Add(-1)
			return
		}
		pause = minPause
		if r.idle.Add(-1) == 0 {
			r.spawn()
		}
		r.answer(c)
		if r.idle.Add(1) > spare {
			// Enough others wait; but one must go on if all of them leave at once.
			if r.idle.Add(-1) > 0 {
				return
			}
			r.idle.Add(1)
		}
	}
}

func (r *serving) answer(c *ConnectedSocket) {
	defer c.Close()
	done := r.ctx.Done()
	data, descs, _, err := c.receiveCall(done, r.limit, r.budget)
	if err != nil {
		if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EPROTO) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENOBUFS) {
			c.sendFailure(done, err)
		}
		return
	}
	defer r.budget.give(int64(len(data)), int64(len(descs)))
	ctx := &callContext{Context: r.ctx, s: c}
	reply, replyDescs, err := r.srv.Handler(ctx, data, descs)
	if err != nil {
		c.sendFailure(done, err)
	} else if began, err := c.sendCall(done, 0, reply, replyDescs); err != nil && !began && err != errCancelled {
		// What can't be sent is the handler's mistake; the caller is told, unless he has
		// a part of the reply already. Then he sees it end in the middle.
		c.sendFailure(done, err)
	}
	ctx.finish()
	Message{Descs: descs}.Close()
	Message{Descs: replyDescs}.Close()
}

// sendFailure tells the caller that the call failed, if he still listens.
func (s *ConnectedSocket) sendFailure(done <-chan struct{}, err error) {
	_, _ = s.sendCall(done, callError, encodeCallError(err), nil)
}

// callContext is the context of one call. That the caller went away is looked at
// only if the handler asks.
type callContext struct {
	context.Context
	s    *ConnectedSocket
	mu   sync.Mutex
	done chan struct{}
	err  error
	over bool
	stop chan struct{}
}

func (c *callContext) Deadline() (time.Time, bool) { return c.Context.Deadline() }

func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done != nil {
		return c.done
	}
	c.done = make(chan struct{})
	if c.err != nil || c.over {
		if c.err == nil {
			c.err = context.Canceled
		}
		close(c.done)
		return c.done
	}
	stop := make(chan struct{})
	c.stop = stop
	changed := make(chan struct{}, 1)
	unwatch, err := c.s.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	var again <-chan time.Time
	if err != nil {
		// There is no descriptor left to be told with: look now and then.
		tick := time.NewTicker(20 * time.Millisecond)
		unwatch, again = tick.Stop, tick.C
	}
	go func() {
		defer unwatch()
		for {
			if c.s.Ready()&HangUp != 0 {
				c.end(context.Canceled)
				return
			}
			select {
			case <-changed:
			case <-again:
			case <-c.Context.Done():
				c.end(c.Context.Err())
				return
			case <-stop:
				return
			}
		}
	}()
	return c.done
}

func (c *callContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		if c.done != nil {
			close(c.done)
		}
	}
}

func (c *callContext) Err() error {
	c.mu.Lock()
	err, over := c.err, c.over
	c.mu.Unlock()
	if err != nil || over {
		return err
	}
	if err = c.Context.Err(); err == nil && c.s.Ready()&HangUp != 0 {
		err = context.Canceled
	}
	if err != nil {
		c.end(err)
	}
	return err
}

// finish ends what Done started; a context that outlives its call is cancelled.
func (c *callContext) finish() {
	c.mu.Lock()
	c.over = true
	stop := c.stop
	c.stop = nil
	c.mu.Unlock()
	if stop != nil {
		close(stop)
		c.end(context.Canceled)
	}
}
