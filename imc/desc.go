package imc

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Limits of a message, as NaCl published them.
const (
	MaxData   = 131072 // bytes of data
	MaxDescs  = 8      // descriptors
	MaxVector = 256    // pieces that a guest may gather or scatter a message over
)

// Kind is what a descriptor is. Its numbers are the tags of the protocol between
// processes.
type Kind uint8

const (
	KindInvalid         Kind = 0
	KindFile            Kind = 2
	KindConnectEndpoint Kind = 4
	KindAcceptEndpoint  Kind = 5
	KindSharedMemory    Kind = 7
	KindDataSocket      Kind = 13
	KindConnectedSocket Kind = 14
)

func (k Kind) String() string {
	switch k {
	case KindInvalid:
		return "the invalid descriptor"
	case KindFile:
		return "a file"
	case KindConnectEndpoint:
		return "a connect endpoint"
	case KindAcceptEndpoint:
		return "an accept endpoint"
	case KindSharedMemory:
		return "shared memory"
	case KindDataSocket:
		return "a data socket"
	case KindConnectedSocket:
		return "a connected socket"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Transferable tells whether descriptors of this kind can be sent in messages.
func (k Kind) Transferable() bool {
	switch k {
	case KindInvalid, KindFile, KindConnectEndpoint, KindSharedMemory, KindDataSocket:
		return true
	}
	return false
}

// A Desc is one handle of a descriptor. Several handles can share one descriptor,
// as after dup(2); it is gone when the last is closed. Only this package makes
// descriptors: [*ConnectEndpoint], [*AcceptEndpoint], [*ConnectedSocket],
// [*DataSocket], [*File], [*SharedMemory] and [Invalid].
//
// All methods of all kinds may be called by several goroutines at once.
type Desc interface {
	Kind() Kind
	// Dup makes another handle.
	Dup() (Desc, error)
	// Close gives the handle up. Calls that wait on this handle return EBADF; other
	// handles are not disturbed.
	Close() error
	// Metadata is what SetMetadata attached, or nil.
	Metadata() *Metadata
	// SetMetadata attaches a note that travels with the descriptor. It can be done
	// once for each handle, before the handle is duplicated or sent.
	SetMetadata(Metadata) error

	// outgoing gives what stands for the descriptor in a packet to another process.
	outgoing() (outgoing, error)
}

// Metadata is a note on a descriptor, made by trusted code and unknown to guests.
type Metadata struct {
	Type int32 // not -1
	Data []byte
}

// MaxMetadata is the longest Metadata.Data.
const MaxMetadata = 1024

// A Message is what one send gives to one receive.
type Message struct {
	Data  []byte
	Descs []Desc // owned by who received the message
}

// Close closes the descriptors of the message.
func (m Message) Close() {
	for _, d := range m.Descs {
		_ = d.Close()
	}
}

// handle is what all kinds of descriptors have for each handle.
type handle struct {
	closed  atomic.Bool
	budget  *Budget // is charged for what is sent; see Account
	meta    atomic.Pointer[Metadata]
	unguard *runtime.Cleanup // takes back what would happen if the handle were lost
}

func (h *handle) Metadata() *Metadata { return h.meta.Load() }

func (h *handle) setMetadata(k Kind, m Metadata) error {
	switch {
	case m.Type == -1 || len(m.Data) > MaxMetadata:
		return failure("set metadata", k, unix.EINVAL, fmt.Sprintf("the type must not be -1 and the data at most %d bytes", MaxMetadata))
	case h.closed.Load():
		return errClosed("set metadata", k)
	}
	m.Data = append([]byte(nil), m.Data...)
	if !h.meta.CompareAndSwap(nil, &m) {
		return failure("set metadata", k, unix.EPERM, "it was set before")
	}
	return nil
}

// shut marks the handle closed; the error says that it was.
func (h *handle) shut(k Kind) error {
	if !h.closed.CompareAndSwap(false, true) {
		return errClosed("close", k)
	}
	if h.unguard != nil {
		h.unguard.Stop()
	}
	return nil
}

// dupAll duplicates what is sent. Nothing is left over when it fails.
func dupAll(op string, on Kind, descs []Desc) ([]Desc, error) {
	if len(descs) == 0 {
		return nil, nil
	}
	if len(descs) > MaxDescs {
		return nil, failure(op, on, unix.EINVAL, fmt.Sprintf("%d descriptors, at most %d can be sent at once", len(descs), MaxDescs))
	}
	out := make([]Desc, 0, len(descs))
	for i, d := range descs {
		var c Desc
		err := error(nil)
		switch {
		case d == nil:
			err = failure(op, on, unix.EBADF, fmt.Sprintf("descriptor %d is nil", i))
		case !d.Kind().Transferable():
			err = &Error{Op: op, Kind: on, Errno: unix.EOPNOTSUPP, Why: d.Kind().String() + " can't be sent"}
		default:
			c, err = d.Dup()
		}
		if err != nil {
			Message{Descs: out}.Close()
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Invalid is the descriptor that NaCl calls -1: a place in a message without
// anything in it.
var Invalid Desc = invalid{}

type invalid struct{}

func (invalid) Kind() Kind          { return KindInvalid }
func (invalid) Dup() (Desc, error)  { return Invalid, nil }
func (invalid) Close() error        { return nil }
func (invalid) Metadata() *Metadata { return nil }
func (invalid) SetMetadata(Metadata) error {
	return failure("set metadata", KindInvalid, unix.EINVAL, "there is nothing to attach it to")
}
func (invalid) outgoing() (outgoing, error) { return outgoing{kind: KindInvalid}, nil }
