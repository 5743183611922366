package runtime

import (
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
)

// A NaClCaller is a Personality that serves calls on NaCl slots below 1024 that the
// runtime has no answer for itself. One that is none refuses them with ENOSYS.
type NaClCaller interface {
	// NaClCall serves one call; see Personality.Syscall for its results.
	NaClCall(t *Thread, slot uint32, a [6]uint64) int64
}

// Bounds of a message, as those of IMC.
const (
	MaxMessage     = 128 << 10
	MaxDescriptors = 8

	maxSpans = 256
)

// Flags of a message, in the header that the guest passed.
const (
	FlagDataTruncated = 1
	FlagDescTruncated = 2
)

// A MessageHeader is the header of an IMC message in the memory of a guest, and its
// vector, read once: what the guest changes there afterwards has no effect. The
// layout is the same for all ABIs: u32 iov, iov_length, descv, desc_length, flags;
// the vector's entries are u32 base, length.
type MessageHeader struct {
	// Total is the sum of the lengths in the vector, up to 256 times 4 GiB.
	Total uint64
	// Descs is how many descriptors are in the array, or have room there; at most
	// MaxDescriptors.
	Descs int

	mem   safemem.Memory
	at    uint32
	descv uint32
	flags uint32
	null  bool // an entry of the vector begins at 0
	none  bool // there is no header
	spans []span
}

type span struct {
	addr uint32
	len  uint32
}

// NoMessage stands for a header that the guest need not give: without data, without
// room.
func NoMessage() *MessageHeader { return &MessageHeader{none: true} }

// ReadHeader reads and checks a header: EFAULT and EINVAL in the order of NaCl's
// calls.
func ReadHeader(mem safemem.Memory, at uint32) (*MessageHeader, error) {
	h := &MessageHeader{mem: mem, at: at}
	var b [20]byte
	if err := mem.Read(at, b[:]); err != nil {
		return nil, unix.EFAULT
	}
	iov, n := le.Uint32(b[0:]), le.Uint32(b[4:])
	nd := le.Uint32(b[12:])
	if n > maxSpans || nd > MaxDescriptors {
		return nil, unix.EINVAL
	}
	h.descv, h.Descs, h.flags = le.Uint32(b[8:]), int(nd), le.Uint32(b[16:])
	raw := make([]byte, 8*n)
	if err := mem.Read(iov, raw); err != nil {
		return nil, unix.EFAULT
	}
	for ; len(raw) > 0; raw = raw[8:] {
		s := span{le.Uint32(raw), le.Uint32(raw[4:])}
		if uint64(s.addr)+uint64(s.len) > cage.Size {
			return nil, unix.EFAULT
		}
		h.null = h.null || s.addr == 0
		h.Total += uint64(s.len)
		if s.len > 0 {
			h.spans = append(h.spans, s)
		}
	}
	return h, nil
}

// CheckSpans is EFAULT if an entry of the vector begins at 0, even if it is empty: so
// Native Client has it.
func (h *MessageHeader) CheckSpans() error {
	if h.null {
		return unix.EFAULT
	}
	return nil
}

// CheckDescs is EFAULT if the array of descriptors can't be in the sandbox. Whether
// it can be written is seen when it is.
func (h *MessageHeader) CheckDescs() error {
	if h.Descs > 0 && (h.descv == 0 || uint64(h.descv)+4*uint64(h.Descs) > cage.Size) {
		return unix.EFAULT
	}
	return nil
}

// Gather copies the data out of the guest. The caller has looked at Total.
func (h *MessageHeader) Gather() ([]byte, error) {
	return h.Peek(int(h.Total))
}

// Peek copies the first n bytes of the data.
func (h *MessageHeader) Peek(n int) ([]byte, error) {
	data := make([]byte, min(uint64(n), h.Total))
	p := data
	for _, s := range h.spans {
		k := min(len(p), int(s.len))
		if h.mem.Read(s.addr, p[:k]) != nil {
			return nil, unix.EFAULT
		}
		p = p[k:]
	}
	return data, nil
}

// Flags are those that the header had when it was read.
func (h *MessageHeader) Flags() uint32 { return h.flags }

// Scatter copies data into the guest, as much as there is room for, and returns how
// much that was.
func (h *MessageHeader) Scatter(data []byte) (int, error) {
	n := 0
	for _, s := range h.spans {
		k := min(len(data)-n, int(s.len))
		if h.mem.Write(s.addr, data[n:n+k]) != nil {
			return n, unix.EFAULT
		}
		n += k
	}
	return n, nil
}

// Numbers reads the array of descriptors.
func (h *MessageHeader) Numbers() ([]int32, error) {
	raw := make([]byte, 4*h.Descs)
	if len(raw) == 0 {
		return nil, nil
	}
	if h.mem.Read(h.descv, raw) != nil {
		return nil, unix.EFAULT
	}
	list := make([]int32, h.Descs)
	for i := range list {
		list[i] = int32(le.Uint32(raw[4*i:]))
	}
	return list, nil
}

// Finish tells the guest which descriptors it got, at most Descs, and the flags.
func (h *MessageHeader) Finish(fds []int32, flags uint32) error {
	if h.none {
		return nil
	}
	raw := make([]byte, 0, 4*MaxDescriptors)
	for _, fd := range fds {
		raw = le.AppendUint32(raw, uint32(fd))
	}
	if len(raw) > 0 && h.mem.Write(h.descv, raw) != nil {
		return unix.EFAULT
	}
	if h.mem.Store32(h.at+12, uint32(len(fds))) != nil || h.mem.Store32(h.at+16, flags) != nil {
		return unix.EFAULT
	}
	return nil
}
