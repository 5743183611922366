package imc

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// A call within a process need not change goroutines: if the object is served by a
// Server in this process and the caller could not cancel the call anyway, the handler
// runs on the caller's goroutine. Everything else is as if the call had gone over a
// connection: data and descriptors are copied, limits hold, errors look the same, and
// the server's Serve returns only when the handler has.

// direct gives the serving that a call may enter, which it must leave; or nil.
func (c *ConnectEndpoint) direct() *serving {
	a := c.a
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.serving
	// Who waits in line is served first; where descriptors may be refused, the
	// connection knows.
	if r == nil || c.closed.Load() || r.s.closed.Load() || a.line.len() > 0 || a.local != nil || r.direct.calls >= r.most {
		return nil
	}
	r.direct.calls++
	r.wg.Add(1)
	return r
}

func (r *serving) leave() {
	r.s.a.mu.Lock()
	r.direct.calls--
	r.s.a.mu.Unlock()
	r.wg.Done()
}

// register makes a serving known to direct, and unregister ends that.
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
	if a.serving == r {
		a.serving = nil
	}
	a.mu.Unlock()
}

// call runs the handler.
func (r *serving) call(data []byte, descs []Desc) ([]byte, []Desc, error) {
	defer r.leave()
	if int64(len(data)) > r.limit {
		return nil, nil, asCallError(failure("call", KindConnectedSocket, unix.EMSGSIZE, fmt.Sprintf("more than %d bytes", r.limit)))
	}
	in, err := dupMany(descs)
	if err != nil {
		return nil, nil, err
	}
	defer Message{Descs: in}.Close()
	reply, out, err := r.srv.Handler(r.direct.ctx, append([]byte(nil), data...), in)
	defer Message{Descs: out}.Close()
	switch {
	case err != nil:
		return nil, nil, asCallError(err)
	case len(reply) > DefaultMaxCall:
		return nil, nil, failure("call", KindConnectedSocket, unix.EMSGSIZE, fmt.Sprintf("more than %d bytes", DefaultMaxCall))
	}
	descs, err = dupMany(out)
	if err != nil {
		return nil, nil, asCallError(err)
	}
	return append([]byte(nil), reply...), descs, nil
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
