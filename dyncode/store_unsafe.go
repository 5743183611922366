package dyncode

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Writing code that threads may be executing. The view is memory of the kernel's
// that the guest executes at another address; its alignment is that of the
// sandbox, since both are mapped from page boundaries.

// word is the aligned 32-bit word at b[i].
func word(b []byte, i int) *uint32 { return (*uint32)(unsafe.Pointer(&b[i : i+4][0])) }

func putWord(b []byte, i int, v uint32) { binary.LittleEndian.PutUint32(b[i:], v) }

func getWord(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }

// writeTails writes all but the first word of each bundle, which is a hlt and
// stays one. Nobody is inside, so plain stores do; the atomic stores of the heads
// keep them in front.
func writeTails(to, code []byte) {
	for i := 0; i < len(code); i += bundle {
		copy(to[i+4:i+bundle], code[i+4:i+bundle])
	}
}

// writeHeads makes the bundles enterable, one aligned store each.
func writeHeads(to, code []byte) {
	for i := 0; i < len(code); i += bundle {
		atomic.StoreUint32(word(to, i), getWord(code, i))
	}
}

// clearHeads makes every bundle a fault to enter.
func clearHeads(to []byte) {
	for i := 0; i < len(to); i += bundle {
		atomic.StoreUint32(word(to, i), hlts)
	}
}

// storeByte stores one byte, visible at once as every store is.
func storeByte(b []byte, i int, v byte) {
	// A word around it would be as good; the neighbours do not change, as only
	// the holder of the lock writes.
	w := i &^ 3
	s := uint(i-w) * 8
	old := atomic.LoadUint32(word(b, w))
	atomic.StoreUint32(word(b, w), old&^(0xff<<s)|uint32(v)<<s)
}

// replace changes the instructions that differ. starts says for each bundle where
// instructions begin; no unit of several instructions differs.
func (r *Region) replace(to, old, code []byte, starts []uint32) error {
	for off := 0; off < len(code); off += bundle {
		for s := starts[off/bundle]; s != 0; {
			p := bits.TrailingZeros32(s)
			s &= s - 1
			end := bundle
			if s != 0 {
				end = bits.TrailingZeros32(s)
			}
			if err := r.replaceOne(to, old, code, off+p, off+end); err != nil {
				return err
			}
		}
	}
	return nil
}

// replaceOne changes the instruction at [start, end).
func (r *Region) replaceOne(to, old, code []byte, start, end int) error {
	lo, hi := start, end
	for lo < hi && old[lo] == code[lo] {
		lo++
	}
	if lo == hi {
		return nil
	}
	for old[hi-1] == code[hi-1] {
		hi--
	}
	switch {
	case lo&^3 == (hi-1)&^3:
		w := lo &^ 3
		atomic.StoreUint32(word(to, w), merge32(old, code, w, lo, hi))
	case lo&^7 == (hi-1)&^7:
		w := lo &^ 7
		v := uint64(merge32(old, code, w, lo, hi)) | uint64(merge32(old, code, w+4, lo, hi))<<32
		atomic.StoreUint64((*uint64)(unsafe.Pointer(&to[w : w+8][0])), v)
	default:
		// No single store: a hlt keeps threads out, and each CPU is made to
		// forget what it has decoded before and after the rest changes.
		if err := serialize(); err != nil { // before anything has changed
			return err
		}
		r.patches.Add(1)
		storeByte(to, start, hlt)
		_ = serialize()
		for i := start + 1; i < end; i++ {
			if old[i] != code[i] {
				storeByte(to, i, code[i])
			}
		}
		_ = serialize()
		storeByte(to, start, code[start])
	}
	copy(old[lo:hi], code[lo:hi]) // a neighbour in the same word must keep it
	return nil
}

// merge32 is the word at w of old, with the bytes [lo, hi) of code.
func merge32(old, code []byte, w, lo, hi int) uint32 {
	var b [4]byte
	for i := range b {
		b[i] = old[w+i]
		if w+i >= lo && w+i < hi {
			b[i] = code[w+i]
		}
	}
	return binary.LittleEndian.Uint32(b[:])
}

// Commands of membarrier.
const (
	barrierSyncCore         = 1 << 5
	barrierRegisterSyncCore = 1 << 6
)

var registerBarrier = sync.OnceValue(func() error {
	return membarrier(barrierRegisterSyncCore)
})

// serialize makes every thread of the process forget instructions that it has
// fetched, before it returns to its code.
func serialize() error {
	if err := registerBarrier(); err != nil {
		return err
	}
	return membarrier(barrierSyncCore)
}

func membarrier(cmd uintptr) error {
	if _, _, e := unix.Syscall(unix.SYS_MEMBARRIER, cmd, 0, 0); e != 0 {
		return e
	}
	return nil
}
