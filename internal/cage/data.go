package cage

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Data is contents in a memfd that nobody can change any more. Cages that map it share
// its pages until they write to them, and then have their own. The creator and whoever
// else calls Retain hold a reference each; cages need none.
type Data struct {
	file *os.File
	size uint64
	refs atomic.Int64
}

// NewData seals contents: the parts one behind the other, each of which begins a page.
func NewData(parts ...[]byte) (*Data, error) {
	f, err := newMemfd("halite-data", unix.MFD_NOEXEC_SEAL)
	if err != nil {
		return nil, fmt.Errorf("cage: data: %w", err)
	}
	d := &Data{file: f}
	d.refs.Store(1)
	for _, p := range parts {
		if _, err = f.WriteAt(p, int64(d.size)); err != nil {
			break
		}
		d.size += roundUp(uint64(len(p)))
	}
	if err == nil {
		err = f.Truncate(int64(d.size))
	}
	if err == nil {
		err = seal(f)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cage: data: %w", err)
	}
	return d, nil
}

// Len returns the bytes that the data takes up, a multiple of the page size.
func (d *Data) Len() uint64 { return d.size }

// Retain takes one more reference.
//
// Preconditions: the caller knows of one that is not given up meanwhile.
func (d *Data) Retain() { d.refs.Add(1) }

// Release gives a reference up. Cages keep what they have mapped.
func (d *Data) Release() {
	if d.refs.Add(-1) == 0 {
		d.file.Close()
	}
}

// MapData maps n bytes of d from at, a multiple of the page size, as a private copy.
// The range must be free of code.
//
// Preconditions: the caller holds a reference.
func (c *Cage) MapData(off uint32, n uint64, prot Prot, d *Data, at uint64) error {
	if at%PageSize != 0 || n > d.size || at > d.size-n {
		return ErrInvalid
	}
	_, err := c.place(off, n, prot, Fixed, func(start, end uint64) error {
		e := interval{start: start, end: end, prot: prot, kind: KindFile, charged: prot&ProtWrite != 0, at: at}
		return c.set(e, func() error {
			_, err := mmap(c.base+uintptr(start), end-start, prot.bits(), syscall.MAP_PRIVATE|syscall.MAP_NORESERVE|syscall.MAP_FIXED, int(d.file.Fd()), int64(at))
			return err
		})
	})
	return err
}
