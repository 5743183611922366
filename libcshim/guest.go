package libcshim

import (
	"encoding/binary"
	"math"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

var le = binary.LittleEndian

// chunkSize is the piece in which data moves between files and the guest.
const chunkSize = 64 << 10

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// maxTransfer is the most that one read or write moves, as on Linux.
const maxTransfer = 0x7ffff000

// args are the six argument registers.
type args = [6]uint64

// int32Arg is an argument that C declares as int: the upper half is not part of
// it.
func int32Arg(v uint64) int { return int(int32(uint32(v))) }

// path reads a file name.
func (k *task) path(addr uint64) (string, error) {
	p, err := k.p.mem.ReadString(uint32(addr), namespace.PathMax)
	if err != nil {
		return "", err
	}
	if len(p) >= namespace.PathMax {
		return "", unix.ENAMETOOLONG
	}
	return p, nil
}

// read fills p from guest memory.
func (k *task) read(addr uint64, p []byte) error { return k.p.mem.Read(uint32(addr), p) }

// write copies p to guest memory.
func (k *task) write(addr uint64, p []byte) error { return k.p.mem.Write(uint32(addr), p) }

func (k *task) store32(addr uint64, v uint32) error { return k.p.mem.Store32(uint32(addr), v) }
func (k *task) store64(addr uint64, v uint64) error { return k.p.mem.Store64(uint32(addr), v) }

// timespec reads a struct timespec that must be a valid interval or moment.
func (k *task) timespec(addr uint64) (unix.Timespec, error) {
	var b [16]byte
	if err := k.read(addr, b[:]); err != nil {
		return unix.Timespec{}, err
	}
	ts := unix.Timespec{Sec: int64(le.Uint64(b[:])), Nsec: int64(le.Uint64(b[8:]))}
	if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= 1e9 {
		return ts, unix.EINVAL
	}
	return ts, nil
}

func (k *task) putTimespec(addr uint64, sec, nsec int64) error {
	var b [16]byte
	le.PutUint64(b[:], uint64(sec))
	le.PutUint64(b[8:], uint64(nsec))
	return k.write(addr, b[:])
}

// until makes the deadline of a relative wait. A call that is made again goes on
// waiting for the deadline of the first time.
func (k *task) until(ts unix.Timespec) time.Time {
	if d, ok := k.t.Progress().(time.Time); ok {
		return d
	}
	return time.Now().Add(runtime.Seconds(ts.Sec, ts.Nsec))
}

// interrupted ends a wait that has a deadline.
func (k *task) interrupted(deadline time.Time) error {
	if !deadline.IsZero() {
		k.t.SetProgress(deadline)
	}
	return errRestartUnlessHandled
}

// absolute makes a deadline of a moment of CLOCK_REALTIME or of another clock.
func absolute(clock int, ts unix.Timespec) time.Time {
	if clock == unix.CLOCK_REALTIME {
		if ts.Sec > math.MaxInt64/4 {
			ts.Sec = math.MaxInt64 / 4
		}
		return time.Unix(ts.Sec, ts.Nsec)
	}
	var now unix.Timespec
	if unix.ClockGettime(int32(clock), &now) != nil {
		return time.Now()
	}
	d := runtime.Seconds(ts.Sec, ts.Nsec) - runtime.Seconds(now.Sec, now.Nsec)
	return time.Now().Add(d)
}

// A vec is one entry of an iovec array.
type vec struct {
	addr uint32
	len  uint64
}

const maxIOV = 1024

// iovec copies and checks an iovec array. What it says may change in the guest's
// memory right after; nobody looks there again.
func (k *task) iovec(addr, count uint64) ([]vec, error) {
	n := int64(int32(count))
	if n < 0 || n > maxIOV {
		return nil, unix.EINVAL
	}
	var raw [16 * maxIOV]byte
	b := raw[:n*16]
	if err := k.read(addr, b); err != nil {
		return nil, err
	}
	vecs := make([]vec, 0, n)
	total := uint64(0)
	for ; len(b) > 0; b = b[16:] {
		v := vec{uint32(le.Uint64(b)), le.Uint64(b[8:])}
		if v.len > math.MaxInt64 {
			return nil, unix.EINVAL
		}
		if v.len > cage.Size-uint64(v.addr) {
			return nil, unix.EFAULT
		}
		if left := maxTransfer - min(total, maxTransfer); v.len > left {
			v.len = left
		}
		total += v.len
		if v.len > 0 {
			vecs = append(vecs, v)
		}
	}
	return vecs, nil
}
