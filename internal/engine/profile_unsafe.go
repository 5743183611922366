package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Profile makes the guest's instructions known at which SIGPROF stops it, while Go's own
// CPU profile runs. Guests of the classic ABI are not profiled: where their callers are
// is on their own stack.
func (c *Context) Profile() error {
	if c.classic {
		return errors.New("engine: a guest of the classic ABI is not profiled")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.core.samples != 0 {
		return nil
	}
	// Not of Go's heap: the signal handler writes to it.
	addr, _, e := syscall.Syscall6(syscall.SYS_MMAP, 0, sampleBytes, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON, ^uintptr(0), 0)
	if e != 0 {
		return fmt.Errorf("engine: map the samples of a profile: %w", e)
	}
	c.core.samples, c.core.nsamples, c.sampled = addr, 0, 0
	return nil
}

const sampleBytes = 4 * sampleWords * sampleCount

// EachSample calls fn with the stacks that were sampled since the last time, the
// innermost offset first: that of the instruction, then return addresses. fn must not
// keep the slice. lost are those that were overwritten meanwhile. Safe from any
// goroutine.
func (c *Context) EachSample(fn func(stack []uint32)) (lost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.core.samples == 0 {
		return 0
	}
	n := atomic.LoadUint32(&c.core.nsamples)
	if n-c.sampled > sampleCount {
		lost = int(n - c.sampled - sampleCount)
		c.sampled = n - sampleCount
	}
	all := (*[sampleCount][sampleWords]uint32)(ptr(c.core.samples))
	for ; c.sampled != n; c.sampled++ {
		entry := all[c.sampled%sampleCount]
		stack := entry[:0]
		for _, w := range entry {
			if w == sampleEnd {
				break
			}
			if w != sampleStub {
				stack = append(stack, w)
			}
		}
		fn(stack)
	}
	return lost
}

// dropSamples is for Close, which holds mu.
func (c *Context) dropSamples() {
	if c.core.samples != 0 {
		syscall.Syscall(syscall.SYS_MUNMAP, c.core.samples, sampleBytes, 0)
		c.core.samples = 0
	}
}

var _ [-(unsafe.Offsetof(core{}.nsamples) % 4)]byte
