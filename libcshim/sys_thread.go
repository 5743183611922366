package libcshim

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/runtime"
)

// ldThread is what the linker must know of a thread.
func ldThread(t *runtime.Thread) ld.Thread {
	return ld.Thread{ID: t.TID(), Done: t.Domain().Done()}
}

// Numbers of the private calls that are not the linker's.
const (
	sysThreadSpawn = 0x4010
	sysUnmapExit   = 0x4011
)

// threadSpawn is halite's clone: thread_spawn(fn, stack, arg, tls, ptid, ctid).
// The new thread runs fn(arg) and has the caller's signal mask.
func threadSpawn(k *task, a *args) (int64, error) {
	if a[0]%32 != 0 || a[0] >= cage.Size || a[1] >= cage.Size || a[3] >= cage.Size {
		return 0, unix.EINVAL
	}
	t, err := k.p.dom.NewThread(runtime.ThreadConfig{
		Entry: uint32(a[0]), Stack: uint32(a[1]) &^ 15, ThreadPointer: uint32(a[3]), ClearTID: uint32(a[5]),
		Args: []uint64{a[2]},
	})
	if err != nil {
		return 0, unix.EAGAIN
	}
	k.p.signals.mu.Lock()
	mask := k.sig.mask
	k.p.signals.mu.Unlock()
	t.SetLocal(&task{p: k.p, t: t, name: k.name, sig: taskSignals{mask: mask}})
	if ptid := uint32(a[4]); ptid != 0 {
		if err := k.p.mem.Store32(ptid, uint32(t.TID())); err != nil {
			t.Drop()
			return 0, err
		}
	}
	tid := int64(t.TID())
	t.Start()
	return tid, nil
}

// unmapExit is how a thread leaves that must unmap its own stack.
func unmapExit(k *task, a *args) (int64, error) {
	if off, n, err := guestRange(a[0], a[1]); err == nil {
		_ = k.p.dom.Cage().Unmap(off, n)
	}
	k.t.Exit(0)
	return 0, nil
}

func sysSetTidAddress(k *task, a *args) (int64, error) {
	k.t.SetClearTID(uint32(a[0]))
	return int64(k.t.TID()), nil
}

// Futex operations and flags.
const (
	futexWait        = 0
	futexWake        = 1
	futexRequeue     = 3
	futexCmpRequeue  = 4
	futexWakeOp      = 5
	futexWaitBitset  = 9
	futexWakeBitset  = 10
	futexPrivate     = 128
	futexRealtime    = 256
	futexCommandMask = ^(futexPrivate | futexRealtime)
)

func sysFutex(k *task, a *args) (int64, error) {
	addr, op, val := uint32(a[0]), int32Arg(a[1]), uint32(a[2])
	if addr%4 != 0 {
		return 0, unix.EINVAL
	}
	bitset, shared := ^uint32(0), op&futexPrivate == 0
	switch op & futexCommandMask {
	case futexWaitBitset, futexWakeBitset:
		if bitset = uint32(a[5]); bitset == 0 {
			return 0, unix.EINVAL
		}
	}
	switch op & futexCommandMask {
	case futexWait, futexWaitBitset:
		deadline, _ := k.t.Progress().(time.Time)
		if uint32(a[3]) != 0 && deadline.IsZero() {
			ts, err := k.timespec(a[3])
			switch {
			case err != nil:
				return 0, err
			case op&futexCommandMask == futexWait:
				deadline = time.Now().Add(runtime.Seconds(ts.Sec, ts.Nsec))
			case op&futexRealtime != 0:
				deadline = absolute(unix.CLOCK_REALTIME, ts)
			default:
				deadline = absolute(unix.CLOCK_MONOTONIC, ts)
			}
		}
		err := k.t.FutexWait(addr, shared, val, bitset, deadline)
		if err == runtime.ErrFutexInterrupted {
			if deadline.IsZero() {
				return 0, errRestart
			}
			return 0, k.interrupted(deadline)
		}
		return 0, err
	case futexWake, futexWakeBitset:
		return int64(k.p.dom.FutexWake(addr, shared, count(val), bitset)), nil
	case futexRequeue, futexCmpRequeue:
		target := uint32(a[4])
		if target%4 != 0 || int32(val) < 0 || int32(a[3]) < 0 {
			return 0, unix.EINVAL
		}
		var compare *uint32
		if op&futexCommandMask == futexCmpRequeue {
			v := uint32(a[5])
			compare = &v
		}
		woken, moved, err := k.p.dom.FutexRequeue(addr, shared, int(val), target, int(uint32(a[3])), compare)
		if compare == nil {
			return int64(woken), err
		}
		return int64(woken + moved), err
	case futexWakeOp:
		return k.futexWakeOp(addr, shared, count(val), uint32(a[3]), uint32(a[4]), uint32(a[5]))
	}
	return 0, unix.ENOSYS
}

// count is the number of threads to wake; the kernel takes at least one.
func count(v uint32) int {
	return int(max(1, min(v, math.MaxInt32)))
}

// futexWakeOp changes a second word atomically, wakes the waiters of the first,
// and those of the second if its old value fulfils a condition.
func (k *task) futexWakeOp(addr uint32, shared bool, n int, n2, addr2, code uint32) (int64, error) {
	op, cmp := code>>28&7, code>>24&15
	arg, cmpArg := int32(code<<8)>>20, int32(code<<20)>>20
	if code>>31 != 0 {
		arg = 1 << (arg & 31)
	}
	if addr2%4 != 0 {
		return 0, unix.EINVAL
	}
	mem := k.p.mem
	var old uint32
	for {
		var err error
		if old, err = mem.Load32(addr2); err != nil {
			return 0, err
		}
		var v uint32
		switch op {
		case 0:
			v = uint32(arg)
		case 1:
			v = old + uint32(arg)
		case 2:
			v = old | uint32(arg)
		case 3:
			v = old &^ uint32(arg)
		case 4:
			v = old ^ uint32(arg)
		default:
			return 0, unix.ENOSYS
		}
		ok, err := mem.CompareAndSwap32(addr2, old, v)
		if err != nil {
			return 0, err
		}
		if ok {
			break
		}
	}
	woken := k.p.dom.FutexWake(addr, shared, n, ^uint32(0))
	o := int32(old)
	var hit bool
	switch cmp {
	case 0:
		hit = o == cmpArg
	case 1:
		hit = o != cmpArg
	case 2:
		hit = o < cmpArg
	case 3:
		hit = o <= cmpArg
	case 4:
		hit = o > cmpArg
	case 5:
		hit = o >= cmpArg
	default:
		return 0, unix.ENOSYS
	}
	if hit {
		woken += k.p.dom.FutexWake(addr2, shared, count(n2), ^uint32(0))
	}
	return int64(woken), nil
}

// Commands of membarrier.
const (
	membarrierQuery             = 0
	membarrierPrivate           = 1 << 3
	membarrierRegisterPrivate   = 1 << 4
	membarrierSupportedCommands = membarrierPrivate | membarrierRegisterPrivate
)

// sysMembarrier passes the barrier on to the kernel: the threads of a guest are
// threads of this process.
func sysMembarrier(k *task, a *args) (int64, error) {
	if a[1] != 0 {
		return 0, unix.EINVAL
	}
	switch cmd := int32Arg(a[0]); cmd {
	case membarrierQuery:
		return membarrierSupportedCommands, nil
	case membarrierRegisterPrivate:
		return 0, membarrier(cmd)
	case membarrierPrivate:
		err := membarrier(cmd)
		if err == unix.EPERM { // not registered: the guest need not know
			if err = membarrier(membarrierRegisterPrivate); err == nil {
				err = membarrier(cmd)
			}
		}
		return 0, err
	}
	return 0, unix.EINVAL
}

func membarrier(cmd int) error {
	if _, _, e := unix.Syscall(unix.SYS_MEMBARRIER, uintptr(cmd), 0, 0); e != 0 {
		return e
	}
	return nil
}

// Layout of struct robust_list_head.
const (
	robustHeadSize = 24
	robustOffset   = 8
	robustPending  = 16
	// maxRobust bounds the list; a guest may make a ring of it.
	maxRobust = 2048

	futexTIDMask   = 0x3fffffff
	futexOwnerDied = 0x40000000
	futexWaiters   = 0x80000000
)

func sysSetRobustList(k *task, a *args) (int64, error) {
	if a[1] != robustHeadSize {
		return 0, unix.EINVAL
	}
	k.robust = uint32(a[0])
	return 0, nil
}

func sysGetRobustList(k *task, a *args) (int64, error) {
	if tid := int32Arg(a[0]); tid != 0 && tid != k.t.TID() {
		return 0, unix.EPERM
	}
	if err := k.store64(a[1], uint64(k.robust)); err != nil {
		return 0, err
	}
	return 0, k.store64(a[2], robustHeadSize)
}

// dieRobust marks the robust mutexes that the thread holds as orphaned.
func (k *task) dieRobust() {
	if k.robust == 0 {
		return
	}
	mem := k.p.mem
	head := k.robust
	offset, err := mem.Load64(head + robustOffset)
	if err != nil {
		return
	}
	pending, _ := mem.Load64(head + robustPending)
	entry, err := mem.Load64(head)
	for n := 0; err == nil && uint32(entry) != head && n < maxRobust; n++ {
		next, nextErr := mem.Load64(uint32(entry))
		if uint32(entry) != uint32(pending) {
			k.orphan(uint32(entry) + uint32(offset))
		}
		entry, err = next, nextErr
	}
	if uint32(pending) != 0 {
		k.orphan(uint32(pending) + uint32(offset))
	}
}

func (k *task) orphan(addr uint32) {
	mem := k.p.mem
	for {
		v, err := mem.Load32(addr)
		if err != nil || v&futexTIDMask != uint32(k.t.TID()) {
			return
		}
		ok, err := mem.CompareAndSwap32(addr, v, v&futexWaiters|futexOwnerDied)
		if err != nil {
			return
		}
		if ok {
			if v&futexWaiters != 0 {
				k.p.dom.FutexWake(addr, true, 1, ^uint32(0))
			}
			return
		}
	}
}
