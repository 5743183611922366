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

// received compares what a receive gave with the model.
func (w *world) received(m Message, err error, e *mEnd) {
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
				if len(e.rx) > 0 || e.peer.refs == 0 {
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
			var s *ConnectedSocket
			var err error
			if len(a.line) > 0 || a.connects == 0 {
				s, err = acc.Accept(w.ctx())
			} else {
				s, err = acc.TryAccept()
			}
			switch {
			case len(a.line) > 0:
				w.check(err)
			case a.connects == 0:
				if !errors.Is(err, unix.EPIPE) {
					w.t.Fatal("want EPIPE, got ", err)
				}
				return
			default:
				if !errors.Is(err, unix.EAGAIN) {
					w.t.Fatal("want EAGAIN, got ", err)
				}
				return
			}
			m, err := s.Receive(w.ctx())
			w.check(err)
			for i, e := range a.line {
				if e.rx[0].id == le.Uint32(m.Data) {
					a.line = append(a.line[:i:i], a.line[i+1:]...)
					w.received(m, nil, e)
					w.add(s, mRef{end: e})
					return
				}
			}
			w.t.Fatal("accepted a connection that nobody made")
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
			if len(e.rx) > 0 || e.peer.refs == 0 {
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
		"agent: kill": func() {
			a := w.agent()
			w.check(a.cmd.Process.Kill())
			_ = a.cmd.Wait()
			for _, r := range a.held {
				r.drop()
			}
			a.held = nil
			_, err := a.ctl.Receive(w.ctx())
			if err != io.EOF {
				w.t.Fatal("the end of a killed process: ", err)
			}
			w.check(a.ctl.Close())
			for i := range w.agents {
				if w.agents[i] == a {
					w.agents = append(w.agents[:i], w.agents[i+1:]...)
					break
				}
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
		case "receive", "try":
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
			w.t.Fatalf("%d descriptors before, %d after; %d charged", descriptors, descriptorsOf(t), charged())
		}
		time.Sleep(time.Millisecond)
	}
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
