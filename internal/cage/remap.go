package cage

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Remap makes the mapping at off newn bytes long, elsewhere if it must and
// may, and returns where it is (mremap). The old range must lie within one
// mapping. Growth continues a file mapping in the file.
func (c *Cage) Remap(off uint32, oldn, newn uint64, mayMove bool) (uint32, error) {
	start, end, err := span(off, oldn)
	if err != nil {
		return 0, err
	}
	if oldn == 0 || newn == 0 {
		return 0, ErrInvalid
	}
	if newn > Size {
		return 0, ErrNoSpace
	}
	newn = roundUp(newn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, ErrClosed
	}
	if c.maps.hasCode(start, end) {
		return 0, ErrText
	}
	over := c.maps.overlapping(start, end)
	if !over.one(start, end) {
		return 0, &Error{"mremap of what is not one mapping", syscall.EFAULT}
	}
	if over[0].kind == KindReserved {
		return 0, ErrInvalid
	}
	e := over[0]
	oldn = end - start
	switch {
	case newn <= oldn:
		if newn < oldn {
			if err := c.drop(start+newn, end); err != nil {
				return 0, err
			}
		}
		return off, nil
	case e.charged && !c.afford(c.memory+newn-oldn):
		return 0, ErrLimit
	}
	defer c.settle()
	// In place, if what follows is free. A file's next pages are had by
	// moving only: the kernel grows no mapping into our reservation.
	if to := start + newn; to <= userEnd && c.maps.free(end, to) && e.kind == KindAnon {
		grown := e
		grown.start, grown.end, grown.image = end, to, 0
		return off, c.set(grown, func() error {
			_, err := mmap(c.base+uintptr(end), to-end, e.prot.bits(), anonymous|syscall.MAP_FIXED, -1, 0)
			return err
		})
	}
	if !mayMove || e.kind == KindFile && e.image != 0 { // what follows in the file is not at hand
		return 0, ErrNoSpace
	}
	to, ok := c.maps.gap(userStart, userEnd, newn, PageSize)
	if !ok {
		return 0, ErrNoSpace
	}
	undo, err := c.room(len(over) + 2)
	if err != nil {
		return 0, err
	}
	if e.kind == KindAnon {
		err = c.moveAnon(start, oldn, to, newn, e.prot)
	} else {
		err = c.moveFile(start, oldn, to, newn)
	}
	if err != nil {
		undo()
		return 0, fmt.Errorf("cage: move 0x%x bytes from 0x%x to 0x%x: %w", oldn, start, to, err)
	}
	var moved intervals
	for _, e := range over {
		from, till := max(e.start, start), min(e.end, end)
		e.cut(from)
		e.start, e.end = from-start+to, till-start+to
		moved = append(moved, e)
	}
	if e.kind == KindAnon {
		e.start, e.end, e.image = to+oldn, to+newn, 0
		moved = append(moved, e)
	} else {
		moved[0].end = to + newn
	}
	c.maps.remove(start, end)
	for _, e := range moved {
		c.maps.insert(e)
	}
	if e.charged {
		c.memory += newn - oldn
	}
	c.count()
	return uint32(to), nil
}

// one reports whether the entries that touch [start, end) are one mapping to a guest,
// which knows nothing of images.
func (s intervals) one(start, end uint64) bool {
	if len(s) == 0 || s[0].start > start || s[len(s)-1].end < end {
		return false
	}
	for i := 1; i < len(s); i++ {
		a, b := s[i-1], s[i]
		b.image = a.imageAt(b.start)
		if !a.joins(&b) {
			return false
		}
	}
	return true
}

// moveAnon moves pages to a free range and puts zero pages behind them.
func (c *Cage) moveAnon(start, oldn, to, newn uint64, prot Prot) error {
	if _, err := mmap(c.base+uintptr(to), newn, prot.bits(), anonymous|syscall.MAP_FIXED, -1, 0); err != nil {
		return err
	}
	if moved, err := c.movePages(start, to, oldn); err != nil {
		// What did move comes back; then the target is free again.
		c.movePages(to, start, moved)
		mmap(c.base+uintptr(to), newn, 0, anonymous|syscall.MAP_FIXED, -1, 0)
		return err
	}
	_, err := mmap(c.base+uintptr(start), oldn, 0, anonymous|syscall.MAP_FIXED, -1, 0)
	return err
}

// movePages moves pages within the cage without ever leaving a hole:
// MREMAP_DONTUNMAP keeps the source mapped, empty. What is one mapping to us
// may be several to the kernel, which moves only one at a time; so a refused
// range is tried again in halves. It returns how much of the start was moved.
func (c *Cage) movePages(from, to, n uint64) (uint64, error) {
	if n == 0 {
		return 0, nil
	}
	_, err := mremap(c.base+uintptr(from), n, n, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP, c.base+uintptr(to))
	if err == nil {
		return n, nil
	}
	if err != syscall.EFAULT && err != syscall.EINVAL || n == PageSize {
		return 0, err
	}
	half := max(n/2&^(PageSize-1), PageSize)
	moved, err := c.movePages(from, to, half)
	if err != nil {
		return moved, err
	}
	rest, err := c.movePages(from+half, to+half, n-half)
	return half + rest, err
}

// moveFile moves a file mapping to a free range and lets it grow on the way,
// in a place outside of the cage, where the kernel may leave holes. If that
// fails half way, the pages are lost and the guest finds nothing there.
func (c *Cage) moveFile(start, oldn, to, newn uint64) error {
	tmp, err := mmap(0, oldn, 0, anonymous, -1, 0)
	if err != nil {
		return err
	}
	if _, err := mremap(c.base+uintptr(start), oldn, oldn, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED|unix.MREMAP_DONTUNMAP, tmp); err != nil {
		munmap(tmp, oldn)
		return err
	}
	size := oldn
	grown, err := mremap(tmp, oldn, newn, unix.MREMAP_MAYMOVE, 0)
	if err == nil {
		tmp, size = grown, newn
		_, err = mremap(tmp, newn, newn, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, c.base+uintptr(to))
	}
	// Should the kernel refuse this, the guest keeps empty pages there.
	mmap(c.base+uintptr(start), oldn, 0, anonymous|syscall.MAP_FIXED, -1, 0)
	if err != nil {
		munmap(tmp, size)
		c.repair(to, to+newn)
		c.memory -= c.maps.charged(start, start+oldn)
		c.maps.remove(start, start+oldn)
	}
	return err
}
