package runtime

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A CPULimitError is the end of a domain that has used its CPUBudget.
type CPULimitError struct{ Max time.Duration }

func (e *CPULimitError) Error() string {
	return fmt.Sprintf("halite: the guest has used its processor time, %v", e.Max)
}

// A CPUBudget is the processor time that the guest code of some domains may use
// together. When it is used up, all of them end.
type CPUBudget struct {
	max  time.Duration
	used atomic.Int64 // nanoseconds
}

// NewCPUBudget makes a budget for Config.CPU.
func NewCPUBudget(max time.Duration) *CPUBudget { return &CPUBudget{max: max} }

// Used is what has been used of it, counted in slices of some milliseconds.
func (b *CPUBudget) Used() time.Duration { return time.Duration(b.used.Load()) }

// sample is what the clock has last seen of a thread.
type sample struct {
	look uint64 // number of the look at which it was in the guest
	tid  int    // OS thread
	cpu  int64  // processor time of that, nanoseconds
}

// cpuClock counts processor time in slices. It looks at the threads of all domains
// with a limit at random moments, some milliseconds apart, and charges those that it
// finds in the guest with the time since its last look: with what their OS thread has
// computed since then if they were there before, with all of it otherwise. Calls
// cost nothing, a guest can't foresee the looks, and over many of them the count is
// right.
type cpuClock struct {
	mu      sync.Mutex
	domains map[*Domain]struct{}
	running bool
	looks   uint64
	last    time.Time
}

var clock = cpuClock{domains: map[*Domain]struct{}{}}

// Looks are this far apart, from half to one and a half times.
const cpuSlice = 3 * time.Millisecond

func (c *cpuClock) watch(d *Domain) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.domains[d] = struct{}{}
	if !c.running {
		c.running = true
		c.last = time.Now()
		go c.run()
	}
}

func (c *cpuClock) forget(d *Domain) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.domains, d)
}

func (c *cpuClock) run() {
	for {
		time.Sleep(cpuSlice/2 + rand.N(cpuSlice))
		if !c.look() {
			return
		}
	}
}

// look charges all domains. It is false when there is none, and the clock stops.
func (c *cpuClock) look() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.domains) == 0 {
		c.running = false
		return false
	}
	now := time.Now()
	slice := int64(now.Sub(c.last))
	c.last = now
	c.looks++
	for d := range c.domains {
		if d.ended() {
			delete(c.domains, d)
			continue
		}
		used, b := d.charge(c.looks, slice), d.cfg.CPU
		d.cpu.Add(used)
		if b.used.Add(used) >= int64(b.max) {
			d.End(Ending{Signal: int(unix.SIGXCPU), Err: &CPULimitError{b.max}})
		}
	}
	return true
}

// charge adds up what the threads have computed in a slice.
func (d *Domain) charge(look uint64, slice int64) (sum int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.threads {
		tid, ok := t.running()
		if !ok {
			continue
		}
		cpu := threadCPU(tid)
		used := slice
		if t.seen.look == look-1 && t.seen.tid == tid && cpu > 0 && t.seen.cpu > 0 {
			used = min(used, cpu-t.seen.cpu)
		}
		t.seen = sample{look, tid, cpu}
		sum += used
	}
	return sum
}

// running is engine.Context.Running, for any goroutine.
func (t *Thread) running() (tid int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil {
		return 0, false
	}
	return t.ctx.Running()
}

// threadCPU is the processor time of an OS thread in nanoseconds, 0 if it is gone.
func threadCPU(tid int) int64 {
	var ts unix.Timespec
	// The kernel's numbers of such clocks: the thread's, inverted, and which of
	// its clocks.
	if unix.ClockGettime(int32(^tid<<3|6), &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// Stats are figures about a domain at one moment.
type Stats struct {
	Threads int // that are alive
	Started int // that ever were
	// Memory are the bytes that count against Config.MaxMemory.
	Memory uint64
	// CPU is the processor time of the domain's guest code, counted in slices of some
	// milliseconds where Config.CPU is set, otherwise 0. What the host does for
	// the guest is not in it.
	CPU time.Duration
}

// Stats returns figures about the domain. Safe from any goroutine, also when the domain
// has ended, until Close.
func (d *Domain) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Stats{
		Threads: len(d.threads), Started: d.started,
		Memory: d.cage.MemoryInUse(), CPU: time.Duration(d.cpu.Load()),
	}
}
