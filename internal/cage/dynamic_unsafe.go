package cage

import "unsafe"

// hostView makes a slice of a mapping of the host's, which is no Go memory.
func hostView(p uintptr, n uint64) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), n)
}

func hostAddress(view []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(view))) }
