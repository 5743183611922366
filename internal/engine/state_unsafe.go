package engine

import (
	"encoding/binary"
	"unsafe"

	"github.com/halite-run/halite/internal/cage"
)

// State is a copy of everything a guest thread can notice, but its memory, its
// thread pointer and what is on its control stack.
type State struct {
	regs   Registers
	mode   uint32
	x87    uint32
	vec    uint32
	mxcsr  uint32
	fcw    uint16
	fsw    uint16
	full   bool
	floor  uintptr
	frames int
	fault  *Fault
	ymm    []byte // empty when no vector register is in use
	xsave  []byte // of modeFull: all; with x87: that part
}

// Sizes within an XSAVE area in the standard format.
const (
	legacySize = 512
	headerSize = 64
	avxOffset  = 576
	avxSize    = 256
	xsaveSize  = avxOffset + avxSize // x87, SSE and AVX
)

// Save copies the state of a Context that is not running.
func (c *Context) Save() *State {
	k := c.core
	s := &State{
		regs: k.regs, mode: k.mode, x87: k.x87, vec: k.vec,
		mxcsr: k.mxcsr, fcw: k.fcw, fsw: k.fsw,
		full: c.full, floor: k.ctlFloor, frames: len(c.frames), fault: c.fault,
	}
	switch {
	case k.mode == modeFull:
		s.xsave = append(s.xsave, k.xsave[:xsaveSize]...)
	case k.mode == modeResume || k.vec != 0:
		s.ymm = append(s.ymm, k.vectors()...)
		if k.x87 != 0 {
			s.xsave = append(s.xsave, k.xsave[:legacySize+headerSize]...)
		}
	}
	return s
}

// Restore puts a state of the same Context back, at any time, any number of
// times, as long as the control stack above it is what it was: the invocations
// that were in progress still are.
func (c *Context) Restore(s *State) {
	if s.frames > len(c.frames) {
		panic("engine: Restore of a state whose invocation has ended")
	}
	k := c.core
	k.regs, k.mode, k.x87, k.vec = s.regs, s.mode, s.x87, s.vec
	k.mxcsr, k.fcw, k.fsw = s.mxcsr, s.fcw, s.fsw
	c.full, k.ctlFloor, c.fault = s.full, s.floor, s.fault
	c.frames = c.frames[:s.frames]
	copy(k.vectors(), s.ymm)
	copy(k.xsave[:], s.xsave)
	c.newID()
}

func (k *core) vectors() []byte {
	return unsafe.Slice(&k.ymm[0][0], int(unsafe.Sizeof(k.ymm)))
}

// XMM0 returns the register in which a function returns a floating-point
// value.
func (c *Context) XMM0() (lo, hi uint64) { return c.XMM(0) }

// XMM returns the lower half of a vector register. After ExitReturn, only
// registers 0 and 1 have a meaning.
func (c *Context) XMM(i int) (lo, hi uint64) {
	k := c.core
	b := k.ymm[i][:]
	if k.mode == modeFull {
		b = k.xsave[160+16*i:]
		if k.xsave[legacySize]&2 == 0 {
			return 0, 0 // XSAVE says: as after reset
		}
	}
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
}

// FloatResults returns what a function has returned in xmm0 and xmm1, their lower halves.
func (c *Context) FloatResults() (xmm0, xmm1 uint64) {
	k := c.core
	return *(*uint64)(unsafe.Pointer(&k.ymm[0])), *(*uint64)(unsafe.Pointer(&k.ymm[1]))
}

// SetXMM sets a vector argument of the call that SetCall or PushSignal has
// just prepared.
func (c *Context) SetXMM(i int, lo, hi uint64) {
	k := c.core
	if k.mode != modeCall && k.mode != modeSignal {
		panic("engine: SetXMM without SetCall")
	}
	if k.vec == 0 {
		k.vec = 1
		clear(k.vectors())
	}
	binary.LittleEndian.PutUint64(k.ymm[i][:], lo)
	binary.LittleEndian.PutUint64(k.ymm[i][8:], hi)
}

// SetResultXMM sets xmm0 of a guest that waits for a call to return: a
// floating-point result.
func (c *Context) SetResultXMM(lo uint64) {
	k := c.core
	if k.mode == modeClassicResume {
		return // NaCl's calls return with empty vector registers
	}
	if k.mode != modeResume {
		panic("engine: SetResultXMM without a call")
	}
	binary.LittleEndian.PutUint64(k.ymm[0][:], lo)
	binary.LittleEndian.PutUint64(k.ymm[0][8:], 0)
}

// ControlDepth returns the number of words on the control stack, which a guest of
// the classic ABI has not.
func (c *Context) ControlDepth() int {
	if c.classic {
		return 0
	}
	return int((c.core.ctlTop - uintptr(c.core.regs.RSP)) / 8)
}

// Backtrace returns up to max return addresses as sandbox offsets, innermost
// first, through all invocations. Exit stubs are left out. There are none of the
// classic ABI, whose return addresses are the guest's own.
func (c *Context) Backtrace(max int) []uint32 {
	var out []uint32
	k := c.core
	if c.classic {
		return nil
	}
	for sp := uintptr(k.regs.RSP); sp < k.ctlTop && len(out) < max; sp += 8 {
		if w := *(*uint64)(ptr(sp)); w>>32 == uint64(k.base)>>32 {
			out = append(out, uint32(w))
		}
	}
	return out
}

// RefersTo reports whether the thread, which is not running, may still execute
// code in [start, end) of the sandbox without being called anew: a return
// address on its control stack points there, or it was stopped there. Together
// with the same question to each State that may yet be restored, for all
// threads of the domain, this is the proof that cage.ReleaseText wants.
//
// In the classic ABI, return addresses lead to the beginning of a bundle, where any
// validated code is safe. What is asked there is whether the thread was stopped
// anywhere else in the range.
func (c *Context) RefersTo(start, end uint32) bool {
	k := c.core
	if c.classic {
		return k.mode == modeFull && within(k.regs.RIP, k.base, start, end)
	}
	if k.mode != modeNone && within(k.regs.RIP, k.base, start, end) {
		return true
	}
	for sp := uintptr(k.regs.RSP); sp < k.ctlTop; sp += 8 {
		if within(*(*uint64)(ptr(sp)), k.base, start, end) {
			return true
		}
	}
	return false
}

// RefersTo reports whether the state was saved in [start, end) of the sandbox.
// The control stack is the Context's business.
func (s *State) RefersTo(start, end uint32) bool {
	if s.mode == modeClassicStart || s.mode == modeClassicResume {
		return false // it goes on at a bundle
	}
	return s.mode != modeNone && within(s.regs.RIP, uintptr(s.regs.RIP)&^(cage.Size-1), start, end)
}

func within(addr uint64, base uintptr, start, end uint32) bool {
	off := addr - uint64(base)
	return off >= uint64(start) && off < uint64(end)
}

// forgetThread makes the next entry on this thread ask for its number.
func forgetThread() { setWord(farWords+24, 0) }
