package loader

import (
	"testing"
	"unsafe"
)

// Whatever its size, a buffer is as long as asked for, zero, and can be written to its
// end and not beyond: what lies behind belongs to others.
func TestLargeBuffer(t *testing.T) {
	for _, n := range []int{
		0, 1, hugePage/2 - 1, hugePage / 2, hugePage/2 + 1, hugePage - 1, hugePage, hugePage + 1,
		hugePage + hugePage/4 - 1, hugePage + hugePage/4, hugePage + hugePage/4 + 1, 2*hugePage - 1, 3*hugePage + 4096,
	} {
		b := largeBuffer(n)
		if len(b) != n || cap(b) != n {
			t.Errorf("%d bytes: length %d, capacity %d", n, len(b), cap(b))
		}
		for i := range b {
			if b[i] != 0 {
				t.Fatalf("%d bytes: byte %d is %#x", n, i, b[i])
			}
			b[i] = 0xff
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b))); n >= hugePage/2 && at%hugePage != 0 {
			t.Errorf("%d bytes begin at %#x, in the middle of a huge page", n, at)
		}
	}
}
