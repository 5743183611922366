package runtime

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/dyncode"
	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/validator"
)

// Domains of the classic ABI: the calls of Native Client that need nothing but
// threads, clocks and futexes, and its exceptions. Files and memory are a
// Personality's, which has them as a NaClCaller.

// classicState is what a classic domain has beside its threads.
type classicState struct {
	codeEnd    atomic.Uint32 // no entry point is at or above
	handler    atomic.Uint32 // of exceptions, 0: none
	generation atomic.Uint64 // of deletions of code
}

// classicThread is what a thread of such a domain has.
type classicThread struct {
	exceptionStack uint32 // top, 0: the stack that faulted
	inException    bool
	generation     atomic.Uint64 // the last of classicState that it has seen
}

// copyFrom is for a domain that is made from a template.
func (c *classicState) copyFrom(from *classicState) {
	c.codeEnd.Store(from.codeEnd.Load())
	c.handler.Store(from.handler.Load())
	c.generation.Store(from.generation.Load())
}

// copyFrom is for its thread. Deletions that come count it as one that has not checked in.
func (c *classicThread) copyFrom(from *classicThread) {
	c.exceptionStack, c.inException = from.exceptionStack, from.inException
	c.generation.Store(from.generation.Load())
}

const (
	naclLastCall  = 150
	classicNoSlot = 1<<32 - uint64(unix.EINVAL) // what a number that is none returns
	classicPage   = 0x10000
	classicPad    = 8 // below a stack pointer's alignment: the return address
	codeAlign     = 32

	// maxClassicDepth bounds the invocations that a thread can be in at once. Each is
	// a piece of a Go stack, which must not be the guest's to fill.
	maxClassicDepth = 16384
)

var errNoDynamic = errors.New("halite: the program leaves no room for dynamic code")

// SetClassicCode tells where the code of a classic program is: nothing starts at or
// above end, and dynamic code goes from start to end, if that is any room. Call it once,
// before the first thread starts.
func (d *Domain) SetClassicCode(start, end uint32) error {
	d.classic.codeEnd.Store(end)
	if start == end {
		d.dyncode.err = errNoDynamic
		return nil
	}
	r, err := dyncode.New(d.cage, dyncode.Config{
		At: start, Size: uint64(end - start), ABI: validator.Classic, Threads: classicThreads{d},
	})
	if err != nil {
		return err
	}
	d.dyncode.mu.Lock()
	d.dyncode.region = r
	d.dyncode.mu.Unlock()
	return nil
}

// classicDyncode says why there is no region.
//
// Preconditions: d.dyncode.mu is held.
func (d *Domain) classicDyncode() error {
	if d.dyncode.err != nil {
		return d.dyncode.err
	}
	return errors.New("halite: the domain has no program yet")
}

// classicThreads proves that deleted code is out of use as Native Client does: by
// the word of every thread, given with a delete call of its own, in which it is at
// no instruction of any code.
type classicThreads struct{ d *Domain }

// Retire implements dyncode.Threads.
func (c classicThreads) Retire(start, end uint32) (proof func() bool) {
	generation := c.d.classic.generation.Add(1)
	return func() bool {
		c.d.mu.Lock()
		defer c.d.mu.Unlock()
		for _, t := range c.d.threads {
			if t.classic.generation.Load() < generation && !(t.host && t.idle.Load()) {
				return false
			}
		}
		return true
	}
}

// deleteClassic serves the delete call. Whoever makes it has checked in, even with
// nothing to delete.
func (t *Thread) deleteClassic(r *dyncode.Region, dest uint32, size uint64) error {
	checkIn := func() {
		// A state that the host has set aside may be anywhere in the code.
		start, end := r.Extent()
		for _, s := range t.saved {
			if s.RefersTo(start, end) {
				return
			}
		}
		t.classic.generation.Store(t.d.classic.generation.Load())
	}
	if size > 0 && (dest == 0 || uint64(dest)+size > cage.Size) {
		return &dyncode.Error{Op: "delete", Start: dest, Size: size, Errno: unix.EFAULT, Err: errors.New("outside of the sandbox")}
	}
	err := r.Delete(dest, size)
	checkIn()
	if errors.Is(err, unix.EAGAIN) {
		err = r.Delete(dest, size)
	}
	return err
}

// pushReturn puts the address that a function called by the host returns to on top
// of a stack.
func (t *Thread) pushReturn(stack uint32) (uint32, error) {
	if t.ctx.Depth() >= maxClassicDepth {
		return 0, errControlStack
	}
	stack -= 8
	return stack, t.d.mem.Store64(stack, slotBase+slotSize*engine.SlotClassicReturn)
}

// everHost reports whether a trampoline is or was that of a Go function.
func (d *Domain) everHost(i int) bool {
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	return i < d.host.next
}

// jumpTarget reports whether a thread or a handler may start at an address.
func (d *Domain) jumpTarget(pc uint32) bool {
	return pc%codeAlign == 0 && pc < d.classic.codeEnd.Load()
}

// InSandbox reports whether n bytes at an address are inside the sandbox, as Native
// Client asks it: nothing is at 0. Any two numbers may be asked about.
func InSandbox(addr, n uint64) bool { return addr != 0 && addr <= cage.Size && n <= cage.Size-addr }

// classicCall serves a call of a classic guest.
func (t *Thread) classicCall(slot uint32) int64 {
	r := t.ctx.Regs()
	a := [6]uint64{r.RDI, r.RSI, r.RDX, r.RCX, r.R8, r.R9}
	switch {
	case slot <= naclLastCall:
		return t.NaClCall(slot, a)
	case slot >= FirstPersonalSlot && slot <= LastPersonalSlot:
		if c, ok := t.d.person.(NaClCaller); ok {
			return c.NaClCall(t, slot, a)
		}
	}
	return -int64(unix.EINVAL)
}

// NaClCall makes one of Native Client's calls in the name of a thread of a classic
// domain. The arguments have 32 bits; what is above is not looked at.
//
// Preconditions: it is called for a call of the guest, whose result it is to become
// if it is Restart or RestartUnlessHandled.
func (t *Thread) NaClCall(slot uint32, a [6]uint64) int64 {
	for i := range a {
		a[i] = uint64(uint32(a[i]))
	}
	mem, d := t.d.mem, t.d
	switch slot {
	case naclThreadCreate:
		return t.classicThreadCreate(uint32(a[0]), uint32(a[1]), uint32(a[2]), uint32(a[3]))
	case naclTLSInit:
		if !InSandbox(a[0], 4) {
			return -int64(unix.EFAULT)
		}
		t.SetThreadPointer(uint32(a[0]))
		return 0
	case naclTLS2Set:
		t.ctx.SetSecondThreadPointer(uint32(a[0]))
		return 0
	case naclSysconf:
		var value uint32
		switch a[0] {
		case scProcessors:
			value = uint32(runtime.NumCPU())
		case scPageSize:
			value = classicPage
		case scCPUFeatures:
			value = cpuX87 | cpuSSE
			if validator.HostFeatures()&validator.FeatureAVX != 0 {
				value |= cpuAVX
			}
		case scFileAccess, scListMappings:
			value = 1
		case scPNaCl:
		default:
			return -int64(unix.EINVAL)
		}
		return faultOr0(mem.Store32(uint32(a[1]), value))
	case naclGetTimeOfDay:
		now := time.Now()
		return t.putTime(uint32(a[0]), now.Unix(), int64(now.Nanosecond()/1000))
	case naclClock:
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
			return -int64(unix.EINVAL)
		}
		return int64(int32(ts.Nano() / 1000))
	case naclException:
		h, old := uint32(a[0]), uint32(a[1])
		if h != 0 && !d.jumpTarget(h) {
			return -int64(unix.EFAULT)
		}
		if old != 0 && mem.Store32(old, d.classic.handler.Load()) != nil {
			return -int64(unix.EFAULT)
		}
		d.classic.handler.Store(h)
		return 0
	case naclExcStack:
		if a[0]+a[1] > cage.Size {
			return -int64(unix.EINVAL)
		}
		t.classic.exceptionStack = uint32(a[0] + a[1])
		return 0
	case naclExcClear:
		t.classic.inException = false
		return 0
	case naclTestCrash:
		return -int64(unix.EINVAL) // it was there to crash the host
	case naclFutexWaitAbs:
		if !InSandbox(a[0], 4) {
			return -int64(unix.EFAULT)
		}
	}
	return t.naclCallOf(slot, a)
}

// Trampolines above NaCl's numbers that are the Personality's own.
const (
	FirstPersonalSlot = 256
	LastPersonalSlot  = 511
)

// Names of sysconf in the classic ABI beside those that both have.
const (
	scCPUFeatures  = 0x10000
	scFileAccess   = 0x1000000
	scListMappings = 0x1000001
	scPNaCl        = 0x1000002

	cpuX87, cpuSSE, cpuAVX = 1, 2, 4
)

func faultOr0(err error) int64 {
	if err != nil {
		return -int64(unix.EFAULT)
	}
	return 0
}

// putTime stores a timespec or timeval, of which both take 16 bytes.
func (t *Thread) putTime(addr uint32, sec, part int64) int64 {
	var b [16]byte
	le.PutUint64(b[:], uint64(sec))
	le.PutUint64(b[8:], uint64(part))
	return faultOr0(t.d.mem.Write(addr, b[:]))
}

func (t *Thread) classicThreadCreate(pc, sp, tp, tp2 uint32) int64 {
	sp = (sp+classicPad)&^15 - classicPad
	if !t.d.jumpTarget(pc) || sp == 0 || !InSandbox(uint64(tp), 4) {
		return -int64(unix.EFAULT)
	}
	n, err := t.d.NewThread(ThreadConfig{
		Entry: pc, Stack: sp, ThreadPointer: tp, SecondThreadPointer: tp2, Args: []uint64{uint64(sp + 8)},
	})
	if err != nil {
		return -int64(unix.EAGAIN)
	}
	n.Start()
	return 0
}

// The frame of an exception, at the handler's stack pointer: a return address of 0,
// what is known of the fault in full, and again in the form that all processors
// have.
const (
	excFrame    = 232
	excRedZone  = 128
	excContext  = 8 // begins here
	excRegs     = excContext + 64
	excFlags    = excRegs + 136
	excPortable = excContext + 208
)

// deliverException lets a classic guest handle its own fault. It is false if it
// does not want to, or can't: no handler, a fault within a handler, a stack pointer that
// leads nowhere.
func (t *Thread) deliverException() bool {
	h := t.d.classic.handler.Load()
	if h == 0 || !t.ctx.Classic() || t.classic.inException {
		return false
	}
	f := t.ctx.Fault()
	switch f.Signal {
	case unix.SIGSEGV, unix.SIGILL, unix.SIGFPE:
	default:
		return false
	}
	r := f.Regs
	top := t.classic.exceptionStack
	if top == 0 {
		top = uint32(r.RSP) - excRedZone
	}
	sp := (top-(excFrame-classicPad))&^15 - classicPad
	if sp >= top || !InSandbox(uint64(sp), excFrame) {
		return false
	}
	var b [excFrame]byte
	for i, v := range []uint32{220, 208, 12, 62, 144} {
		le.PutUint32(b[excContext+4*i:], v)
	}
	// Such a guest knows its base from r15: these are no secrets.
	for i, v := range []uint64{
		r.RAX, r.RCX, r.RDX, r.RBX, r.RSP, r.RBP, r.RSI, r.RDI,
		r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, uint64(t.ctx.Base()), r.RIP,
	} {
		le.PutUint64(b[excRegs+8*i:], v)
	}
	le.PutUint32(b[excFlags:], uint32(r.RFLAGS))
	for i, v := range []uint64{r.RIP, r.RSP, r.RBP} {
		le.PutUint32(b[excPortable+4*i:], uint32(v))
	}
	if t.d.mem.Write(sp, b[:]) != nil || !t.ctx.Redirect(h, sp, sp+excContext) {
		return false
	}
	t.classic.inException = true
	return true
}
