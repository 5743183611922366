package engine

import _ "unsafe" // for linkname

//go:noescape
func enterNear(c *core)

//go:noescape
func enterFar(c *core)

//go:noescape
func addressesNear(h *handlerData) (signalHandler uintptr)

//go:noescape
func addressesFar(h *handlerData) (signalHandler uintptr)

// probe returns %fs, g, and the words at %fs-8, %fs:0 and %fs:16.
//
//go:noescape
func probe(p *[5]uintptr)

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
	enterNear(c)
	exitsyscall()
}

//go:nosplit
//go:noinline
func enterDetachedFar(c *core) {
	entersyscall()
	enterFar(c)
	exitsyscall()
}

// hostState returns what a guest might have left behind; tests look at it.
func hostState() (mxcsr uint32, fcw, fsw uint16, flags uint64)
