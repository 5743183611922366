package gateway

import (
	"encoding/binary"
	"fmt"

	"github.com/halite-run/halite/imc"
)

// Frames: one byte of type, then the number of a channel or a capability.
const (
	frameConnect = 1 // channel, u32 capability: open a connection through it
	frameAccept  = 2 // channel
	frameRefuse  = 3 // channel
	frameMessage = 4 // channel, u8 count, count descriptors, data
	frameCredit  = 5 // channel, u32: so much more may be sent
	frameClose   = 6 // channel: this side sends no more and receives no more
	frameDrop    = 7 // capability: not needed any more
)

// Descriptors in a message: one byte of kind and a number.
const (
	descInvalid = byte(imc.KindInvalid)         // 0
	descConnect = byte(imc.KindConnectEndpoint) // a capability of the sender
	descData    = byte(imc.KindDataSocket)      // a channel that is opened hereby
)

const (
	// window is how much a side may send on a channel beyond what was received: the
	// sum of the costs of messages. A message may be sent whenever something is left.
	window      = 256 << 10
	messageCost = 64 // besides its data

	maxFrame = 6 + imc.MaxDescs*5 + imc.MaxData
)

var le = binary.LittleEndian

type wireDesc struct {
	kind   byte
	number uint32
}

type frame struct {
	kind   byte
	number uint32 // of the channel or capability
	value  uint32 // capability, or credit
	descs  []wireDesc
	data   []byte
}

func (f frame) encode() []byte {
	b := append(make([]byte, 0, 6+5*len(f.descs)+len(f.data)), f.kind)
	b = le.AppendUint32(b, f.number)
	switch f.kind {
	case frameConnect, frameCredit:
		b = le.AppendUint32(b, f.value)
	case frameMessage:
		b = append(b, byte(len(f.descs)))
		for _, d := range f.descs {
			b = append(b, d.kind)
			b = le.AppendUint32(b, d.number)
		}
		b = append(b, f.data...)
	}
	return b
}

func decodeFrame(b []byte) (frame, error) {
	if len(b) < 5 {
		return frame{}, fmt.Errorf("a frame of %d bytes", len(b))
	}
	f := frame{kind: b[0], number: le.Uint32(b[1:])}
	b = b[5:]
	switch f.kind {
	case frameConnect, frameCredit:
		if len(b) != 4 {
			return frame{}, fmt.Errorf("a frame of type %d with %d bytes", f.kind, len(b))
		}
		f.value = le.Uint32(b)
	case frameMessage:
		if len(b) == 0 || int(b[0]) > imc.MaxDescs || len(b) < 1+5*int(b[0]) {
			return frame{}, fmt.Errorf("a message whose descriptors don't fit")
		}
		n := int(b[0])
		b = b[1:]
		for range n {
			d := wireDesc{b[0], le.Uint32(b[1:])}
			switch d.kind {
			case descInvalid, descConnect, descData:
			default:
				return frame{}, fmt.Errorf("a descriptor of kind %d", d.kind)
			}
			f.descs = append(f.descs, d)
			b = b[5:]
		}
		if len(b) > imc.MaxData {
			return frame{}, fmt.Errorf("a message of %d bytes", len(b))
		}
		f.data = b
	case frameAccept, frameRefuse, frameClose, frameDrop:
		if len(b) != 0 {
			return frame{}, fmt.Errorf("a frame of type %d with %d bytes", f.kind, len(b))
		}
	default:
		return frame{}, fmt.Errorf("a frame of unknown type %d", f.kind)
	}
	return f, nil
}
