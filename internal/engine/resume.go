package engine

import (
	"sync/atomic"
	"syscall"
)

// Between Go and a guest there are two ways.
//
// Attached: the goroutine keeps its processor (P). It costs nothing, and Go's
// scheduler stops the guest with SIGURG, as it stops Go code, after a slice of
// 10 ms or when the garbage collector wants everybody to stop.
//
// Detached: the guest runs as a system call does. That costs some 20 ns, and
// nobody waits for it; but the OS thread is the guest's own.
//
// A guest starts attached. One that was stopped by SIGURG computes for long,
// so it goes on detached; with its next call out it is attached again.

// maxDetached bounds the OS threads that detached guests keep busy. Those
// beyond it stay attached.
const maxDetached = 512

var detached atomic.Int64

// Resume runs the guest until something is up for the host. What runs is what
// SetCall or PushSignal prepared, what Restore restored, or what the last
// Resume came out of: after ExitCall, set Regs().RAX first.
func (c *Context) Resume() Exit {
	if c.full {
		return c.overflow()
	}
	if c.core.mode == modeNone {
		panic("engine: Resume without anything to run")
	}
	return c.resume(c.detach || machine.detachAlways)
}

func (c *Context) resume(detach bool) Exit {
	c.fault = nil
	for {
		if !detach || !c.enterDetached() {
			c.enter()
		}
		if e := c.exit(); e.Reason != 0 {
			return e
		}
		yield()
		detach = true
	}
}

// Call is SetCallRegisters and Resume in one, in half the time for a short function.
func (c *Context) Call(entry, dataStack uint32, a *[6]uint64) Exit {
	k := c.core
	r := &k.regs
	n := len(c.frames)
	sp, floor := r.RSP, k.ctlFloor
	if n == cap(c.frames) || c.classic || c.detach || machine.detachAlways || uintptr(sp) < c.block.bottom()+margin {
		c.SetCallRegisters(entry, dataStack, a)
		return c.Resume()
	}
	// What SetCallRegisters does, but for the registers that modeCall does not load.
	c.frames = c.frames[:n+1]
	c.frames[n].sp, c.frames[n].floor = sp, floor
	k.ctlFloor = uintptr(sp) - 8
	r.RDI, r.RSI, r.RDX, r.RCX, r.R8, r.R9 = a[0], a[1], a[2], a[3], a[4], a[5]
	r.RAX, r.R14 = 0, uint64(dataStack)
	r.RIP = uint64(k.base) + uint64(entry&^31)
	c.fresh()
	k.mode = modeCall
	c.full = false
	c.enter()
	if k.reason == reasonReturn {
		r.RSP, k.ctlFloor = sp, floor
		c.frames = c.frames[:n]
		return Exit{Reason: ExitReturn}
	}
	if k.mode == modeCall { // it has not begun
		r.RBX, r.RBP, r.R10, r.R11, r.R12, r.R13 = 0, 0, 0, 0, 0, 0
	}
	if e := c.exit(); e.Reason != 0 {
		return e
	}
	yield()
	return c.resume(true)
}

// enter runs the guest attached.
func (c *Context) enter() {
	k := c.core
	k.serve = 0
	if c.server != nil {
		k.serve = 1
	}
	if machine.far {
		enterFar(k, c)
	} else {
		enterNear(k, c)
	}
}

// exit is what enter came back with, 0 if the guest was stopped for Go's scheduler.
func (c *Context) exit() Exit {
	k := c.core
	switch k.reason {
	case reasonCall:
		switch {
		case k.slot == slotBadUnwind:
			return c.badUnwind()
		case c.classic && k.slot == SlotClassicReturn:
			return c.classicReturn()
		}
		return Exit{ExitCall, k.slot}
	case reasonReturn:
		c.leave()
		return Exit{Reason: ExitReturn}
	case reasonSignal:
		return Exit{Reason: ExitSignalReturn}
	case reasonFault:
		c.fault = c.describe()
		return Exit{Reason: ExitFault}
	}
	// Stopped before or in the guest by SIGURG. If it is Go's, a call makes this
	// goroutine look at what the scheduler wants.
	if atomic.LoadUint32(&k.intr) != 0 {
		return Exit{Reason: ExitInterrupt}
	}
	return Exit{}
}

// enterDetached is false if too many guests are detached already. When it is
// not possible to stop an attached guest, there is no limit.
func (c *Context) enterDetached() bool {
	if detached.Add(1) > maxDetached && !machine.detachAlways {
		detached.Add(-1)
		return false
	}
	c.core.serve = 0
	if machine.far {
		// glibc keeps the stacks of threads that have ended, with our
		// words in them, for new ones: the cached number may be stale,
		// and nothing but Interrupt stops a detached guest.
		forgetThread()
		enterDetachedFar(c.core)
	} else {
		enterDetachedNear(c.core)
	}
	detached.Add(-1)
	return true
}

// serve is called by SERVE.
//
//lint:ignore U1000 by assembly alone
func serve(c *Context) bool {
	k := c.core
	slot := k.slot
	if slot == slotBadUnwind {
		return false
	}
	goOn := c.server(slot)
	k.slot, k.reason, k.serve = slot, reasonCall, 1 // an inner Resume's by now
	return goOn
}

// yield is a function with a stack check, where Go's scheduler takes over when
// it wants to.
//
//go:noinline
func yield() {
	var b [128]byte
	use(&b)
}

//go:noinline
func use(*[128]byte) {}

// badUnwind makes a fault of a ctl_unwind that was refused. The guest stands
// behind the call of the trampoline.
func (c *Context) badUnwind() Exit {
	k := c.core
	c.fault = &Fault{
		Signal: syscall.SIGILL,
		PC:     uint32(k.regs.RIP),
		Kind:   FaultControlUnwind,
		Regs:   k.regs,
	}
	return Exit{Reason: ExitFault}
}

// overflow is the fault of an invocation that found no room.
func (c *Context) overflow() Exit {
	k := c.core
	c.fault = &Fault{
		Signal: syscall.SIGSEGV,
		Trap:   trapPage,
		Addr:   k.regs.RSP,
		PC:     uint32(k.regs.RIP),
		Kind:   FaultControlOverflow,
		Regs:   k.regs,
	}
	return Exit{Reason: ExitFault}
}
