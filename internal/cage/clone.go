package cage

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/safemem"
)

// Clone makes a cage with the same map, limits and contents, as fork does: text
// is the same text, shared memory is shared, private memory is copied as far as
// it was ever touched. A cage with dynamic code can't be cloned (ErrDynamic).
//
// The map stands still meanwhile; contents that threads of the guest change are
// copied in the middle of that, as they are. A page without access that has
// contents can be read by those threads while it is copied.
func (c *Cage) Clone() (*Cage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if len(c.dynamic) > 0 {
		return nil, ErrDynamic
	}
	if len(c.maps) == 0 || c.maps[0].kind != KindTrampolines {
		return nil, ErrInvalid
	}
	n, err := New(Config{Trampolines: c.maps[0].text, Guard: c.guard, MaxMemory: c.maxMemory, MaxMappings: c.maxMappings, Budget: c.budget})
	if err != nil {
		return nil, err
	}
	if err := n.adopt(c); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// adopt fills a new cage with the contents of another, which is locked.
func (n *Cage) adopt(c *Cage) error {
	if !n.afford(c.memory) {
		return ErrLimit
	}
	defer n.settle()
	undo, err := n.room(len(c.maps) - 1)
	if err != nil {
		return err
	}
	defer undo()
	cp := newCopier(c)
	cp.to = n
	defer cp.done()
	for _, e := range c.maps[1:] {
		if e.text != nil && !e.text.retain() {
			return fmt.Errorf("%w: the text was released", ErrInvalid)
		}
		if err := cp.mapping(&e); err != nil {
			if e.text != nil {
				e.text.release()
			}
			return fmt.Errorf("cage: copy 0x%x bytes at 0x%x: %w", e.len(), e.start, err)
		}
		e.image = 0 // copied
		n.maps = append(n.maps, e)
		if e.charged {
			n.memory += e.len()
		}
	}
	return nil
}

// copier copies what a cage holds.
type copier struct {
	from, to *Cage
	mem      safemem.Memory // of from
	pagemap  *os.File
	opened   bool // the mapping that is being copied was made readable
	flags    []byte
	buffer   []byte
}

func newCopier(c *Cage) *copier {
	// Without it, which a kernel's sandbox may keep from us, every page is looked at.
	pages, _ := os.Open("/proc/self/pagemap")
	return &copier{from: c, mem: safemem.New(c.base), pagemap: pages}
}

func (cp *copier) done() {
	if cp.pagemap != nil {
		cp.pagemap.Close()
	}
}

func (cp *copier) mapping(e *interval) error {
	at := cp.to.base + uintptr(e.start)
	switch e.kind {
	case KindReserved, KindRetired:
		return nil // nothing is there
	case KindText:
		_, err := mmap(at, e.len(), syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_SHARED|syscall.MAP_FIXED, e.text.fd(), 0)
		return err
	case KindShared:
		// An old size of 0 makes a second mapping of the same pages. It is made
		// elsewhere first, so that a refusal leaves no hole (C-RESERVED).
		src := cp.from.base + uintptr(e.start)
		p, err := mremap(src, 0, e.len(), unix.MREMAP_MAYMOVE, 0)
		if err != nil {
			return err
		}
		if _, err := mremap(p, e.len(), e.len(), unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, at); err != nil {
			munmap(p, e.len())
			return err
		}
		return mprotect(at, e.len(), e.prot.bits())
	case KindAnon, KindFile:
	default:
		return ErrInvalid
	}
	if _, err := mmap(at, e.len(), syscall.PROT_READ|syscall.PROT_WRITE, anonymous|syscall.MAP_FIXED, -1, 0); err != nil {
		return err
	}
	err := cp.touched(e, func(start, end uint64) error {
		if err := cp.open(e); err != nil {
			return err
		}
		to, size := cp.to.base+uintptr(start), end-start
		// All at once costs less than half of one page fault each. Older kernels say no.
		_ = madvise(to, size, unix.MADV_POPULATE_WRITE)
		return cp.mem.Read(uint32(start), hostView(to, size))
	})
	cp.close(e)
	if err != nil {
		return err
	}
	return mprotect(at, e.len(), e.prot.bits())
}

// open makes a mapping readable that has contents and no access.
func (cp *copier) open(e *interval) error {
	if e.prot&ProtRead != 0 || cp.opened {
		return nil
	}
	if err := mprotect(cp.from.base+uintptr(e.start), e.len(), syscall.PROT_READ); err != nil {
		return err
	}
	cp.opened = true
	return nil
}

// close undoes open.
func (cp *copier) close(e *interval) {
	if cp.opened {
		cp.opened = false
		mprotect(cp.from.base+uintptr(e.start), e.len(), e.prot.bits())
	}
}

// Bits of a word of /proc/self/pagemap.
const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
)

// batch is how many pages are looked up at once.
const batch = 2048

// touched calls f for each range of pages that may hold something but zeroes. Where
// nobody knows which those are, it looks at each; one that can't be read, because its
// file has become shorter, counts as zero.
func (cp *copier) touched(e *interval, f func(start, end uint64) error) error {
	switch {
	case e.image != 0: // also what was only read, or not yet
		return f(e.start, e.end)
	case e.kind == KindFile || cp.pagemap == nil:
		return cp.look(e, e.start, e.end, f)
	}
	if cp.flags == nil {
		cp.flags = make([]byte, 8*batch)
	}
	for at := e.start; at < e.end; {
		count := min((e.end-at)/PageSize, batch)
		flags := cp.flags[:8*count]
		if _, err := cp.pagemap.ReadAt(flags, int64((uint64(cp.from.base)+at)/PageSize*8)); err != nil {
			return cp.look(e, at, e.end, f)
		}
		touched := func(i uint64) bool {
			return binary.NativeEndian.Uint64(flags[8*i:])&(pagePresent|pageSwapped) != 0
		}
		for i := uint64(0); i < count; {
			if !touched(i) {
				i++
				continue
			}
			end := i + 1
			for end < count && touched(end) {
				end++
			}
			if err := f(at+i*PageSize, at+end*PageSize); err != nil {
				return err
			}
			i = end
		}
		at += count * PageSize
	}
	return nil
}

// look finds out by reading.
func (cp *copier) look(e *interval, at, end uint64, f func(start, end uint64) error) error {
	if err := cp.open(e); err != nil {
		return err
	}
	if cp.buffer == nil {
		cp.buffer = make([]byte, PageSize)
	}
	for ; at < end; at += PageSize {
		if cp.mem.Read(uint32(at), cp.buffer) != nil || isZero(cp.buffer) {
			continue
		}
		if err := f(at, at+PageSize); err != nil {
			return err
		}
	}
	return nil
}

func isZero(page []byte) bool {
	for ; len(page) >= 8; page = page[8:] {
		if binary.NativeEndian.Uint64(page) != 0 {
			return false
		}
	}
	return true
}
