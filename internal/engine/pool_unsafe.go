package engine

import (
	"fmt"
	"sync"
	"syscall"
	"unsafe"
)

// A block is one mapping with everything of a Context that is not Go memory:
//
//	guard page | control stack | guard page | core | guard page
//
// call and ret move the stack pointer by one word, so a page is guard enough.
type block struct {
	addr  uintptr
	size  uintptr
	stack uintptr // bytes of control stack
}

const (
	pageSize = 4096
	// pooled blocks at most; more are given back.
	poolSize = 64
	// untouched is how much of a stack stays resident in the pool.
	untouched = 64 << 10
)

var pool struct {
	mu   sync.Mutex
	free []block
}

func (b block) bottom() uintptr { return b.addr + pageSize }
func (b block) top() uintptr    { return b.addr + pageSize + b.stack }
func (b block) core() *core     { return (*core)(ptr(b.top() + pageSize)) }

// ptr makes a pointer of an address that is not Go memory.
func ptr(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

func newBlock(stack uintptr) (block, error) {
	pool.mu.Lock()
	for i := len(pool.free) - 1; i >= 0; i-- {
		if b := pool.free[i]; b.stack == stack {
			pool.free = append(pool.free[:i], pool.free[i+1:]...)
			pool.mu.Unlock()
			*b.core() = core{}
			return b, nil
		}
	}
	pool.mu.Unlock()
	b := block{size: stack + 4*pageSize, stack: stack}
	addr, _, e := syscall.Syscall6(syscall.SYS_MMAP, 0, b.size, syscall.PROT_NONE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE, ^uintptr(0), 0)
	if e != 0 {
		return block{}, fmt.Errorf("engine: map a control stack of %d bytes: %w", stack, e)
	}
	b.addr = addr
	for _, r := range [...][2]uintptr{{b.bottom(), stack}, {b.top() + pageSize, coreSize}} {
		if _, _, e := syscall.Syscall(syscall.SYS_MPROTECT, r[0], r[1], syscall.PROT_READ|syscall.PROT_WRITE); e != 0 {
			b.unmap()
			return block{}, fmt.Errorf("engine: map a control stack of %d bytes: %w (vm.max_map_count may be too low)", stack, e)
		}
	}
	return b, nil
}

func (b block) unmap() { syscall.Syscall(syscall.SYS_MUNMAP, b.addr, b.size, 0) }

// release takes a block that nobody uses any more.
func (b block) release() {
	if b.stack > untouched {
		syscall.Syscall(syscall.SYS_MADVISE, b.bottom(), b.stack-untouched, syscall.MADV_DONTNEED)
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if len(pool.free) < poolSize {
		pool.free = append(pool.free, b)
		return
	}
	b.unmap()
}
