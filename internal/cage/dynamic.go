package cage

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/safemem"
)

// DynamicUnit is the granularity in which a Dynamic gets its pages.
const DynamicUnit = 0x10000

// Dynamic is a range of a cage whose code changes while the guest runs. The
// guest sees it read-execute, or not at all; the host alone has a second,
// writable view of the same pages, which lies outside of every cage.
//
// Pages are filled with hlt before the guest can see them.
//
// One in a cage that was made from a Snapshot shows what the snapshot has, until somebody
// wants to write: then it gets pages of its own.
type Dynamic struct {
	c    *Cage
	at   uint32
	size uint64

	mu     sync.Mutex
	closed bool
	frozen bool     // a Snapshot has it: nobody writes any more
	file   *os.File // nil: what the guest sees is a Snapshot's
	view   []byte
	open   []bool // by unit: the guest can see it; while file is nil, others' too
}

// NewDynamic sets n bytes of c aside for dynamic code, at a given offset or, for
// 0, wherever there is room. n and the offset are multiples of DynamicUnit.
//
// This is the second half of the one door for code (C-WX): what is written into
// the view has been validated for the very place where it is written. A test of
// the repository holds the list of callers.
func NewDynamic(c *Cage, at uint32, n uint64) (*Dynamic, error) {
	if n == 0 || n%DynamicUnit != 0 || at%DynamicUnit != 0 || n > Size {
		return nil, ErrInvalid
	}
	d := &Dynamic{c: c, size: n, open: make([]bool, n/DynamicUnit)}
	var err error
	if d.file, d.view, err = dynamicFile(n); err == nil {
		err = d.setAside(at)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// dynamicFile makes the pages, and the one writable view of them that there can be.
func dynamicFile(n uint64) (*os.File, []byte, error) {
	fd, err := unix.MemfdCreate("halite-dynamic", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // kernels before 6.3
		fd, err = unix.MemfdCreate("halite-dynamic", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cage: memfd for dynamic code: %w", err)
	}
	f := os.NewFile(uintptr(fd), "halite-dynamic")
	if err := unix.Ftruncate(fd, int64(n)); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cage: memfd for dynamic code: %w", err)
	}
	p, err := mmap(0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_NORESERVE, fd, 0)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cage: the host's view of dynamic code: %w", err)
	}
	// From here on nobody can make another writable mapping of these pages.
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_FUTURE_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		munmap(p, n)
		f.Close()
		return nil, nil, fmt.Errorf("cage: seal dynamic code: %w", err)
	}
	return f, hostView(p, n), nil
}

// setAside finds the range.
func (d *Dynamic) setAside(at uint32) error {
	c := d.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	start := uint64(at)
	if at == 0 {
		var ok bool
		if start, ok = c.maps.gap(userStart, userEnd, d.size, DynamicUnit); !ok {
			return ErrNoSpace
		}
	} else if start < userStart || start+d.size > userEnd {
		return ErrNoSpace
	} else if !c.maps.free(start, start+d.size) {
		return ErrExists
	}
	if err := c.set(interval{start: start, end: start + d.size, kind: KindDynamic, name: "dynamic code"}, nil); err != nil {
		return err
	}
	d.at = uint32(start)
	c.dynamic = append(c.dynamic, d)
	return nil
}

// Offset returns where the range begins in the sandbox.
func (d *Dynamic) Offset() uint32 { return d.at }

// Len returns the number of bytes set aside.
func (d *Dynamic) Len() uint64 { return d.size }

// Lock gives the caller the writable view until Unlock. Only units that Open was
// called for may be touched. It fails when the cage is closed, or has become a Snapshot.
func (d *Dynamic) Lock() (view []byte, err error) {
	d.mu.Lock()
	if err := d.ready(); err != nil {
		d.mu.Unlock()
		return nil, err
	}
	return d.view, nil
}

// ready makes the view, or says why there is none.
func (d *Dynamic) ready() error {
	switch {
	case d.closed:
		return ErrClosed
	case d.frozen:
		return ErrSnapshot
	case d.file == nil:
		return d.own()
	}
	return nil
}

// Unlock ends what Lock began.
func (d *Dynamic) Unlock() { d.mu.Unlock() }

// Settle waits for who has the view. It is false if the cage is closed.
func (d *Dynamic) Settle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed
}

// Frozen reports whether a Snapshot has what is there, so that it does not change.
func (d *Dynamic) Frozen() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.frozen
}

// CopiedDynamic finds the one that a cage made from a Snapshot has at an offset: nil if
// there is none.
//
// It is as much of a door as NewDynamic is.
func CopiedDynamic(c *Cage, at uint32) *Dynamic {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.dynamic {
		if d.at == at {
			return d
		}
	}
	return nil
}

// own puts pages with the same contents in the place of a Snapshot's. The guest may be
// running: it finds the one or the other, and no gap between them.
//
// Preconditions: d.mu is held.
func (d *Dynamic) own() error {
	f, view, err := dynamicFile(d.size)
	if err != nil {
		return err
	}
	if err := d.replace(f, view); err != nil {
		munmap(hostAddress(view), d.size)
		f.Close()
		return err
	}
	d.file, d.view, d.open = f, view, slices.Clone(d.open)
	return nil
}

func (d *Dynamic) replace(f *os.File, view []byte) error {
	c := d.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	mem := safemem.New(c.base)
	end := uint64(d.at) + d.size
	for _, e := range slices.Clone(c.maps.overlapping(uint64(d.at), end)) {
		if e.image == 0 {
			continue // nothing is there
		}
		lo := e.start - uint64(d.at)
		if err := mem.Read(uint32(e.start), view[lo:lo+e.len()]); err != nil {
			return fmt.Errorf("cage: copy dynamic code at 0x%x: %w", e.start, err)
		}
	}
	for _, e := range slices.Clone(c.maps.overlapping(uint64(d.at), end)) {
		if e.image == 0 {
			continue
		}
		// Elsewhere first: a refusal leaves what is there.
		lo := e.start - uint64(d.at)
		p, err := mmap(0, e.len(), syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_SHARED, int(f.Fd()), int64(lo))
		if err == nil {
			if _, err = mremap(p, e.len(), e.len(), unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, c.base+uintptr(e.start)); err != nil {
				munmap(p, e.len())
			}
		}
		if err != nil {
			return fmt.Errorf("cage: own pages for dynamic code at 0x%x: %w", e.start, err)
		}
	}
	c.maps.update(uint64(d.at), end, func(e *interval) { e.image = 0 })
	return nil
}

// Open lets the guest see the units that bytes [lo, hi) of the range belong to,
// filled with hlt. Units that are open already stay as they are.
//
// Preconditions: the caller holds Lock; lo < hi <= Len.
func (d *Dynamic) Open(lo, hi uint64) error {
	for u := lo / DynamicUnit; u <= (hi-1)/DynamicUnit; u++ {
		if d.open[u] {
			continue
		}
		end := u + 1
		for end <= (hi-1)/DynamicUnit && !d.open[end] {
			end++
		}
		if err := d.openUnits(u*DynamicUnit, end*DynamicUnit); err != nil {
			return err
		}
		for ; u < end; u++ {
			d.open[u] = true
		}
		u--
	}
	return nil
}

func (d *Dynamic) openUnits(lo, hi uint64) error {
	c := d.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	e := interval{
		start: uint64(d.at) + lo, end: uint64(d.at) + hi,
		prot: ProtRead | ProtExec, kind: KindDynamic, charged: true, name: "dynamic code",
	}
	return c.set(e, func() error {
		for b := d.view[lo:hi]; len(b) > 0; b = b[1:] {
			b[0] = hlt
		}
		_, err := mmap(c.base+uintptr(e.start), hi-lo, syscall.PROT_READ|syscall.PROT_EXEC,
			syscall.MAP_SHARED|syscall.MAP_FIXED, int(d.file.Fd()), int64(lo))
		return err
	})
}

// close gives the host's view back. The guest's is the cage's business.
func (d *Dynamic) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.closed = true
	d.dropView()
	if d.file != nil {
		d.file.Close()
	}
}

// dropView is the end of all writing.
func (d *Dynamic) dropView() {
	if d.view != nil {
		munmap(hostAddress(d.view), d.size)
		d.view = nil
	}
}
