package libcshim

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/runtime"
)

// cpuTime is the CPU time that the host process has used.
func cpuTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// isCPUClock reports whether a clock counts CPU time, and is negative numbers'
// business too (those of other processes and threads).
func isCPUClock(id int) bool {
	return id == unix.CLOCK_PROCESS_CPUTIME_ID || id == unix.CLOCK_THREAD_CPUTIME_ID || id < 0
}

// clock reads a clock of the guest.
func (p *Process) clock(id int) (unix.Timespec, error) {
	if isCPUClock(id) {
		return unix.NsecToTimespec(int64(cpuTime() - p.cpu0)), nil
	}
	switch id {
	case unix.CLOCK_REALTIME, unix.CLOCK_REALTIME_COARSE:
		// Go reads these without a system call.
		now := time.Now()
		return unix.Timespec{Sec: now.Unix(), Nsec: int64(now.Nanosecond())}, nil
	case unix.CLOCK_MONOTONIC, unix.CLOCK_MONOTONIC_COARSE:
		return unix.NsecToTimespec(p.monotonic0 + int64(time.Since(p.started))), nil
	case unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_BOOTTIME, unix.CLOCK_TAI:
		var ts unix.Timespec
		err := unix.ClockGettime(int32(id), &ts)
		return ts, err
	}
	return unix.Timespec{}, unix.EINVAL
}

func sysClockGettime(k *task, a *args) (int64, error) {
	ts, err := k.p.clock(int32Arg(a[0]))
	if err != nil {
		return 0, err
	}
	return 0, k.putTimespec(a[1], ts.Sec, ts.Nsec)
}

func sysClockGetres(k *task, a *args) (int64, error) {
	if _, err := k.p.clock(int32Arg(a[0])); err != nil {
		return 0, err
	}
	if uint32(a[1]) == 0 {
		return 0, nil
	}
	res := int64(1)
	if id := int32Arg(a[0]); id == unix.CLOCK_REALTIME_COARSE || id == unix.CLOCK_MONOTONIC_COARSE {
		res = 4e6
	}
	return 0, k.putTimespec(a[1], 0, res)
}

func sysClockSettime(k *task, a *args) (int64, error) { return 0, unix.EPERM }

func sysGettimeofday(k *task, a *args) (int64, error) {
	now := time.Now()
	if uint32(a[0]) != 0 {
		if err := k.putTimespec(a[0], now.Unix(), int64(now.Nanosecond()/1000)); err != nil {
			return 0, err
		}
	}
	if uint32(a[1]) != 0 {
		return 0, k.store64(a[1], 0) // struct timezone: UTC
	}
	return 0, nil
}

func sysTime(k *task, a *args) (int64, error) {
	now := time.Now().Unix()
	if uint32(a[0]) != 0 {
		if err := k.store64(a[0], uint64(now)); err != nil {
			return 0, err
		}
	}
	return now, nil
}

// sleep waits for the deadline; rem, when not 0, is told what is left when a
// handler cuts it short.
func (k *task) sleep(deadline time.Time, rem uint64) (int64, error) {
	for {
		switch k.t.Park(deadline) {
		case runtime.TimedOut:
			return 0, nil
		case runtime.Interrupted:
			if rem != 0 {
				left := max(time.Until(deadline), 0)
				if err := k.putTimespec(rem, int64(left/time.Second), int64(left%time.Second)); err != nil {
					return 0, err
				}
			}
			return 0, k.interrupted(deadline)
		}
	}
}

func sysNanosleep(k *task, a *args) (int64, error) {
	ts, err := k.timespec(a[0])
	if err != nil {
		return 0, err
	}
	return k.sleep(k.until(ts), uint64(uint32(a[1])))
}

func sysClockNanosleep(k *task, a *args) (int64, error) {
	id := int32Arg(a[0])
	if id == unix.CLOCK_THREAD_CPUTIME_ID {
		return 0, unix.EINVAL
	}
	if _, err := k.p.clock(id); err != nil {
		return 0, err
	}
	ts, err := k.timespec(a[2])
	if err != nil {
		return 0, err
	}
	const timerAbstime = 1
	if a[1]&timerAbstime == 0 {
		return k.sleep(k.until(ts), uint64(uint32(a[3])))
	}
	if isCPUClock(id) {
		return 0, unix.EOPNOTSUPP
	}
	deadline, ok := k.t.Progress().(time.Time)
	if !ok {
		deadline = absolute(id, ts)
	}
	return k.sleep(deadline, 0)
}

// Layout of struct tms, and its unit.
const clockTicks = 100

func sysTimes(k *task, a *args) (int64, error) {
	used := cpuTime() - k.p.cpu0
	if uint32(a[0]) != 0 {
		var b [32]byte
		le.PutUint64(b[0:], uint64(used/(time.Second/clockTicks)))
		if err := k.write(a[0], b[:]); err != nil {
			return 0, err
		}
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &up); err != nil {
		return 0, err
	}
	return up.Nano() / (1e9 / clockTicks), nil
}

// Layout of struct rusage.
const rusageSize = 144

func sysGetrusage(k *task, a *args) (int64, error) {
	who := int32Arg(a[0])
	if who != unix.RUSAGE_SELF && who != unix.RUSAGE_THREAD && who != unix.RUSAGE_CHILDREN {
		return 0, unix.EINVAL
	}
	var b [rusageSize]byte
	if who != unix.RUSAGE_CHILDREN {
		used := cpuTime() - k.p.cpu0
		le.PutUint64(b[0:], uint64(used/time.Second))
		le.PutUint64(b[8:], uint64(used%time.Second/time.Microsecond))
		le.PutUint64(b[32:], k.p.dom.Cage().MemoryInUse()/1024)
	}
	return 0, k.write(a[1], b[:])
}
