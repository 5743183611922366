package imc

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// The packets between processes; docs/imc.md describes them byte by byte.
const (
	wordMessage = 0xd3c0de01
	wordControl = 0xd3c0de02

	headerSize = 16
	tagEnd     = 0xff

	baseMetadata = 0x10000 // in the flags of a descriptor: a note follows
	baseFlags    = 0x3 | 0x1000 | baseMetadata

	controlAccepted = 1
	controlRefused  = 2

	requestPlain = "c"  // a connection; nothing is answered
	requestAck   = "ca" // a connection; accepting or refusing it is answered on it

	// Tag, flags, metadata, payload of the longest kind.
	maxDescSize = 1 + 4 + 8 + MaxMetadata + 8
	maxDescArea = (MaxDescs*maxDescSize + 1 + 15) &^ 15
	maxPacket   = headerSize + maxDescArea + MaxData
)

var le = binary.LittleEndian

// outgoing is what stands for a descriptor in a packet.
type outgoing struct {
	kind  Kind
	flags uint32 // access mode
	meta  *Metadata
	value int64 // KindFile: open flags; KindSharedMemory: size
	k     *kfd  // with a reference that the receiver of this value gives back; nil for KindInvalid
}

func release(list []outgoing) {
	for _, o := range list {
		if o.k != nil {
			o.k.release()
		}
	}
}

// appendHeader writes the header and the descriptor area.
func appendHeader(b []byte, list []outgoing) []byte {
	at := len(b)
	b = le.AppendUint32(b, wordMessage)
	b = append(b, make([]byte, headerSize-4)...)
	if len(list) == 0 {
		return b
	}
	for _, o := range list {
		b = append(b, byte(o.kind))
		if o.kind == KindInvalid {
			continue
		}
		flags := o.flags
		if o.meta != nil {
			flags |= baseMetadata
		}
		b = le.AppendUint32(b, flags)
		if o.meta != nil {
			b = le.AppendUint32(b, uint32(o.meta.Type))
			b = le.AppendUint32(b, uint32(len(o.meta.Data)))
			b = append(b, o.meta.Data...)
		}
		switch o.kind {
		case KindFile:
			b = le.AppendUint32(b, uint32(o.value))
		case KindSharedMemory:
			b = le.AppendUint64(b, uint64(o.value))
		}
	}
	b = append(b, tagEnd)
	for (len(b)-at)%16 != 0 {
		b = append(b, 0)
	}
	le.PutUint32(b[at+4:], uint32(len(b)-at-headerSize))
	return b
}

// incoming is a descriptor as a packet describes it. fd is -1 for those without
// one and for those that the kernel could not deliver.
type incoming struct {
	kind  Kind
	flags uint32
	meta  *Metadata
	value int64
	fd    int
}

// packet is a decoded message.
type packet struct {
	data  []byte // part of what was decoded
	descs []incoming
}

// malformed is a packet that no peer of ours sends.
type malformed string

func (m malformed) Error() string { return "malformed packet: " + string(m) }

// decode takes a message apart. fds are the descriptors that came with it, in
// order; lost tells that the kernel could not deliver all of them. decode closes
// nothing: on an error, and where descs does not name them, that is left to the
// caller. Everything in b is hostile.
func decode(b []byte, fds []int, lost bool) (packet, error) {
	if len(b) < headerSize {
		return packet{}, malformed(fmt.Sprintf("%d bytes, a header has %d", len(b), headerSize))
	}
	if w := le.Uint32(b); w != wordMessage {
		return packet{}, malformed(fmt.Sprintf("it begins with %#x", w))
	}
	size := le.Uint32(b[4:])
	if uint64(size) > uint64(len(b)-headerSize) || size > maxDescArea || size%16 != 0 {
		return packet{}, malformed(fmt.Sprintf("%d bytes of descriptors", size))
	}
	p := packet{data: b[headerSize+size:]}
	if len(p.data) > MaxData {
		return packet{}, malformed(fmt.Sprintf("%d bytes of data", len(p.data)))
	}
	area := b[headerSize : headerSize+size]
	if len(area) == 0 {
		if len(fds) > 0 {
			return packet{}, malformed("descriptors that it does not describe")
		}
		return p, nil
	}
	take := func(n int) ([]byte, bool) {
		if len(area) < n {
			return nil, false
		}
		v := area[:n]
		area = area[n:]
		return v, true
	}
	for {
		tag, ok := take(1)
		if !ok {
			return packet{}, malformed("the descriptors have no end")
		}
		if tag[0] == tagEnd {
			break
		}
		if len(p.descs) == MaxDescs {
			return packet{}, malformed(fmt.Sprintf("more than %d descriptors", MaxDescs))
		}
		d := incoming{kind: Kind(tag[0]), fd: -1}
		if d.kind == KindInvalid {
			p.descs = append(p.descs, d)
			continue
		}
		if !d.kind.Transferable() {
			return packet{}, malformed(d.kind.String() + " can't be sent")
		}
		if v, ok := take(4); ok {
			d.flags = le.Uint32(v)
		} else {
			return packet{}, malformed("a descriptor is cut short")
		}
		if d.flags&^baseFlags != 0 {
			return packet{}, malformed(fmt.Sprintf("unknown flags %#x", d.flags))
		}
		if d.flags&baseMetadata != 0 {
			v, ok := take(8)
			if !ok {
				return packet{}, malformed("a descriptor is cut short")
			}
			d.meta = &Metadata{Type: int32(le.Uint32(v))}
			n := le.Uint32(v[4:])
			if n > MaxMetadata {
				return packet{}, malformed(fmt.Sprintf("%d bytes of metadata", n))
			}
			if v, ok = take(int(n)); !ok {
				return packet{}, malformed("a descriptor is cut short")
			}
			d.meta.Data = append([]byte(nil), v...)
		}
		switch d.kind {
		case KindFile:
			v, ok := take(4)
			if !ok {
				return packet{}, malformed("a descriptor is cut short")
			}
			d.value = int64(int32(le.Uint32(v)))
		case KindSharedMemory:
			v, ok := take(8)
			if !ok {
				return packet{}, malformed("a descriptor is cut short")
			}
			d.value = int64(le.Uint64(v))
		}
		switch {
		case len(fds) > 0:
			d.fd, fds = fds[0], fds[1:]
		case !lost:
			return packet{}, malformed("a descriptor is described but was not sent")
		}
		p.descs = append(p.descs, d)
	}
	if len(fds) > 0 {
		return packet{}, malformed("descriptors that it does not describe")
	}
	return p, nil
}

// adopt makes a handle of a received descriptor and takes the descriptor over,
// whatever the result. What the sender says about it is checked here.
func (d incoming) adopt() (Desc, error) {
	if d.kind == KindInvalid {
		return Invalid, nil
	}
	k := newKfd(d.fd)
	var out Desc
	err := error(nil)
	switch d.kind {
	case KindFile:
		out, err = adoptFile(k, int(d.value))
	case KindSharedMemory:
		out, err = adoptMemory(k, d.value, d.flags)
	case KindConnectEndpoint:
		if err = checkSocket(d.fd); err == nil {
			out = newKernelConnect(k)
		}
	case KindDataSocket:
		if err = checkSocket(d.fd); err == nil {
			out = newKernelSocket(k, KindDataSocket)
		}
	default:
		err = unix.EINVAL
	}
	if err != nil {
		k.release()
		return nil, err
	}
	if d.meta != nil && d.meta.Type != -1 {
		_ = out.SetMetadata(*d.meta)
	}
	return out, nil
}

// control is a packet that says how a connection request went.
func control(kind uint32) []byte {
	b := make([]byte, headerSize)
	le.PutUint32(b, wordControl)
	le.PutUint32(b[4:], kind)
	return b
}
