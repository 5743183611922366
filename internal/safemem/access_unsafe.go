package safemem

//lint:file-ignore U1000 some functions are only landing places of the assembly

import (
	"runtime"
	"unsafe"
)

// Results of strlen.
const (
	strFault = 0
	strFound = 1
	strNone  = 2
)

// Each returns the value and 1, or 0 after a fault. The result that tells is
// at the same place in all frames, so that one landing serves them all.

//go:noescape
func load8(addr uintptr) (v uint64, ok uint64)

//go:noescape
func load16(addr uintptr) (v uint64, ok uint64)

//go:noescape
func load32(addr uintptr) (v uint64, ok uint64)

//go:noescape
func load64(addr uintptr) (v uint64, ok uint64)

//go:noescape
func store8(addr uintptr, v uint64) (ok uint64)

//go:noescape
func store16(addr uintptr, v uint64) (ok uint64)

//go:noescape
func store32(addr uintptr, v uint64) (ok uint64)

//go:noescape
func store64(addr uintptr, v uint64) (ok uint64)

// cas32 returns 0 after a fault, 1 if old was not there, 2 if it swapped.
//
//go:noescape
func cas32(addr uintptr, old, new uint32) (ok uint64)

// accessFault is where the functions above land.
func accessFault(addr uintptr, v uint64) (ok uint64)

// copyBytes copies n > 0 bytes and returns 0, or nonzero after a fault.
//
//go:noescape
func copyBytes(dst, src unsafe.Pointer, n uintptr) (left uint64)

// zero clears n > 0 bytes and returns 0, or nonzero after a fault.
//
//go:noescape
func zero(addr, unused, n uintptr) (left uint64)

// copyFault is where copyBytes and zero land.
func copyFault(dst, src, n uintptr) (left uint64)

// strlen looks for a NUL in the n > 0 bytes at addr.
//
//go:noescape
func strlen(addr, n uintptr) (length uintptr, found uint64)

// strlenFault is where strlen lands.
func strlenFault(addr, n uintptr) (length uintptr, found uint64)

// addresses fills in the entry points of the assembly functions.
//
//go:noescape
func addresses(p *[numFuncs]uintptr)

const (
	numAccess = 9
	numFuncs  = numAccess + 1 + 3 + 2
)

//go:nosplit
func copyOut(p []byte, addr uintptr) uint64 {
	return copyBytes(unsafe.Pointer(unsafe.SliceData(p)), guest(addr), uintptr(len(p)))
}

//go:nosplit
func copyIn(addr uintptr, p []byte) uint64 {
	return copyBytes(guest(addr), unsafe.Pointer(unsafe.SliceData(p)), uintptr(len(p)))
}

// guest makes a pointer of an address that is not Go memory.
func guest(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

// Fixup tells the signal handler where to go on when a program counter in
// [Start, End) faults on an access.
type Fixup struct{ Start, End, Landing uintptr }

// Fixups returns the list for the engine's signal handler.
func Fixups() []Fixup {
	var a [numFuncs]uintptr
	addresses(&a)
	var out []Fixup
	add := func(fn, landing uintptr) {
		out = append(out, Fixup{fn, end(fn), landing})
	}
	for _, fn := range a[:numAccess] {
		add(fn, a[numAccess])
	}
	rest := a[numAccess+1:]
	add(rest[0], rest[2]) // copyBytes
	add(rest[1], rest[2]) // zero
	add(rest[3], rest[4]) // strlen
	return out
}

// end returns the address behind the function at pc. The symbol table knows;
// it is part of the pclntab, which strip does not remove.
func end(pc uintptr) uintptr {
	f := runtime.FuncForPC(pc)
	e := pc
	for g := f; g != nil && g.Entry() == f.Entry(); g = runtime.FuncForPC(e) {
		e++
	}
	return e
}
