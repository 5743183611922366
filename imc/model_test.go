package imc

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// Random operations on endpoints, in this process and in child processes that are
// killed now and then, against a model that is nothing but queues and counts.

// What the model knows. Every reference is counted: handles here, handles that an
// agent holds, and descriptors in a queue.
type (
	mAddress struct {
		accepts, connects int
		line              []*mEnd // the accepting sides of connections, and what they were told first
		ghosts            int     // connections of those who were killed while they connected, or not
	}
	mEnd struct {
		kind Kind
		refs int
		peer *mEnd
		rx   []mMessage
		hard bool // an end that was or may be in the kernel: its queue has another limit
	}
	mMemory  struct{ number byte }
	mMessage struct {
		id    uint32
		size  int
		descs []mRef
		maybe bool // who sent it was killed while it was sent, or before
	}
	// mRef is one reference to one of the above; to nothing: Invalid.
	mRef struct {
		address *mAddress
		accept  bool
		end     *mEnd
		memory  *mMemory
	}
)

func (r mRef) kind() Kind {
	switch {
	case r.accept:
		return KindAcceptEndpoint
	case r.address != nil:
		return KindConnectEndpoint
	case r.end != nil:
		return r.end.kind
	case r.memory != nil:
		return KindSharedMemory
	}
	return KindInvalid
}

func (r mRef) retain() mRef {
	switch {
	case r.accept:
		r.address.accepts++
	case r.address != nil:
		r.address.connects++
	case r.end != nil:
		r.end.refs++
	}
	return r
}

func (r mRef) drop() {
	switch {
	case r.accept:
		if r.address.accepts--; r.address.accepts == 0 {
			for _, e := range r.address.line {
				mRef{end: e}.drop()
			}
			r.address.line = nil
		}
	case r.address != nil:
		r.address.connects--
	case r.end != nil:
		if r.end.refs--; r.end.refs == 0 {
			rx := r.end.rx
			r.end.rx = nil
			for _, m := range rx {
				for _, d := range m.descs {
					d.drop()
				}
			}
		}
	}
}

// modelHandle is a descriptor and what it is in the model.
type modelHandle struct {
	d   Desc
	ref mRef
}

// modelAgent is a child process that does what it is told with what it holds.
type modelAgent struct {
	cmd  *exec.Cmd
	ctl  *ConnectedSocket
	held []mRef
}

type world struct {
	t      *rapid.T
	list   []modelHandle
	agents []*modelAgent
	next   uint32
	budget *Budget // of every other handle, and never used up
}

// body is the data of a message: who it is, and something to be torn.
func body(id uint32, size int) []byte {
	b := bytes.Repeat([]byte{byte(id)}, max(size, 8))
	le.PutUint32(b, id)
	le.PutUint32(b[4:], uint32(size))
	return b
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) add(d Desc, r mRef) {
	if len(w.list)%2 == 0 {
		Account(d, w.budget)
	}
	w.list = append(w.list, modelHandle{d, r})
}

func (w *world) pick(what string, ok func(mRef) bool) (int, modelHandle) {
	var at []int
	for i, h := range w.list {
		if ok(h.ref) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		w.t.Skip("no such handle")
	}
	i := rapid.SampledFrom(at).Draw(w.t, what)
	return i, w.list[i]
}

func (w *world) remove(i int) {
	w.list[i] = w.list[len(w.list)-1]
	w.list = w.list[:len(w.list)-1]
}

func isSocket(r mRef) bool { return r.end != nil }

// transferables picks some descriptors to be sent.
func (w *world) transferables() (list []Desc, refs []mRef) {
	for range rapid.IntRange(0, 3).Draw(w.t, "descriptors") {
		if rapid.IntRange(0, 4).Draw(w.t, "invalid") == 0 || len(w.list) == 0 {
			list, refs = append(list, Invalid), append(refs, mRef{})
			continue
		}
		h := w.list[rapid.IntRange(0, len(w.list)-1).Draw(w.t, "which")]
		if h.ref.kind().Transferable() {
			list, refs = append(list, h.d), append(refs, h.ref)
		}
	}
	return list, refs
}

func (w *world) transport() Transport {
	return rapid.SampledFrom([]Transport{Memory, Kernel}).Draw(w.t, "transport")
}

func (w *world) newPair(kind Kind) (a, b *mEnd) {
	a, b = &mEnd{kind: kind, refs: 1}, &mEnd{kind: kind, refs: 1}
	a.peer, b.peer = b, a
	return a, b
}

func (w *world) size() int {
	return rapid.SampledFrom([]int{8, 9, 100, 5000, 60_000, MaxData}).Draw(w.t, "size")
}

// sent accounts for what a send returned.
func (w *world) sent(err error, e *mEnd, m mMessage) {
	switch {
	case err == nil:
		if e.peer.refs == 0 {
			if !e.hard {
				w.t.Fatal("sent to nobody")
			}
			return
		}
		for _, r := range m.descs {
			r.retain()
		}
		e.peer.rx = append(e.peer.rx, m)
	case errors.Is(err, unix.EAGAIN):
		bytes := 0
		for _, m := range e.peer.rx {
			bytes += m.size + 1000
		}
		if bytes < 64<<10 && !(e.peer.refs == 0 && e.hard) {
			w.t.Fatalf("a queue is full with %d messages, %d bytes", len(e.peer.rx), bytes)
		}
	case errors.Is(err, unix.EPIPE):
		if e.peer.refs != 0 {
			w.t.Fatal("the other end is open: ", err)
		}
	default:
		w.t.Fatal(err)
	}
}

// certain tells whether there is a message to be received, or the end.
func (e *mEnd) certain() bool {
	if e.peer.refs == 0 {
		return true
	}
	for _, m := range e.rx {
		if !m.maybe {
			return true
		}
	}
	return false
}

// received compares what a receive gave with the model.
func (w *world) received(m Message, err error, e *mEnd) {
	for len(e.rx) > 0 && e.rx[0].maybe && (err != nil || le.Uint32(m.Data) != e.rx[0].id) {
		e.rx = e.rx[1:] // it was not sent
	}
	switch {
	case len(e.rx) > 0:
		w.check(err)
		want := e.rx[0]
		e.rx = e.rx[1:]
		if !bytes.Equal(m.Data, body(want.id, want.size)) {
			w.t.Fatalf("%d bytes of message %d, want %d of %d", len(m.Data), le.Uint32(m.Data), want.size, want.id)
		}
		if len(m.Descs) != len(want.descs) {
			w.t.Fatalf("%d descriptors, want %d", len(m.Descs), len(want.descs))
		}
		for i, d := range m.Descs {
			r := want.descs[i]
			if d.Kind() != r.kind() {
				w.t.Fatalf("received %s, want %s", d.Kind(), r.kind())
			}
			if r.kind() == KindInvalid {
				continue
			}
			w.sameMemory(d, r)
			w.add(d, r)
		}
	case e.peer.refs == 0:
		if err != io.EOF {
			w.t.Fatalf("want the end, got %v", err)
		}
	default:
		if !errors.Is(err, unix.EAGAIN) {
			w.t.Fatalf("want EAGAIN, got %v, %d bytes", err, len(m.Data))
		}
	}
}

func (w *world) sameMemory(d Desc, r mRef) {
	if s, ok := d.(*SharedMemory); ok {
		m, err := s.Map()
		w.check(err)
		if m.Bytes[1] != r.memory.number {
			w.t.Fatal("another memory")
		}
		w.check(m.Unmap())
	}
}

func (w *world) actions() map[string]func(*rapid.T) {
	list := map[string]func(){
		"endpoints": func() {
			a, c, err := w.transport().Endpoints()
			w.check(err)
			m := &mAddress{accepts: 1, connects: 1}
			w.add(a, mRef{address: m, accept: true})
			w.add(c, mRef{address: m})
		},
		"connected pair": func() {
			tr := w.transport()
			a, b, err := tr.ConnectedPair()
			w.check(err)
			x, y := w.newPair(KindConnectedSocket)
			x.hard, y.hard = tr == Kernel, tr == Kernel
			w.add(a, mRef{end: x})
			w.add(b, mRef{end: y})
		},
		"data pair": func() {
			a, b, err := w.transport().DataPair()
			w.check(err)
			x, y := w.newPair(KindDataSocket)
			w.add(a, mRef{end: x})
			w.add(b, mRef{end: y})
		},
		"a pair with full queues moves": func() {
			a, b := NewDataPair()
			x, y := w.newPair(KindDataSocket)
			w.add(a, mRef{end: x})
			w.add(b, mRef{end: y})
			size := w.size()
			for range rapid.IntRange(1, 200).Draw(w.t, "messages") {
				for _, h := range w.list[len(w.list)-2:] {
					w.next++
					w.sent(h.d.(Socket).TrySend(body(w.next, size)), h.ref.end, mMessage{id: w.next, size: size})
				}
			}
			f, err := a.File()
			w.check(err)
			w.check(f.Close())
			x.hard, y.hard = true, true
		},
		"memory": func() {
			s, err := NewSharedMemory(MapGranule)
			w.check(err)
			w.next++
			r := &mMemory{byte(w.next)}
			m, err := s.Map()
			w.check(err)
			m.Bytes[1] = r.number
			w.check(m.Unmap())
			w.add(s, mRef{memory: r})
		},
		"send": func() {
			_, h := w.pick("socket", isSocket)
			var list []Desc
			m := mMessage{size: w.size()}
			if h.ref.kind() == KindConnectedSocket {
				list, m.descs = w.transferables()
				for _, r := range m.descs {
					if r.end != nil {
						r.end.hard, r.end.peer.hard = true, true
					}
				}
			}
			for range rapid.SampledFrom([]int{1, 1, 3, 40}).Draw(w.t, "times") {
				w.next++
				m.id = w.next
				err := h.d.(Socket).TrySend(body(m.id, m.size), list...)
				w.sent(err, h.ref.end, m)
			}
		},
		"receive": func() {
			_, h := w.pick("socket", isSocket)
			s, e := h.d.(Socket), h.ref.end
			for range rapid.SampledFrom([]int{1, 1, 3, 40}).Draw(w.t, "times") {
				var m Message
				var err error
				if e.certain() {
					// It may be on its way into the kernel.
					m, err = s.Receive(w.ctx())
				} else {
					m, err = s.TryReceive()
				}
				w.received(m, err, e)
			}
		},
		"connect": func() {
			_, h := w.pick("endpoint", func(r mRef) bool { return r.kind() == KindConnectEndpoint })
			s, err := h.d.(*ConnectEndpoint).TryConnect()
			if h.ref.address.accepts == 0 {
				if !errors.Is(err, unix.ECONNREFUSED) {
					w.t.Fatal("want ECONNREFUSED, got ", err)
				}
				return
			}
			w.check(err)
			w.connected(h.ref.address, func(id uint32, x *mEnd) {
				w.check(s.TrySend(body(id, 8)))
				w.add(s, mRef{end: x})
			})
		},
		"accept": func() {
			_, h := w.pick("endpoint", func(r mRef) bool { return r.accept })
			acc, a := h.d.(*AcceptEndpoint), h.ref.address
			for {
				var s *ConnectedSocket
				var err error
				if len(a.line) > 0 || a.connects == 0 {
					s, err = acc.Accept(w.ctx())
				} else {
					s, err = acc.TryAccept()
				}
				if err != nil {
					w.nobody(err, a)
					return
				}
				m, err := s.Receive(w.ctx())
				if e := w.accepted(m, err, a); e != nil {
					w.received(m, nil, e)
					w.add(s, mRef{end: e})
					return
				}
				w.check(s.Close())
			}
		},
		"dup": func() {
			_, h := w.pick("handle", func(r mRef) bool { return true })
			d, err := h.d.Dup()
			w.check(err)
			w.add(d, h.ref.retain())
		},
		"close": func() {
			i, h := w.pick("handle", func(r mRef) bool { return true })
			w.check(h.d.Close())
			h.ref.drop()
			w.remove(i)
		},
		"through a file": func() {
			i, h := w.pick("handle", func(r mRef) bool { return r.end != nil || r.kind() == KindConnectEndpoint })
			f, err := h.d.(filer).File()
			w.check(err)
			w.check(h.d.Close())
			var d Desc
			switch h.ref.kind() {
			case KindConnectEndpoint:
				d, err = NewConnectEndpoint(f)
			case KindConnectedSocket:
				d, err = NewConnectedSocket(f)
			default:
				d, err = NewDataSocket(f)
			}
			w.check(err)
			if e := h.ref.end; e != nil {
				e.hard, e.peer.hard = true, true
			}
			w.list[i].d = d
		},
		"gone": func() {
			_, h := w.pick("endpoint", func(r mRef) bool { return r.accept })
			gone := h.d.(*AcceptEndpoint).Gone()
			if h.ref.address.connects == 0 {
				select {
				case <-gone:
				case <-w.ctx().Done():
					w.t.Fatal("nobody can connect, and nobody was told")
				}
				return
			}
			select {
			case <-gone:
				w.t.Fatal("gone, but somebody can connect")
			default:
			}
		},
		"agent: start": func() {
			if len(w.agents) == 2 {
				w.t.Skip("enough")
			}
			w.agents = append(w.agents, startAgent(w.t))
		},
		"agent: give it": func() {
			a := w.agent()
			i, h := w.pick("handle", func(r mRef) bool { return r.kind().Transferable() })
			a.tell(w, "hold", h.d)
			w.check(h.d.Close())
			w.remove(i)
			a.held = append(a.held, h.ref)
			if e := h.ref.end; e != nil {
				e.hard, e.peer.hard = true, true
			}
		},
		"agent: take it back": func() {
			a, i := w.agentWith(func(r mRef) bool { return r.kind().Transferable() })
			m := a.tell(w, fmt.Sprint("give ", i))
			r := a.held[i]
			a.held = append(a.held[:i], a.held[i+1:]...)
			if len(m.Descs) != 1 || m.Descs[0].Kind() != r.kind() {
				w.t.Fatal("the agent gave ", m.Descs)
			}
			w.sameMemory(m.Descs[0], r)
			w.add(m.Descs[0], r)
		},
		"agent: close": func() {
			a, i := w.agentWith(func(r mRef) bool { return true })
			a.tell(w, fmt.Sprint("close ", i))
			a.held[i].drop()
			a.held = append(a.held[:i], a.held[i+1:]...)
		},
		"agent: connect": func() {
			a, i := w.agentWith(func(r mRef) bool { return r.kind() == KindConnectEndpoint })
			addr := a.held[i].address
			w.next++
			m := a.tell(w, fmt.Sprint("connect ", i, " ", w.next))
			if addr.accepts == 0 {
				if string(m.Data) != "refused" {
					w.t.Fatal("the agent connects: ", string(m.Data))
				}
				return
			}
			if string(m.Data) != "ok" {
				w.t.Fatal("the agent connects: ", string(m.Data))
			}
			w.next--
			w.connected(addr, func(_ uint32, x *mEnd) { a.held = append(a.held, mRef{end: x}) })
		},
		"agent: send": func() {
			a, i := w.agentWith(isSocket)
			e := a.held[i].end
			w.next++
			m := mMessage{id: w.next, size: w.size()}
			var err error
			switch r := string(a.tell(w, fmt.Sprint("send ", i, " ", m.id, " ", m.size)).Data); r {
			case "ok":
			case "again":
				err = unix.EAGAIN
			case "closed":
				err = unix.EPIPE
			default:
				w.t.Fatal("the agent sends: ", r)
			}
			w.sent(err, e, m)
		},
		"agent: receive": func() {
			a, i := w.agentWith(isSocket)
			e := a.held[i].end
			how := "try "
			if e.certain() {
				how = "receive "
			}
			m := a.tell(w, fmt.Sprint(how, i))
			var err error
			switch string(m.Data) {
			case "end":
				err = io.EOF
			case "again":
				err = unix.EAGAIN
			}
			w.received(m, err, e)
		},
		"agent: endpoints": func() {
			a := w.agent()
			m := a.tell(w, fmt.Sprint("make ", rapid.IntRange(0, 1).Draw(w.t, "transport")))
			if len(m.Descs) != 1 || m.Descs[0].Kind() != KindConnectEndpoint {
				w.t.Fatal("the agent made ", string(m.Data), m.Descs)
			}
			addr := &mAddress{accepts: 1, connects: 1}
			w.add(m.Descs[0], mRef{address: addr})
			a.held = append(a.held, mRef{address: addr, accept: true})
		},
		"agent: accept": func() {
			a, i := w.agentWith(func(r mRef) bool { return r.accept })
			addr := a.held[i].address
			for {
				how := "try-accept "
				if len(addr.line) > 0 || addr.connects == 0 {
					how = "accept "
				}
				m := a.tell(w, fmt.Sprint(how, i))
				switch string(m.Data) {
				case "again":
					w.nobody(unix.EAGAIN, addr)
					return
				case "closed":
					w.nobody(unix.EPIPE, addr)
					return
				}
				var err error
				if string(m.Data) == "end" {
					err = io.EOF
				}
				if e := w.accepted(m, err, addr); e != nil {
					w.received(m, nil, e)
					a.held = append(a.held, mRef{end: e})
					return
				}
				// The agent has it as its last, and closes it.
				a.tell(w, fmt.Sprint("close ", len(a.held)))
			}
		},
		"agent: kill": func() {
			a := w.agent()
			if m := w.kill(a); len(m) > 0 {
				w.t.Fatal("what a killed process had not said: ", m)
			}
		},
		// Killed while it does something, or before, or after: nobody knows.
		"agent: kill in the middle": func() {
			a := w.agent()
			what := rapid.SampledFrom([]string{"hold", "give", "close", "connect", "send", "receive", "make", "accept"}).Draw(w.t, "what")
			at := func(ok func(mRef) bool) int {
				b, i := w.agentWith(ok)
				if b != a {
					w.t.Skip("another agent")
				}
				return i
			}
			var descs []Desc
			text := what
			switch what {
			case "hold":
				_, h := w.pick("handle", func(r mRef) bool { return r.kind().Transferable() })
				descs = []Desc{h.d}
				if e := h.ref.end; e != nil {
					e.hard, e.peer.hard = true, true
				}
			case "give":
				text = fmt.Sprint("give ", at(func(r mRef) bool { return r.kind().Transferable() }))
			case "close":
				text = fmt.Sprint("close ", at(func(mRef) bool { return true }))
			case "connect":
				i := at(func(r mRef) bool { return r.kind() == KindConnectEndpoint })
				w.next++
				text = fmt.Sprint("connect ", i, " ", w.next)
				a.held[i].address.ghosts++
			case "send":
				i := at(isSocket)
				w.next++
				m := mMessage{id: w.next, size: w.size(), maybe: true}
				text = fmt.Sprint("send ", i, " ", m.id, " ", m.size)
				if to := a.held[i].end.peer; to.refs > 0 {
					to.rx = append(to.rx, m)
				}
			case "receive":
				// What it takes away is lost with it, and must be nobody else's.
				i := at(func(r mRef) bool { return isSocket(r) && r.end.refs == 1 })
				text = fmt.Sprint("try ", i)
			case "accept":
				text = fmt.Sprint("try-accept ", at(func(r mRef) bool { return r.accept }))
			}
			w.check(a.ctl.Send(w.ctx(), []byte(text), descs...))
			time.Sleep(time.Duration(rapid.IntRange(0, 300).Draw(w.t, "µs")) * time.Microsecond)
			for _, m := range w.kill(a) {
				m.Close()
			}
		},
	}
	out := make(map[string]func(*rapid.T))
	for name, f := range list {
		out[name] = func(t *rapid.T) {
			w.t = t
			f()
		}
	}
	return out
}

// nobody checks the error of an accept.
func (w *world) nobody(err error, a *mAddress) {
	switch {
	case len(a.line) > 0:
		w.check(err)
	case a.connects == 0:
		if !errors.Is(err, unix.EPIPE) {
			w.t.Fatal("want EPIPE, got ", err)
		}
	case !errors.Is(err, unix.EAGAIN):
		w.t.Fatal("want EAGAIN, got ", err)
	}
	a.ghosts = 0 // there are none left in line
}

// accepted finds the connection that began with a message, or nothing if it is a ghost.
func (w *world) accepted(m Message, err error, a *mAddress) *mEnd {
	if err == nil {
		for i, e := range a.line {
			if e.rx[0].id == le.Uint32(m.Data) {
				a.line = append(a.line[:i:i], a.line[i+1:]...)
				return e
			}
		}
	}
	if a.ghosts == 0 || err != nil && err != io.EOF {
		w.t.Fatal("accepted a connection that nobody made: ", err)
	}
	a.ghosts--
	return nil
}

// kill ends an agent, and returns what it had said and nobody heard.
func (w *world) kill(a *modelAgent) (said []Message) {
	w.check(a.cmd.Process.Kill())
	_ = a.cmd.Wait()
	for _, r := range a.held {
		r.drop()
	}
	a.held = nil
	for {
		m, err := a.ctl.Receive(w.ctx())
		if err == io.EOF {
			break
		}
		w.check(err)
		said = append(said, m)
	}
	w.check(a.ctl.Close())
	for i := range w.agents {
		if w.agents[i] == a {
			w.agents = append(w.agents[:i], w.agents[i+1:]...)
			break
		}
	}
	return said
}

// connected puts a connection that says who it is into the line.
func (w *world) connected(a *mAddress, f func(id uint32, client *mEnd)) {
	w.next++
	x, y := w.newPair(KindConnectedSocket)
	x.hard, y.hard = true, true
	y.rx = append(y.rx, mMessage{id: w.next, size: 8})
	a.line = append(a.line, y)
	f(w.next, x)
}

func (w *world) agent() *modelAgent {
	if len(w.agents) == 0 {
		w.t.Skip("no agent")
	}
	return rapid.SampledFrom(w.agents).Draw(w.t, "agent")
}

func (w *world) agentWith(ok func(mRef) bool) (*modelAgent, int) {
	a := w.agent()
	var at []int
	for i, r := range a.held {
		if ok(r) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		w.t.Skip("it holds nothing of the kind")
	}
	return a, rapid.SampledFrom(at).Draw(w.t, "held")
}

func startAgent(t *rapid.T) *modelAgent {
	near, far, err := Kernel.ConnectedPair()
	if err != nil {
		t.Fatal(err)
	}
	f, err := far.File()
	if err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	defer f.Close()
	a := &modelAgent{ctl: near, cmd: exec.Command(os.Args[0])}
	a.cmd.Env = append(os.Environ(), childVariable+"=agent/1")
	a.cmd.Stderr = os.Stderr
	a.cmd.ExtraFiles = []*os.File{f}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *modelAgent) tell(w *world, text string, descs ...Desc) Message {
	w.check(a.ctl.Send(w.ctx(), []byte(text), descs...))
	m, err := a.ctl.Receive(w.ctx())
	w.check(err)
	return m
}

// childAgent is the other side of tell.
func childAgent(f []*os.File) error {
	ctl, err := NewConnectedSocket(f[0])
	if err != nil {
		return err
	}
	ctx := context.Background()
	var held []Desc
	for {
		m, err := ctl.Receive(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var verb string
		var i, id, size int
		_, _ = fmt.Sscan(string(m.Data), &verb, &i, &id, &size)
		held = append(held, m.Descs...)
		answer := []byte("ok")
		var descs []Desc
		word := func(err error) {
			switch {
			case errors.Is(err, unix.EAGAIN):
				answer = []byte("again")
			case errors.Is(err, unix.EPIPE):
				answer = []byte("closed")
			case errors.Is(err, unix.ECONNREFUSED):
				answer = []byte("refused")
			case err == io.EOF:
				answer = []byte("end")
			case err != nil:
				answer = []byte(err.Error())
			}
		}
		switch verb {
		case "give", "close":
			if verb == "give" {
				descs = append(descs, held[i])
				defer held[i].Close()
			} else {
				_ = held[i].Close()
			}
		case "connect":
			s, err := held[i].(*ConnectEndpoint).TryConnect()
			if err == nil {
				err = s.TrySend(body(uint32(id), 8))
				held = append(held, s)
			}
			word(err)
		case "make":
			acc, c, err := []Transport{Memory, Kernel}[i].Endpoints()
			if err != nil {
				return err
			}
			held = append(held, acc)
			descs = append(descs, c)
		case "accept", "try-accept":
			acc := held[i].(*AcceptEndpoint)
			var s *ConnectedSocket
			if verb == "accept" {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				s, err = acc.Accept(ctx)
				cancel()
			} else {
				s, err = acc.TryAccept()
			}
			if err == nil {
				held = append(held, s)
				var first Message
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				first, err = s.Receive(ctx)
				cancel()
				answer = first.Data
			}
			word(err)
		case "send":
			word(held[i].(Socket).TrySend(body(uint32(id), size)))
		case "receive", "try":
			var got Message
			if verb == "receive" {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				got, err = held[i].(Socket).Receive(ctx)
				cancel()
			} else {
				got, err = held[i].(Socket).TryReceive()
			}
			if err == nil {
				answer, descs = got.Data, got.Descs
			} else {
				word(err)
			}
		}
		if err := ctl.Send(ctx, answer, descs...); err != nil {
			return err
		}
		switch verb {
		case "give", "close":
			_ = held[i].Close()
			held = append(held[:i], held[i+1:]...)
		case "receive", "try", "make":
			Message{Descs: descs}.Close()
		}
	}
}

// end closes everything, and finds that nothing is left.
func (w *world) end(t *testing.T, descriptors int) {
	for _, a := range w.agents {
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait()
		_ = a.ctl.Close()
	}
	for _, h := range w.list {
		_ = h.d.Close()
	}
	deadline := time.Now().Add(10 * time.Second)
	charged := func() int64 { bytes, descs := w.budget.Used(); return bytes + descs }
	for descriptorsOf(t) > descriptors || charged() != 0 {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			w.t.Fatalf("%d descriptors before, %d after; %d charged\n%v\n%s", descriptors, descriptorsOf(t), charged(), openFiles(), stacks)
		}
		time.Sleep(time.Millisecond)
	}
}

// openFiles tells what the open descriptors are.
func openFiles() (names []string) {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		name, _ := os.Readlink("/proc/self/fd/" + e.Name())
		names = append(names, e.Name()+" "+name)
	}
	return names
}

func TestModel(t *testing.T) {
	checks := "40"
	if testing.Short() {
		checks = "8"
	}
	for name, value := range map[string]string{"rapid.steps": "120", "rapid.checks": checks, "rapid.shrinktime": "5s"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() == f.DefValue {
			must(t, f.Value.Set(value))
		}
	}
	// Go's own poller comes with the first timer, and stays.
	time.Sleep(time.Millisecond)
	if soak := soakTime(t); soak > 0 {
		for end := time.Now().Add(soak); time.Now().Before(end) && !t.Failed(); {
			rapid.Check(t, func(rt *rapid.T) { model(t, rt) })
		}
		return
	}
	rapid.Check(t, func(rt *rapid.T) { model(t, rt) })
}

func model(t *testing.T, rt *rapid.T) {
	descriptors := descriptorsOf(t)
	w := &world{t: rt, budget: NewBudget(1<<40, 1<<40)}
	defer func() {
		w.t = rt
		w.end(t, descriptors)
	}()
	rt.Repeat(w.actions())
}

// soakTime is how long the long forms of the tests run, each; 0: the short forms.
func soakTime(t *testing.T) time.Duration {
	v := os.Getenv("HALITE_SOAK")
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	must(t, err)
	return d
}
