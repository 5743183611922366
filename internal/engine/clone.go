package engine

import (
	"errors"

	"github.com/halite-run/halite/internal/cage"
)

// errClone is why a thread can't be copied.
var errClone = errors.New("engine: only a thread that waits for a call, with nothing but its own code below, can be copied")

// Clone makes a Context that stands where c stands, in the sandbox at base, which
// is a copy of c's. c waits for a call of a trampoline and is in no other
// invocation than its first, nor in a signal handler.
//
// No address of the old sandbox may be left that the copy could go to. They are on
// the control stack alone: every word there is a return address, whose base is
// exchanged, or the stub of the invocation. An indirect jump may have left one in
// a register, but no jump takes a register without masking it and adding the base
// anew, and no sequence of both is interrupted by a call.
//
// A guest of the classic ABI has its return addresses, and the stack and frame pointers
// that it saved, in its own memory, base and all. They stay as they are: which words are
// addresses nobody knows, and none is used as one before its upper half was cleared and
// the base added. That is so for jumps, for rsp and rbp, and for all that a memory operand
// is made of (docs/classic.md); those three that the host sets are made anew.
func (c *Context) Clone(base uintptr) (*Context, error) {
	k := c.core
	mode := uint32(modeResume)
	if c.classic {
		mode = modeClassicResume
	}
	if k.mode != mode || len(c.frames) != 1 || base == 0 || base%cage.Size != 0 {
		return nil, errClone
	}
	n, err := newContext(base, ContextOptions{ControlStackSize: int(c.block.stack), Classic: c.classic})
	if err != nil {
		return nil, err
	}
	if c.classic {
		n.adoptClassic(c)
	} else if err := n.adopt(c); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// adoptClassic is adopt where there is no control stack.
func (n *Context) adoptClassic(c *Context) {
	k, to := c.core, n.core
	n.frames = []invocation{{0, to.ctlFloor}}
	s := c.Save()
	r := &s.regs
	for _, p := range []*uint64{&r.RIP, &r.RSP, &r.RBP} {
		*p = uint64(to.base) | *p&(cage.Size-1)
	}
	r.R15 = uint64(to.base)
	s.floor = to.ctlFloor
	s.fault = nil
	to.tp, to.tp2 = k.tp, k.tp2
	n.detach = c.detach
	n.Restore(s)
}

func (n *Context) adopt(c *Context) error {
	k, to := c.core, n.core
	sp := uintptr(k.regs.RSP)
	if sp < c.block.bottom() || sp >= k.ctlTop || sp%8 != 0 {
		return errClone
	}
	shift := to.ctlTop - k.ctlTop
	stubs := 0
	for at := sp; at < k.ctlTop; at += 8 {
		w := *(*uint64)(ptr(at))
		if w>>32 == uint64(k.base)>>32 {
			w = uint64(to.base) | w&(cage.Size-1)
		} else {
			stubs++
		}
		*(*uint64)(ptr(at + shift)) = w
	}
	if stubs != 1 {
		return errClone
	}
	n.frames = []invocation{{c.frames[0].sp + uint64(shift), c.frames[0].floor + shift}}
	s := c.Save()
	s.regs.RSP += uint64(shift)
	s.regs.R15 = uint64(to.base)
	s.regs.RIP = 0
	s.floor += shift
	s.fault = nil
	to.tp = k.tp
	n.detach = c.detach
	n.Restore(s)
	return nil
}
