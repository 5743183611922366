package runtime

import (
	"crypto/rand"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
)

// slotLinux is the slot that carries Linux call numbers; see docs/abi.md.
const slotLinux = 1024

// Numbers of NaCl calls that a domain of the halite ABI answers too: those that
// need nothing but threads, clocks and futexes. The argument registers are those
// of a C call; the trampoline has put the fourth into r10.
const (
	naclNull          = 1
	naclExit          = 30
	naclSysconf       = 33
	naclGetPID        = 31
	naclSchedYield    = 32
	naclClockGetRes   = 43
	naclClockGetTime  = 44
	naclNanosleep     = 42
	naclThreadExit    = 81
	naclTLSInit       = 82
	naclThreadNice    = 83
	naclTLSGet        = 84
	naclTLS2Set       = 85
	naclTLS2Get       = 86
	naclDyncodeCreate = 104
	naclDyncodeModify = 105
	naclDyncodeDelete = 106
	naclFutexWaitAbs  = 120
	naclFutexWake     = 121
	naclThreadCreate  = 80
	naclGetTimeOfDay  = 40
	naclClock         = 41
	naclException     = 87
	naclExcStack      = 88
	naclExcClear      = 89
	naclTestCrash     = 110
	naclGetRandom     = 150
	maxRandomPerChunk = 4096
)

// Names that sysconf knows. The page is that of the halite ABI. The last two are
// ours: where dynamic code goes, which in a domain with shared libraries no
// symbol of the linker can tell.
const (
	scProcessors   = 1
	scPageSize     = 2
	scDyncodeStart = 0x100
	scDyncodeEnd   = 0x101
)

// naclCall serves a slot below 1024; what it does not know is the Personality's, if
// that is a NaClCaller, or -ENOSYS. A NaCl
// timespec is 64 bits of seconds, 32 of nanoseconds and 32 of nothing.
func (t *Thread) naclCall(slot uint32) int64 {
	r := t.ctx.Regs()
	return t.naclCallOf(slot, [6]uint64{r.RDI, r.RSI, r.RDX, r.R10, r.R8, r.R9})
}

// naclCallOf is naclCall with the arguments of either ABI.
func (t *Thread) naclCallOf(slot uint32, a [6]uint64) int64 {
	mem := t.d.mem
	switch slot {
	case naclNull:
		return 0
	case naclExit:
		t.d.Exit(int(a[0]))
		return 0
	case naclGetPID:
		return int64(t.d.PID())
	case naclSchedYield:
		runtime.Gosched()
		return 0
	case naclThreadExit:
		if a[0] != 0 {
			_ = mem.Store32(uint32(a[0]), 0) // a bad pointer is ignored
		}
		t.Exit(0)
		return 0
	case naclTLSInit:
		t.SetThreadPointer(uint32(a[0]))
		return 0
	case naclTLSGet:
		return int64(t.ctx.ThreadPointer())
	case naclTLS2Set:
		t.tls2 = uint32(a[0])
		return 0
	case naclTLS2Get:
		return int64(t.tls2)
	case naclThreadNice:
		// Goroutines have no priority; a wish that the original would know
		// is granted, any other is refused with its odd -1.
		switch int32(a[0]) {
		case -5, 0, 5:
			return 0
		}
		return -1
	case naclSysconf:
		var value int32
		switch int32(a[0]) {
		case scProcessors:
			value = int32(runtime.NumCPU())
		case scPageSize:
			value = cage.PageSize
		case scDyncodeStart, scDyncodeEnd:
			r, err := t.d.Dyncode()
			if err != nil {
				return -int64(unix.ENOMEM)
			}
			start, end := r.Extent()
			if value = int32(start); int32(a[0]) == scDyncodeEnd {
				value = int32(end)
			}
		default:
			return -int64(unix.EINVAL)
		}
		if mem.Store32(uint32(a[1]), uint32(value)) != nil {
			return -int64(unix.EFAULT)
		}
		return 0
	case naclClockGetTime, naclClockGetRes:
		if a[0] > unix.CLOCK_THREAD_CPUTIME_ID {
			return -int64(unix.EINVAL)
		}
		var ts unix.Timespec
		get := unix.ClockGettime
		if slot == naclClockGetRes {
			if a[1] == 0 {
				return 0
			}
			get = unix.ClockGetres
		}
		id := int32(a[0])
		if id == unix.CLOCK_THREAD_CPUTIME_ID {
			// A goroutine's OS thread may be another one next time, whose clock may
			// be behind: all threads have the process's.
			id = unix.CLOCK_PROCESS_CPUTIME_ID
		}
		if err := get(id, &ts); err != nil {
			return -int64(unix.EINVAL)
		}
		if mem.Store64(uint32(a[1]), uint64(ts.Sec)) != nil || mem.Store64(uint32(a[1])+8, uint64(ts.Nsec)) != nil {
			return -int64(unix.EFAULT)
		}
		return 0
	case naclNanosleep:
		sec, err1 := mem.Load64(uint32(a[0]))
		nsec, err2 := mem.Load32(uint32(a[0]) + 8)
		if err1 != nil || err2 != nil {
			return -int64(unix.EFAULT)
		}
		if nsec >= 1e9 || int64(sec) < 0 {
			return -int64(unix.EINVAL)
		}
		deadline, ok := t.progress.(time.Time)
		if !ok {
			deadline = time.Now().Add(Seconds(int64(sec), int64(nsec)))
		}
		for {
			switch t.Park(deadline) {
			case TimedOut:
				return 0
			case Interrupted:
				t.progress = deadline
				return RestartUnlessHandled
			}
		}
	case naclDyncodeCreate, naclDyncodeModify:
		return t.naclDyncode(slot, uint32(a[0]), uint32(a[1]), uint32(a[2]))
	case naclDyncodeDelete:
		return t.naclDyncode(slot, uint32(a[0]), 0, uint32(a[1]))
	case naclFutexWaitAbs:
		var deadline time.Time
		if a[2] != 0 {
			sec, err1 := mem.Load64(uint32(a[2]))
			nsec, err2 := mem.Load32(uint32(a[2]) + 8)
			if err1 != nil || err2 != nil {
				return -int64(unix.EFAULT)
			}
			if nsec >= 1e9 && !t.d.cfg.Classic { // the original's runtime takes any
				return -int64(unix.EINVAL)
			}
			deadline = time.Unix(int64(sec), int64(nsec))
		}
		return futexErrno(t.FutexWait(uint32(a[0]), false, uint32(a[1]), ^uint32(0), deadline))
	case naclFutexWake:
		return int64(t.d.FutexWake(uint32(a[0]), false, int(int32(a[1])), ^uint32(0)))
	case naclGetRandom:
		return t.naclRandom(uint32(a[0]), uint32(a[1]))
	}
	if c, ok := t.d.person.(NaClCaller); ok {
		return c.NaClCall(t, slot, a)
	}
	return -errNoSys
}

func (t *Thread) naclRandom(addr, n uint32) int64 {
	var chunk [maxRandomPerChunk]byte
	for n > 0 && !t.Exiting() {
		p := chunk[:min(n, maxRandomPerChunk)]
		_, _ = rand.Read(p) // never fails
		if t.d.mem.Write(addr, p) != nil {
			return -int64(unix.EFAULT)
		}
		addr += uint32(len(p))
		n -= uint32(len(p))
	}
	return 0
}

func futexErrno(err error) int64 {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrFutexValue):
		return -int64(unix.EAGAIN)
	case errors.Is(err, ErrFutexTimeout):
		return -int64(unix.ETIMEDOUT)
	case errors.Is(err, ErrFutexInterrupted):
		return Restart
	}
	return -int64(unix.EFAULT)
}

// Seconds makes a duration of what a guest gave as seconds and nanoseconds. A
// wait that is longer than a duration can be is cut to the longest one (292
// years).
func Seconds(sec, nsec int64) time.Duration {
	const most = time.Duration(1<<63 - 1)
	if sec >= int64(most/time.Second) {
		return most
	}
	return time.Duration(sec)*time.Second + time.Duration(nsec)
}
