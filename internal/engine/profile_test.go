package engine

import (
	"io"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestSamples: where a guest computes, and who called it, is known after a profile.
func TestSamples(t *testing.T) {
	_, c := newGuest(t)
	_, other := newGuest(t)
	if err := c.Profile(); err != nil {
		t.Fatal(err)
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skip("a profile runs already: ", err)
	}
	defer pprof.StopCPUProfile()
	leaf, middle, outer := symbol("profiled2"), symbol("profiled1"), symbol("profiled")
	const enough = 10
	n, lost := 0, 0
	for range 10_000 { // a second or two: signals come every 10 ms of processor time
		if n >= enough {
			break
		}
		call(t, other, "profiled", 1_000_000) // is not profiled
		call(t, c, "profiled", 1_000_000)
		lost += c.EachSample(func(s []uint32) {
			n++
			within := func(i int, f uint32) bool { return i < len(s) && s[i] >= f && s[i] < f+32 }
			if !within(0, leaf) && !within(0, middle) && !within(0, outer) {
				t.Errorf("%#x: not in the function", s)
			}
			if within(0, leaf) && (!within(1, middle) || !within(2, outer) || len(s) != 3) {
				t.Errorf("%#x: callers are not %#x, %#x", s, middle, outer)
			}
		})
	}
	if n < enough || lost != 0 {
		t.Errorf("%d samples, %d lost", n, lost)
	}
	if other.EachSample(func([]uint32) { t.Error("a sample of a guest that is not profiled") }) != 0 {
		t.Error("lost")
	}
	// Signals that find a deep stack, and one that has room for no more.
	start(c, "recurse", 0)
	for x := c.Resume(); x.Reason != ExitFault; x = c.Resume() {
	}
	c.Leave()
	c.EachSample(func(s []uint32) {
		if len(s) > sampleWords {
			t.Errorf("%d frames", len(s))
		}
	})
	// More than there is room for.
	c.core.nsamples += 3 * sampleCount
	n = 0
	if lost := c.EachSample(func([]uint32) { n++ }); lost != 2*sampleCount || n != sampleCount {
		t.Errorf("%d lost, %d there", lost, n)
	}
	_, k := newClassicGuest(t)
	if k.Profile() == nil {
		t.Error("a guest of the classic ABI is profiled")
	}
}

// TestSampledOnce: of the two timers with which Go profiles, the process's counts nothing
// that the thread's counts too.
func TestSampledOnce(t *testing.T) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skip("a profile runs already: ", err)
	}
	pprof.StopCPUProfile()
	_, c := newGuest(t)
	if err := c.Profile(); err != nil {
		t.Fatal(err)
	}
	c.SetDetached(true)
	start(c, "spin")
	done := make(chan Exit)
	go func() { done <- c.Resume() }()
	eventually(t, func() bool { tid, ok := c.Running(); return ok && uint64(tid) != noThread })
	tid, _ := c.Running()
	// meets waits until so many signals have found the guest, and counts the samples.
	meets := func(times uint64, send func()) (n int) {
		t.Helper()
		from := atomic.LoadUint64(&c.core.shadows)
		eventually(t, func() bool {
			send()
			c.EachSample(func([]uint32) { n++ })
			return atomic.LoadUint64(&c.core.shadows)-from >= times
		})
		c.EachSample(func([]uint32) { n++ })
		return n
	}
	every := func(d time.Duration) {
		v := syscall.NsecToTimeval(d.Nanoseconds())
		if err := setProfileTimer([2]syscall.Timeval{v, v}); err != nil {
			t.Fatal(err)
		}
	}
	every(time.Millisecond) // of the processor time of the process
	n := meets(20, func() {})
	every(0)
	if n != 0 {
		t.Errorf("the process's timer is counted %d times", n)
	}
	if n := meets(20, func() { queueProfileSignal(tid) }); n == 0 {
		t.Error("the thread's timer is not counted")
	}
	c.Interrupt()
	if x := <-done; x.Reason != ExitInterrupt {
		t.Errorf("%v", x)
	}
	c.Leave()
}

func eventually(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(end) {
			t.Fatal("not within 20 seconds")
		}
		runtime.Gosched()
	}
}

func setProfileTimer(v [2]syscall.Timeval) error {
	const ofProcess = 2 // ITIMER_PROF
	if _, _, e := syscall.Syscall(syscall.SYS_SETITIMER, ofProcess, uintptr(unsafe.Pointer(&v)), 0); e != 0 {
		return e
	}
	return nil
}

// queueProfileSignal sends what a thread's timer would.
func queueProfileSignal(tid int) {
	const tgsigqueueinfo, ofTimer = 297, -2 // SI_TIMER
	info := [32]int32{int32(syscall.SIGPROF), 0, ofTimer}
	syscall.Syscall6(tgsigqueueinfo, uintptr(syscall.Getpid()), uintptr(tid), uintptr(syscall.SIGPROF), uintptr(unsafe.Pointer(&info)), 0, 0)
}
