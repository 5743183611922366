package loader

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the unit in which the kernel may hand out memory at once.
const hugePage = 2 << 20

// largeBuffer returns n bytes of zeroes. Of a large buffer each page is touched for the
// first time, which costs more than what is done with it: so the kernel is asked for
// huge pages.
func largeBuffer(n int) []byte {
	if n < hugePage/2 {
		return make([]byte, n)
	}
	whole := (n + hugePage*3/4) &^ (hugePage - 1) // a short rest is not worth one
	size := max(n, whole)
	b := make([]byte, size+hugePage)
	head := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (hugePage - 1))
	b = b[head : head+size]
	_ = unix.Madvise(b[:whole], unix.MADV_HUGEPAGE) // advice
	return b[:n:n]
}
