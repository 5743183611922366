package engine

import (
	"syscall"
	"unsafe" // for linkname, too
)

//go:noescape
func enterNear(c *core, x *Context)

//go:noescape
func enterFar(c *core, x *Context)

// serveNear and serveFar are reached from enter alone.
//
//lint:ignore U1000 the declarations are for the collector
func serveNear(c *core, x *Context)

//lint:ignore U1000 likewise
func serveFar(c *core, x *Context)

//go:noescape
func addressesNear(h *handlerData) (signalHandler uintptr)

//go:noescape
func addressesFar(h *handlerData) (signalHandler uintptr)

// probe returns g, and the words at %fs-8, %fs:0 and %fs:16.
//
//go:noescape
func probe(p *[4]uintptr)

// fsBase asks the kernel, which all CPUs and kernels can.
func fsBase() (fs uintptr, err error) {
	const archGetFS = 0x1003
	if _, _, e := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, archGetFS, uintptr(unsafe.Pointer(&fs)), 0); e != 0 {
		return 0, e
	}
	return fs, nil
}

// word returns the word at %fs:i, setWord writes it.
func word(i uintptr) uintptr
func setWord(i, v uintptr)

// segments returns ss and cs as they stand in a signal frame.
func segments() uint64

//go:linkname entersyscall runtime.entersyscall
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
func exitsyscall()

// enterDetached runs the guest as a system call: the scheduler gives the
// processor to other goroutines, and the garbage collector does not wait.
// Between the two calls nothing may split or move the stack.
//
//go:nosplit
//go:noinline
func enterDetachedNear(c *core) {
	entersyscall()
	enterNear(c, nil)
	exitsyscall()
}

//go:nosplit
//go:noinline
func enterDetachedFar(c *core) {
	entersyscall()
	enterFar(c, nil)
	exitsyscall()
}

// HostState returns what a guest might have left behind: SSE and x87 control words, x87
// status, flags. Tests look at it.
func HostState() (mxcsr uint32, fcw, fsw uint16, flags uint64)
