package imc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// The capability convention: an object is a ConnectEndpoint, and a method call is
// connect, send, receive, close. Each message of a call begins with eight bytes;
// docs/imc.md describes them.
const (
	callWord  = 0x314c4143 // "CAL1"
	callMore  = 1          // another message of the same side follows
	callError = 2          // the data is a number and a text: the call failed

	callHeader   = 8
	callFragment = MaxData - callHeader
)

// Limits of a call, for who receives.
const (
	DefaultMaxCall = 64 << 20 // bytes
	MaxCallDescs   = 1024
)

// A CallError is the failure that the server reported.
type CallError struct {
	Errno syscall.Errno // 0 if the server gave none
	Text  string
}

func (e *CallError) Error() string { return e.Text }
func (e *CallError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// Call calls the object behind an endpoint: it connects, sends data and descs,
// receives the reply and closes the connection. Both can be of any size up to
// [DefaultMaxCall] (for the reply; the server sets its own limit) and carry up to
// [MaxCallDescs] descriptors. The caller keeps data and descs and owns the reply's
// descriptors.
//
// A call to a server in this process makes no connection; if it can't be cancelled,
// because ctx can't, the handler may run on the caller's goroutine.
//
// If ctx ends, so does the call, and the server's context with it. A [*CallError] is
// the server's answer. ECONNREFUSED: nobody can accept. ECONNRESET: the server went
// away after it had accepted the call.
func Call(ctx context.Context, c *ConnectEndpoint, data []byte, descs ...Desc) (reply []byte, replyDescs []Desc, err error) {
	reply, _, replyDescs, err = call(ctx, c, room{DefaultMaxCall, MaxCallDescs}, data, descs)
	return reply, replyDescs, err
}

// room is how much of a reply is kept.
type room struct{ bytes, descs int }

func call(ctx context.Context, c *ConnectEndpoint, keep room, data []byte, descs []Desc) (reply []byte, size int64, replyDescs []Desc, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, nil, err
	}
	if a, err, ok := direct(ctx, c, keep, data, descs); ok {
		return a.data, a.size, a.descs, err
	}
	for pause := minPause; ; {
		reply, size, replyDescs, err = callOnce(ctx, c, keep, data, descs)
		switch err {
		case errCancelled:
			return nil, 0, nil, ctx.Err()
		case errLost:
			// Never accepted, so it can be tried again.
			if err := nap(&pause, ctx.Done()); err != nil {
				return nil, 0, nil, ctx.Err()
			}
			continue
		}
		return reply, size, replyDescs, err
	}
}

// errLost: the request to connect was dropped, but somebody can still accept.
var errLost = errors.New("imc: the request was lost")

// CallRoom is Call that keeps the first bytes and descriptors of the reply; size is how
// many bytes there were. What is beyond takes no memory, and descriptors beyond are
// closed.
func CallRoom(ctx context.Context, c *ConnectEndpoint, bytes, descriptors int, data []byte, descs ...Desc) (reply []byte, size int64, replyDescs []Desc, err error) {
	return call(ctx, c, room{bytes, descriptors}, data, descs)
}

func callOnce(ctx context.Context, c *ConnectEndpoint, keep room, data []byte, descs []Desc) ([]byte, int64, []Desc, error) {
	done := ctx.Done()
	s, err := c.connect(done, connectCall)
	if err != nil {
		return nil, 0, nil, err
	}
	defer s.Close()
	_, err = s.sendCall(done, 0, data, descs)
	if err == nil || errors.Is(err, unix.EPIPE) {
		// A server may answer and close before it has read everything.
		// The text of an error is read whole, however small the room is.
		reply, size, replyDescs, flags, rerr := s.receiveCallRoom(done, DefaultMaxCall, room{max(keep.bytes, 4+1024), keep.descs}, nil)
		if rerr == nil {
			if flags&callError != 0 {
				Message{Descs: replyDescs}.Close()
				return nil, 0, nil, decodeCallError(reply)
			}
			return reply[:min(len(reply), keep.bytes)], size, replyDescs, nil
		}
		err = rerr
	}
	if err == io.EOF {
		switch s.e.answered() {
		case refused:
			return nil, 0, nil, errDeclined()
		case pending:
			if c.Ready()&HangUp != 0 {
				return nil, 0, nil, errRefused()
			}
			return nil, 0, nil, errLost
		}
		err = failure("call", KindConnectEndpoint, unix.ECONNRESET, "the server closed the connection without a reply")
	}
	if err == io.ErrUnexpectedEOF {
		err = failure("call", KindConnectEndpoint, unix.ECONNRESET, "the server closed the connection in the middle of its reply")
	}
	return nil, 0, nil, err
}

// answered tells how far the connection got.
func (e *end) answered() connState {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.k != nil && e.p.state == pending {
		switch e.k.answer.Load() {
		case controlAccepted:
			return connected
		case controlRefused:
			return refused
		}
	}
	return e.p.state
}

// sendCall sends one side's part of a call in as many messages as it takes. began tells
// whether any of them was sent.
func (s *ConnectedSocket) sendCall(done <-chan struct{}, flags uint32, data []byte, descs []Desc) (began bool, err error) {
	if err := checkCallDescs(descs); err != nil {
		return false, err
	}
	if len(descs) > MaxDescs {
		// What can't be sent is found before the first message has gone.
		if err = s.refusal(descs); err == nil {
			descs, err = dupMany(descs)
		}
		if err != nil {
			return false, err
		}
		defer Message{Descs: descs}.Close()
	}
	for {
		n := min(len(data), callFragment)
		d := min(len(descs), MaxDescs)
		word := flags
		if n < len(data) || d < len(descs) {
			word |= callMore
		}
		b := make([]byte, callHeader, callHeader+n)
		le.PutUint32(b, callWord)
		le.PutUint32(b[4:], word)
		b = append(b, data[:n]...)
		if err := s.sendOwned(done, b, descs[:d]); err != nil {
			return began, err
		}
		began = true
		data, descs = data[n:], descs[d:]
		if word&callMore == 0 {
			return true, nil
		}
	}
}

func errServerBudget() error {
	return failure("call", KindConnectedSocket, unix.ENOBUFS, "the server has as many bytes or descriptors of other calls as it may have")
}

func checkCallDescs(descs []Desc) error {
	if len(descs) > MaxCallDescs {
		return failure("call", KindConnectedSocket, unix.EINVAL, fmt.Sprintf("%d descriptors, a call has at most %d", len(descs), MaxCallDescs))
	}
	return nil
}

// sendOwned sends data that nobody else uses.
func (s *ConnectedSocket) sendOwned(done <-chan struct{}, data []byte, descs []Desc) error {
	m := message{data: data}
	var err error
	if m.descs, err = s.outward(descs); err != nil {
		return err
	}
	if err = s.e.send(&s.handle, done, false, m); err != nil {
		Message{Descs: m.descs}.Close()
		return s.wrap("send", err)
	}
	return nil
}

// receiveCall joins one side's part of a call. What it returns stays charged to the
// budget, if there is one.
func (s *ConnectedSocket) receiveCall(done <-chan struct{}, limit int64, b *Budget) (data []byte, descs []Desc, flags uint32, err error) {
	data, _, descs, flags, err = s.receiveCallRoom(done, limit, room{int(limit), MaxCallDescs}, b)
	return data, descs, flags, err
}

// receiveCallRoom is receiveCall that keeps only so much.
func (s *ConnectedSocket) receiveCallRoom(done <-chan struct{}, limit int64, keep room, b *Budget) (data []byte, size int64, descs []Desc, flags uint32, err error) {
	count := 0 // descriptors, kept or not
	fail := func(err error) ([]byte, int64, []Desc, uint32, error) {
		if b != nil {
			b.give(size, int64(count))
		}
		Message{Descs: descs}.Close()
		return nil, 0, nil, 0, err
	}
	for first := true; ; first = false {
		m, err := s.receive(done, false)
		if err != nil {
			m.Close()
			if err == io.EOF && !first {
				err = io.ErrUnexpectedEOF
			}
			return fail(err)
		}
		if b != nil && !b.take(int64(max(len(m.Data)-callHeader, 0)), int64(len(m.Descs))) {
			m.Close()
			return fail(errServerBudget())
		}
		size += int64(max(len(m.Data)-callHeader, 0))
		count += len(m.Descs)
		n := min(len(m.Descs), keep.descs-len(descs))
		descs = append(descs, m.Descs[:n]...)
		Message{Descs: m.Descs[n:]}.Close()
		if len(m.Data) < callHeader || le.Uint32(m.Data) != callWord {
			return fail(failure("call", KindConnectedSocket, unix.EPROTO, "a message that is no part of a call"))
		}
		flags = le.Uint32(m.Data[4:])
		part := m.Data[callHeader:]
		switch {
		case flags&^(callMore|callError) != 0:
			return fail(failure("call", KindConnectedSocket, unix.EPROTO, fmt.Sprintf("unknown flags %#x", flags)))
		case size > limit:
			return fail(failure("call", KindConnectedSocket, unix.EMSGSIZE, fmt.Sprintf("more than %d bytes", limit)))
		case count > MaxCallDescs:
			return fail(failure("call", KindConnectedSocket, unix.EMSGSIZE, fmt.Sprintf("more than %d descriptors", MaxCallDescs)))
		case flags&callMore != 0 && len(part) == 0 && len(m.Descs) == 0:
			return fail(failure("call", KindConnectedSocket, unix.EPROTO, "an empty part of a call"))
		}
		if flags&callError != 0 {
			data = nil // the failure makes void what was answered before
		}
		part = part[:min(len(part), keep.bytes-len(data))]
		if data == nil {
			data = part
		} else {
			data = append(data, part...)
		}
		if flags&callMore == 0 {
			return data, size, descs, flags, nil
		}
	}
}

// encodeCallError: a number, then the text.
func encodeCallError(err error) []byte {
	var errno syscall.Errno
	errors.As(err, &errno)
	text := err.Error()
	return append(le.AppendUint32(nil, uint32(errno)), text[:min(len(text), 1024)]...)
}

func decodeCallError(b []byte) error {
	if len(b) < 4 {
		return failure("call", KindConnectEndpoint, unix.EPROTO, "an error reply without a number")
	}
	return &CallError{Errno: syscall.Errno(le.Uint32(b)), Text: string(b[4:])}
}
