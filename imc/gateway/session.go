package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// Limits bound what one session can take.
type Limits struct {
	Channels     int // connections and data sockets at once; 0 means 1024
	Capabilities int // given to the other side at once, and taken from it; 0 means 4096
}

func (l Limits) orDefault() Limits {
	if l.Channels == 0 {
		l.Channels = 1024
	}
	if l.Capabilities == 0 {
		l.Capabilities = 4096
	}
	return l
}

const whyGateway = "they can't leave the machine, and the connection leads over a WebSocket"

// Session is one WebSocket. Its goroutines: one reads frames and never waits for
// anything else; two for each channel carry messages in one direction each; one for
// each capability that came from the other side waits for connections.
type Session struct {
	ws     *websocket.Conn
	limits Limits
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	done   chan struct{}
	root   *imc.ConnectEndpoint

	mu       sync.Mutex
	channels map[uint32]*channel
	exports  map[uint32]*imc.ConnectEndpoint // given to the other side
	imports  int
	nextChan uint32 // even: the client's, odd: the server's
	nextCap  uint32
}

// channel is a connection or a data socket that leads to the other side.
type channel struct {
	s      *Session
	id     uint32
	ctx    context.Context // of the channel's goroutines
	cancel context.CancelFunc

	// Guarded by the session's lock.
	local      imc.Socket      // our end of a pair whose other end the program has; nil while connecting
	program    *imc.DataSocket // that end, until the program gets it
	request    *imc.Request    // of a program here, that waits for the other side's answer
	queue      []frame         // received, to be given to the program
	queued     int             // its cost
	gotClose   bool
	sentClose  bool
	credit     int
	arrived    chan struct{} // something changed for the goroutine that delivers
	replenish  chan struct{} // and for the one that sends
	delivering bool
}

func newSession(ws *websocket.Conn, server bool, root *imc.ConnectEndpoint, limits Limits) *Session {
	s := &Session{ws: ws, limits: limits.orDefault(), done: make(chan struct{}), channels: make(map[uint32]*channel), exports: make(map[uint32]*imc.ConnectEndpoint), nextCap: 1}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	ws.SetReadLimit(maxFrame)
	if server {
		s.nextChan = 1
		s.exports[0] = root
	} else {
		s.root = s.imported(0)
	}
	s.wg.Add(1)
	go s.read()
	go func() {
		<-s.ctx.Done()
		_ = ws.CloseNow()
		s.wg.Wait()
		s.mu.Lock()
		for _, e := range s.exports {
			_ = e.Close()
		}
		for _, c := range s.channels {
			// What no goroutine was responsible for yet.
			if c.request != nil {
				c.request.Refuse()
			}
			if c.program != nil {
				_ = c.program.Close()
			}
			if c.local != nil {
				_ = c.local.Close()
			}
		}
		s.exports, s.channels = nil, nil
		s.mu.Unlock()
		close(s.done)
	}()
	return s
}

var errClosed = errors.New("gateway: the session is closed")

// Root is the capability that the server gives to its clients, on their side. It
// belongs to the session.
func (s *Session) Root() *imc.ConnectEndpoint { return s.root }

// Close ends the session and everything that was reached through it.
func (s *Session) Close() error {
	s.cancel(errClosed)
	<-s.done
	if s.root != nil {
		_ = s.root.Close()
	}
	return nil
}

// Done is closed when the session has ended, and Err tells why then.
func (s *Session) Done() <-chan struct{} { return s.done }

func (s *Session) Err() error {
	err := context.Cause(s.ctx)
	if errors.Is(err, errClosed) || websocket.CloseStatus(err) == websocket.StatusNormalClosure || websocket.CloseStatus(err) == websocket.StatusGoingAway || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s *Session) send(f frame) {
	if err := s.ws.Write(s.ctx, websocket.MessageBinary, f.encode()); err != nil {
		s.cancel(err)
	}
}

func (s *Session) spawn(f func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		f()
	}()
}

func (s *Session) read() {
	defer s.wg.Done()
	for {
		kind, b, err := s.ws.Read(s.ctx)
		if err == nil && kind != websocket.MessageBinary {
			err = errors.New("gateway: a text frame")
		}
		var f frame
		if err == nil {
			if f, err = decodeFrame(b); err == nil {
				err = s.handle(f)
			}
			if err != nil {
				err = fmt.Errorf("gateway: protocol error: %w", err)
			}
		}
		if err != nil {
			s.cancel(err)
			return
		}
	}
}

// handle takes one frame. It must not wait: what may wait is left to goroutines.
func (s *Session) handle(f frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.kind == frameDrop {
		e := s.exports[f.number]
		if e == nil || f.number == 0 {
			return fmt.Errorf("capability %d, which was not given", f.number)
		}
		delete(s.exports, f.number)
		_ = e.Close()
		return nil
	}
	if f.kind == frameConnect {
		return s.incoming(f)
	}
	c := s.channels[f.number]
	if c == nil && f.kind == frameCredit {
		return nil // it was on its way when the channel ended
	}
	if c == nil {
		return fmt.Errorf("channel %d, which does not exist", f.number)
	}
	switch f.kind {
	case frameAccept, frameRefuse:
		if c.request == nil {
			return fmt.Errorf("an answer on channel %d, which nobody waits for", c.id)
		}
		r := c.request
		c.request = nil
		if f.kind == frameRefuse {
			c.cancel()
			delete(s.channels, c.id)
			r.Refuse()
			return nil
		}
		conn, err := r.Accept()
		if err != nil {
			c.gaveUp()
			return nil
		}
		c.start(conn)
	case frameMessage:
		if c.local == nil && !c.sentClose || c.gotClose || c.queued >= window {
			return fmt.Errorf("a message on channel %d that was not expected", c.id)
		}
		// Channels and capabilities exist from here on: the next frame may name them.
		if err := s.prepare(f); err != nil {
			return err
		}
		if c.local == nil {
			// Who connected gave up.
			s.spawn(func() { s.dispose(f) })
			return nil
		}
		c.queue = append(c.queue, f)
		c.queued += messageCost + len(f.data)
		poke(c.arrived)
	case frameCredit:
		if f.value > window || c.credit+int(f.value) > window {
			return fmt.Errorf("%d more credit on channel %d than was used", f.value, c.id)
		}
		c.credit += int(f.value)
		poke(c.replenish)
	case frameClose:
		if c.gotClose {
			return fmt.Errorf("channel %d is closed twice", c.id)
		}
		c.gotClose = true
		if c.local == nil {
			// Who wanted to connect gave up.
			c.cancel()
			if c.sentClose {
				delete(s.channels, c.id)
			}
			return nil
		}
		poke(c.arrived)
		if c.sentClose && !c.delivering {
			delete(s.channels, c.id)
		}
	}
	return nil
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// add makes a channel. The lock is held.
func (s *Session) add(id uint32) (*channel, error) {
	if len(s.channels) >= s.limits.Channels {
		return nil, fmt.Errorf("more than %d channels", s.limits.Channels)
	}
	if s.channels[id] != nil {
		return nil, fmt.Errorf("channel %d, which is in use", id)
	}
	c := &channel{s: s, id: id, credit: window, arrived: make(chan struct{}, 1), replenish: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	s.channels[id] = c
	return c, nil
}

// theirs checks a number that the other side chose for a channel.
func (s *Session) theirs(id uint32) error {
	if id%2 == s.nextChan%2 {
		return fmt.Errorf("channel %d, which is not the other side's to open", id)
	}
	return nil
}

// open makes a channel with a number of ours. The lock is held.
func (s *Session) open() (*channel, error) {
	for s.channels[s.nextChan] != nil {
		s.nextChan += 2
	}
	c, err := s.add(s.nextChan)
	s.nextChan += 2
	return c, err
}

// incoming is a connection that the other side asks for. The lock is held.
func (s *Session) incoming(f frame) error {
	if err := s.theirs(f.number); err != nil {
		return err
	}
	c, err := s.add(f.number)
	if err != nil {
		return err
	}
	e := s.exports[f.value]
	var target *imc.ConnectEndpoint
	if e != nil {
		if d, err := e.Dup(); err == nil {
			target = d.(*imc.ConnectEndpoint)
		}
	}
	if target == nil {
		// It may have been dropped while the request was on its way.
		target = imc.DeadEndpoint()
	}
	s.spawn(func() {
		defer target.Close()
		conn, err := target.Connect(c.ctx)
		s.mu.Lock()
		if err != nil || c.gotClose {
			if err == nil {
				_ = conn.Close()
			}
			c.cancel()
			c.sentClose = true
			delete(s.channels, c.id)
			gone := c.gotClose
			s.mu.Unlock()
			if gone {
				s.send(frame{kind: frameClose, number: c.id})
			} else {
				s.send(frame{kind: frameRefuse, number: c.id})
			}
			return
		}
		conn.RefuseHostDescriptors(whyGateway)
		c.local = conn // messages may come as soon as the other side knows
		s.mu.Unlock()
		s.send(frame{kind: frameAccept, number: c.id})
		s.mu.Lock()
		c.start(conn)
		s.mu.Unlock()
	})
	return nil
}

// gaveUp ends a channel whose program here did not wait for the answer. The lock is
// held.
func (c *channel) gaveUp() {
	c.cancel()
	c.sentClose = true
	c.s.spawn(func() { c.s.send(frame{kind: frameClose, number: c.id}) })
}

// start carries messages between the program's connection and the other side. The
// lock is held.
func (c *channel) start(local imc.Socket) {
	c.local = local
	c.delivering = true
	c.s.spawn(c.deliver)
	c.s.spawn(c.collect)
}

// deliver gives received messages to the program.
func (c *channel) deliver() {
	s := c.s
	defer func() {
		s.mu.Lock()
		c.delivering = false
		queue := c.queue
		c.queue = nil
		if c.gotClose && c.sentClose {
			delete(s.channels, c.id)
		}
		s.mu.Unlock()
		_ = c.local.Close() // ends collect
		for _, f := range queue {
			s.dispose(f)
		}
	}()
	broken := false
	for {
		s.mu.Lock()
		var f frame
		have := len(c.queue) > 0
		if have {
			f = c.queue[0]
			c.queue = c.queue[1:]
		}
		end := c.gotClose && !have
		s.mu.Unlock()
		if end {
			return
		}
		if !have {
			select {
			case <-c.arrived:
			case <-c.ctx.Done():
				return
			}
			continue
		}
		descs := s.materialize(f)
		if !broken {
			err := c.local.Send(c.ctx, f.data, descs...)
			if err != nil && !errors.Is(err, unix.EPIPE) {
				// A data socket takes no descriptors, and the like: the other side's mistake,
				// which ends the channel. What still comes is dropped.
				broken = true
				_ = c.local.Close()
			}
		}
		imc.Message{Descs: descs}.Close()
		if c.ctx.Err() != nil {
			return
		}
		cost := messageCost + len(f.data)
		s.mu.Lock()
		c.queued -= cost
		closed := c.gotClose
		s.mu.Unlock()
		if !closed {
			s.send(frame{kind: frameCredit, number: c.id, value: uint32(cost)})
		}
	}
}

// collect sends what the program sends.
func (c *channel) collect() {
	s := c.s
	defer func() {
		s.mu.Lock()
		first := !c.sentClose
		c.sentClose = true
		if c.gotClose && !c.delivering {
			delete(s.channels, c.id)
		}
		s.mu.Unlock()
		if first && s.ctx.Err() == nil {
			s.send(frame{kind: frameClose, number: c.id})
		}
	}()
	for {
		s.mu.Lock()
		credit := c.credit
		s.mu.Unlock()
		if credit <= 0 {
			select {
			case <-c.replenish:
			case <-c.ctx.Done():
				return
			}
			continue
		}
		m, err := c.local.Receive(c.ctx)
		if err != nil && !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.EIO) {
			return
		}
		if err != nil && m.Data == nil && m.Descs == nil {
			continue
		}
		f := frame{kind: frameMessage, number: c.id, data: m.Data}
		s.mu.Lock()
		c.credit -= messageCost + len(m.Data)
		for _, d := range m.Descs {
			f.descs = append(f.descs, s.export(d))
		}
		s.mu.Unlock()
		s.send(f)
		m.Close()
		s.started(f)
	}
}

// export gives a descriptor a number that the other side can use. What can't go
// becomes the invalid descriptor; sending it was refused already where that could be
// known. The lock is held.
func (s *Session) export(d imc.Desc) wireDesc {
	none := wireDesc{kind: descInvalid}
	switch d := d.(type) {
	case *imc.ConnectEndpoint:
		if len(s.exports) >= s.limits.Capabilities {
			return none
		}
		e, err := d.Dup()
		if err != nil {
			return none
		}
		for s.exports[s.nextCap] != nil || s.nextCap == 0 {
			s.nextCap++
		}
		id := s.nextCap
		s.nextCap++
		s.exports[id] = e.(*imc.ConnectEndpoint)
		return wireDesc{descConnect, id}
	case *imc.DataSocket:
		e, err := d.Dup()
		if err != nil {
			return none
		}
		c, err := s.open()
		if err != nil {
			_ = e.Close()
			return none
		}
		c.local = e.(*imc.DataSocket)
		return wireDesc{descData, c.id}
	}
	return none
}

// started starts the data sockets that a message carried, once it was sent.
func (s *Session) started(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range f.descs {
		if d.kind == descData {
			if c := s.channels[d.number]; c != nil && !c.delivering {
				c.start(c.local)
			}
		}
	}
}

// prepare makes the channels that a received message opens. The lock is held.
func (s *Session) prepare(f frame) error {
	for _, d := range f.descs {
		switch d.kind {
		case descData:
			if err := s.theirs(d.number); err != nil {
				return err
			}
			c, err := s.add(d.number)
			if err != nil {
				return err
			}
			c.local, c.program = imc.NewDataPair()
		case descConnect:
			if s.imports++; s.imports > s.limits.Capabilities {
				return fmt.Errorf("more than %d capabilities", s.limits.Capabilities)
			}
		}
	}
	return nil
}

// materialize makes the descriptors of a received message.
func (s *Session) materialize(f frame) []imc.Desc {
	var list []imc.Desc
	for _, d := range f.descs {
		switch d.kind {
		case descConnect:
			list = append(list, s.imported(d.number))
		case descData:
			list = append(list, s.program(d.number))
		default:
			list = append(list, imc.Invalid)
		}
	}
	return list
}

// program takes the program's end of a data socket that came, and starts it.
func (s *Session) program(id uint32) imc.Desc {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[id]
	if c == nil || c.program == nil {
		return imc.Invalid
	}
	p := c.program
	c.program = nil
	c.start(c.local)
	return p
}

// dispose gives up what a message carries that nobody will get.
func (s *Session) dispose(f frame) { imc.Message{Descs: s.materialize(f)}.Close() }

// imported makes an endpoint of a capability of the other side's.
func (s *Session) imported(id uint32) *imc.ConnectEndpoint {
	acc, e := imc.NewEndpoints()
	acc.RefuseHostDescriptors(whyGateway)
	s.spawn(func() {
		defer acc.Close()
		for {
			r, err := acc.AwaitNext(s.ctx)
			if err != nil {
				if s.ctx.Err() == nil && id != 0 {
					s.mu.Lock()
					s.imports--
					s.mu.Unlock()
					s.send(frame{kind: frameDrop, number: id})
				}
				return
			}
			s.mu.Lock()
			c, err := s.open()
			if err == nil {
				c.request = r
			}
			s.mu.Unlock()
			if err != nil {
				r.Refuse()
				continue
			}
			s.send(frame{kind: frameConnect, number: c.id, value: id})
		}
	})
	return e
}
