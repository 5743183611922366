package engine

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// interruptWhen runs a guest until it is interrupted, which happens once cond
// holds.
func interruptWhen(tb testing.TB, c *Context, cond func() bool) {
	tb.Helper()
	go func() {
		for !cond() {
			time.Sleep(50 * time.Microsecond)
		}
		c.Interrupt()
	}()
	want(tb, c, ExitInterrupt)
}

// TestInterrupt: an endless loop ends, whenever the interrupt comes.
func TestInterrupt(t *testing.T) {
	_, c := newGuest(t)
	for i := range 300 {
		start(c, "spin")
		go func() {
			for range i % 50 * 100 {
				runtime.Gosched()
			}
			c.Interrupt()
		}()
		want(t, c, ExitInterrupt)
		if !c.Interrupted() {
			t.Fatal("interrupted, but not Interrupted")
		}
		want(t, c, ExitInterrupt) // until it is cleared
		c.ClearInterrupt()
		c.Leave()
	}
	if got := call(t, c, "add", 1, 2); got != 3 {
		t.Error(got)
	}
	c.Interrupt() // of what does not run
	start(c, "add", 2, 3)
	want(t, c, ExitInterrupt)
	c.ClearInterrupt()
	want(t, c, ExitReturn)
	if c.Regs().RAX != 5 {
		t.Error(c.Regs().RAX)
	}
}

// TestInterruptedGoesOn: nothing is lost by interruptions.
func TestInterruptedGoesOn(t *testing.T) {
	s, c := newGuest(t)
	s.regs(guestIn).pattern(5)
	start(c, "verify", 3_000_000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Microsecond):
				c.Interrupt()
			}
		}
	})
	n := 0
	for {
		x := c.Resume()
		if x.Reason == ExitInterrupt {
			n++
			c.ClearInterrupt()
			continue
		}
		if x.Reason != ExitReturn || c.Regs().RAX != 0 {
			s.regs(guestOut).differ(t, s.regs(guestIn))
			t.Errorf("%v, result %d, after %d interruptions", x.Reason, c.Regs().RAX, n)
		}
		break
	}
	close(stop)
	wg.Wait()
	if n == 0 && runtime.GOMAXPROCS(0) > 1 {
		t.Error("was never interrupted")
	}
	t.Logf("%d interruptions", n)
}

// TestGC: a guest that computes does not hold the garbage collector.
func TestGC(t *testing.T) {
	n := 2 * runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	var cs []*Context
	for range n {
		_, c := newGuest(t)
		cs = append(cs, c)
		start(c, "spin")
		wg.Go(func() { want(t, c, ExitInterrupt) })
	}
	time.Sleep(5 * time.Millisecond)
	began := time.Now()
	const rounds = 5
	for range rounds {
		runtime.GC()
	}
	each := time.Since(began) / rounds
	for _, c := range cs {
		c.Interrupt()
	}
	wg.Wait()
	t.Logf("garbage collection beside %d guests: %v", n, each)
	if each > 2*time.Second {
		t.Errorf("took %v", each)
	}
}

// TestDeadline: a deadline stops a guest although all processors are busy.
func TestDeadline(t *testing.T) {
	n := 2*runtime.GOMAXPROCS(0) + 1
	var wg sync.WaitGroup
	for range n {
		_, c := newGuest(t)
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			defer context.AfterFunc(ctx, c.Interrupt)()
			began := time.Now()
			start(c, "spin")
			want(t, c, ExitInterrupt)
			if d := time.Since(began); d > 2*time.Second {
				t.Errorf("a deadline of 20 ms took %v", d)
			}
		})
	}
	wg.Wait()
}

func TestInterruptLatency(t *testing.T) {
	for _, detach := range []bool{false, true} {
		testInterruptLatency(t, detach)
	}
}

func testInterruptLatency(t *testing.T, detach bool) {
	_, c := newGuest(t)
	c.SetDetached(detach)
	var all []time.Duration
	for range 100 {
		start(c, "spin")
		at := make(chan time.Time, 1)
		go func() {
			time.Sleep(time.Millisecond)
			at <- time.Now()
			c.Interrupt()
		}()
		want(t, c, ExitInterrupt)
		all = append(all, time.Since(<-at))
		c.ClearInterrupt()
		c.Leave()
	}
	slices.Sort(all)
	t.Logf("interrupt to exit, detached %v: median %v, p90 %v, max %v", detach, all[50], all[90], all[99])
	if runtime.GOMAXPROCS(0) > 1 && all[50] > 50*time.Millisecond {
		t.Errorf("median %v", all[50])
	}
}

// TestManyContexts: a thousand guest threads in one sandbox, each blocking in
// turn in a call of the host.
func TestManyContexts(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	s := newSandbox(t)
	chans := make([]chan int, n+1)
	for i := range chans {
		chans[i] = make(chan int)
	}
	for i := range n {
		c := s.context(ContextOptions{ControlStackSize: 8192})
		c.SetThreadPointer(uint32(i))
		tp := "tpnear"
		if ThreadPointerDisp() != 0x10 {
			tp = "tpfar"
		}
		go func() {
			start(c, "calls", 1)
			want(t, c, ExitCall)
			v := <-chans[i]
			want(t, c, ExitReturn)
			if got := call(t, c, tp); got != uint64(i) {
				t.Errorf("thread pointer of thread %d is %d", i, got)
			}
			chans[i+1] <- v + 1
		}()
	}
	chans[0] <- 0
	if got := <-chans[n]; got != n {
		t.Errorf("ring of %d came back with %d", n, got)
	}
}

// TestIgnoredSignals: what becomes of a program that ignores SIGURG. In a
// process of its own, because Go loses track of a signal that it has sent and
// never sees.
func TestIgnoredSignals(t *testing.T) {
	if os.Getenv("HALITE_CHILD") != "ignore" {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestIgnoredSignals$", "-test.count=3")
		cmd.Env = append(os.Environ(), "HALITE_CHILD=ignore")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	s, c := newGuest(t)
	signal.Ignore(syscall.SIGURG)
	if _, err := NewContext(s.Base(), ContextOptions{}); err == nil || !strings.Contains(err.Error(), "ignored") {
		t.Errorf("with SIGURG ignored: %v", err)
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGURG, syscall.SIGUSR1)
	defer signal.Stop(ch)
	s.context(ContextOptions{})
	var act ksigaction
	if err := sigaction(syscall.SIGURG, nil, &act); err != nil || act.handler != machine.signal {
		t.Errorf("the handler is not ours: %v", err)
	}
	if got := call(t, c, "add", 1, 2); got != 3 {
		t.Error(got)
	}
	if runtime.GOMAXPROCS(0) == 1 {
		return
	}
	start(c, "spin")
	go func() {
		time.Sleep(2 * time.Millisecond)
		c.Interrupt()
	}()
	want(t, c, ExitInterrupt)
}

// TestCloseInterrupt: an interrupt that comes late hurts nobody.
func TestCloseInterrupt(t *testing.T) {
	s := newSandbox(t)
	for range 200 {
		c, err := NewContext(s.Base(), ContextOptions{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			for range 20 {
				c.Interrupt()
			}
			close(done)
		}()
		start(c, "add", 1, 2)
		c.Resume()
		c.Close()
		<-done
	}
	c := s.context(ContextOptions{})
	if got := call(t, c, "add", 1, 2); got != 3 {
		t.Error(got)
	}
}

// TestStorm: signals of all kinds hit guests that watch their registers.
func TestStorm(t *testing.T) {
	d := 2 * time.Second
	if testing.Short() {
		d = 300 * time.Millisecond
	}
	if v, err := time.ParseDuration(os.Getenv("HALITE_SOAK")); err == nil {
		d = v
	}
	storm(t, d)
}

func storm(t *testing.T, d time.Duration) {
	ch := make(chan os.Signal, 100)
	signal.Notify(ch, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(ch)
	var stop atomic.Bool
	time.AfterFunc(d, func() { stop.Store(true) })
	var wg, shooters sync.WaitGroup
	var runs, faults, interrupts, calls, shots atomic.Int64
	var watched [4]*Context
	for i := range watched {
		s, c := newGuest(t)
		s.regs(guestIn).pattern(uint64(i) << 8)
		watched[i] = c
		if i < 2 {
			if err := c.Profile(); err != nil {
				t.Fatal(err)
			}
		}
		if i%2 == 1 {
			c.SetServer(func(uint32) bool {
				if calls.Add(1)%8 == 0 {
					runtime.Gosched()
				}
				return !c.Interrupted()
			})
		}
		wg.Go(func() {
			for !stop.Load() {
				for _, name := range []string{"verify", "verifycalls"} {
					start(c, name, 2000)
					for {
						x := c.Resume()
						switch x.Reason {
						case ExitCall:
							calls.Add(1)
							if calls.Load()%8 == 0 {
								runtime.Gosched()
							}
							continue
						case ExitInterrupt:
							interrupts.Add(1)
							c.ClearInterrupt()
							noHostAddress(t, c, s.regs(guestIn))
							continue
						case ExitReturn:
							if c.Regs().RAX != 0 {
								s.regs(guestOut).differ(t, s.regs(guestIn))
								t.Errorf("%s: a register changed", name)
								return
							}
						default:
							t.Errorf("%s: %v %v", name, x.Reason, c.Fault())
							return
						}
						break
					}
					runs.Add(1)
				}
				start(c, []string{"illegal", "read", "recurse", "x87fault"}[runs.Load()%4])
				if x := c.Resume(); x.Reason == ExitFault {
					faults.Add(1)
				} else if x.Reason != ExitInterrupt {
					t.Errorf("fault: %v", x.Reason)
				}
				c.ClearInterrupt()
				c.Leave()
			}
		})
	}
	// Interrupts that hit whatever runs.
	s, victim := newGuest(t)
	_ = s
	wg.Go(func() {
		for !stop.Load() {
			start(victim, "spin")
			want(t, victim, ExitInterrupt)
			victim.ClearInterrupt()
			victim.Leave()
			interrupts.Add(1)
		}
	})
	shooters.Go(func() {
		for !stop.Load() {
			victim.Interrupt()
			time.Sleep(100 * time.Microsecond)
		}
		for range 100 { // the last spin must end too
			victim.Interrupt()
			time.Sleep(time.Millisecond)
		}
	})
	shooters.Go(func() {
		for i := 0; !stop.Load(); i++ {
			watched[i%len(watched)].Interrupt()
			for range i % 40 {
				runtime.Gosched()
			}
		}
	})
	shooters.Go(func() {
		runtime.LockOSThread()
		self := syscall.Gettid()
		signals := []syscall.Signal{syscall.SIGURG, syscall.SIGUSR1, syscall.SIGURG, syscall.SIGPROF, syscall.SIGUSR2}
		for i := 0; !stop.Load(); i++ {
			for _, tid := range threads(t) {
				if tid != self {
					syscall.Tgkill(os.Getpid(), tid, signals[i%len(signals)])
					shots.Add(1)
				}
			}
			for range i % 20 {
				runtime.Gosched()
			}
		}
	})
	shooters.Go(func() {
		for i := 0; !stop.Load(); i++ {
			watched[i%2].EachSample(func(s []uint32) {
				for _, at := range s[1:] { // return addresses are never torn into something else
					if at < 0x20000 || at > 0x40000 {
						t.Errorf("a caller at %#x", at)
					}
				}
			})
			time.Sleep(time.Millisecond)
		}
	})
	shooters.Go(func() {
		for !stop.Load() {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
		}
	})
	shooters.Go(func() {
		for !stop.Load() {
			c, err := makeSandbox()
			if err != nil {
				t.Error(err)
				return
			}
			x, err := NewContext(c.Base(), ContextOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			start(x, "add", 1, 2)
			if x.Resume().Reason == ExitReturn && x.Regs().RAX != 3 {
				t.Errorf("add = %d", x.Regs().RAX)
			}
			x.Close()
			c.Close()
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
	shooters.Wait()
	t.Logf("%d runs, %d faults, %d interrupts, %d calls, %d signals", runs.Load(), faults.Load(), interrupts.Load(), calls.Load(), shots.Load())
	if runs.Load() == 0 || faults.Load() == 0 {
		t.Error("nothing was tested")
	}
}

// noHostAddress: E-ADDR for a guest that was stopped anywhere, be it in the
// middle of a trampoline that is served in assembly.
func noHostAddress(t *testing.T, c *Context, in *guestRegs) {
	r := c.Regs()
	for i, v := range [...]uint64{r.RAX, r.RBX, r.RCX, r.RDX, r.RSI, r.RDI, r.RBP, 0, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.RIP} {
		if v>>32 != 0 && v>>32 != uint64(c.Base())>>32 && !slices.Contains(in.GPR[:], v) {
			t.Errorf("E-ADDR: register %d (%s) is %#x at pc %#x", i, gprNames[i], v, uint32(r.RIP))
		}
	}
}

// threads lists the threads of the process.
func threads(t *testing.T) []int {
	d, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Error(err)
		return nil
	}
	var out []int
	for _, e := range d {
		n := 0
		for _, ch := range e.Name() {
			n = n*10 + int(ch-'0')
		}
		out = append(out, n)
	}
	return out
}

// TestAsyncPreemptOff runs tests in a process in which Go does not preempt by
// signals: guests are detached all the time.
func TestAsyncPreemptOff(t *testing.T) {
	if os.Getenv("HALITE_CHILD") != "" {
		t.Skip("is the child")
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestGC|TestKeep|TestInterrupt$|TestFaults|TestDeadline", "-test.short")
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "HALITE_CHILD=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !asyncPreemptOff("gctrace=1,asyncpreemptoff=1") || asyncPreemptOff("asyncpreemptoff=1,asyncpreemptoff=0") || asyncPreemptOff("") {
		t.Error("GODEBUG is misread")
	}
}
