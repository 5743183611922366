package imc

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Budget bounds what one program makes this process keep: messages in queues in
// memory with their descriptors, connections in line, and whatever else its owner
// charges. What is sent through a handle that [Account] gave a budget is charged to
// it until the message is received or dropped, wherever it lies meanwhile and
// whether or not the handle is still open.
//
// What goes beyond the budget fails with ENOBUFS and does not wait: what would have to
// go first may be for the program itself to receive, and no event says when there
// is room again. All methods may be called by several goroutines at once.
type Budget struct {
	bytes, descs       atomic.Int64
	maxBytes, maxDescs int64
}

// What things cost that take memory beside their data: not less than what Go
// allocates for them.
const (
	costMessage = 256  // with its place in the queue, twice for growing
	costDesc    = 1024 // a handle, what it stands for, and half of a pair
	costConnect = 2048 // both ends of a connection in line
)

// NewBudget makes a budget of so many bytes and descriptors in flight.
func NewBudget(bytes int64, descs int) *Budget {
	return &Budget{maxBytes: bytes, maxDescs: int64(descs)}
}

// Take charges bytes, or returns false and charges nothing if there are not so many
// left. n is not negative.
func (b *Budget) Take(n int64) bool { return b.take(n, 0) }

// Give takes a charge of Take back.
func (b *Budget) Give(n int64) { b.bytes.Add(-n) }

// Used is what is charged now.
func (b *Budget) Used() (bytes, descs int64) { return b.bytes.Load(), b.descs.Load() }

func (b *Budget) take(bytes, descs int64) bool {
	if !addWithin(&b.bytes, bytes, b.maxBytes) {
		return false
	}
	if descs > 0 && !addWithin(&b.descs, descs, b.maxDescs) {
		b.bytes.Add(-bytes)
		return false
	}
	return true
}

// addWithin adds n to v unless that would exceed the limit. It never exceeds it for a
// moment either, so that a large request which is refused does not make a small one
// fail.
func addWithin(v *atomic.Int64, n, limit int64) bool {
	for {
		old := v.Load()
		if n > limit-old {
			return false
		}
		if v.CompareAndSwap(old, old+n) {
			return true
		}
	}
}

func (b *Budget) give(bytes, descs int64) {
	b.bytes.Add(-bytes)
	if descs != 0 {
		b.descs.Add(-descs)
	}
}

func (b *Budget) exhausted() bool {
	return b.bytes.Load() >= b.maxBytes || b.descs.Load() >= b.maxDescs
}

// Account has what is sent through the handle, and the connections that are made with
// it and sent through, charged to b. What somebody without a budget sends to the end that
// it is a handle of is charged to b too, without failing; but once b is used up, such
// a queue takes one message at a time. It must be called before the handle is used, and not
// for handles on Unix sockets, whose queues are the kernel's: there it does nothing.
func Account(d Desc, b *Budget) {
	switch d := d.(type) {
	case *ConnectEndpoint:
		d.budget = b
	case Socket:
		s := d.core()
		s.budget = b
		s.e.p.mu.Lock()
		s.e.owner = b
		s.e.p.mu.Unlock()
	}
}

// cost of a message in a queue.
func (m *message) cost() (bytes, descs int64) {
	bytes = costMessage + int64(len(m.data)) + int64(len(m.data))/8 // as Go rounds up
	for _, d := range m.descs {
		if d.Kind() == KindInvalid {
			continue
		}
		descs++
		bytes += costDesc
		if note := d.Metadata(); note != nil {
			bytes += int64(len(note.Data))
		}
	}
	return bytes, descs
}

// charge is called when a message goes into a queue; either may be nil.
func (m *message) charge(sender, receiver *Budget) bool {
	switch {
	case sender != nil:
		if !sender.take(m.cost()) {
			return false
		}
		m.paid = sender
	case receiver != nil:
		bytes, descs := m.cost()
		receiver.bytes.Add(bytes)
		receiver.descs.Add(descs)
		m.paid = receiver
	}
	return true
}

// settle is called when it has left the queue, before anything of it is changed.
func (m *message) settle() {
	if m.paid == nil {
		return
	}
	m.paid.give(m.cost())
	m.paid = nil
}

// takes tells whether the queue of the end takes a message of this sender now.
func (e *end) takes(sender *Budget) bool {
	if e.full() {
		return false
	}
	return sender != nil || e.owner == nil || e.rx.len() == 0 || !e.owner.exhausted()
}

func errBudget(op string, k Kind) error { return failure(op, k, unix.ENOBUFS, whyBudget) }
