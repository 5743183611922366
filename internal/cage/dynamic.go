package cage

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// DynamicUnit is the granularity in which a Dynamic gets its pages.
const DynamicUnit = 0x10000

// Dynamic is a range of a cage whose code changes while the guest runs. The
// guest sees it read-execute, or not at all; the host alone has a second,
// writable view of the same pages, which lies outside of every cage.
//
// Pages are filled with hlt before the guest can see them.
type Dynamic struct {
	c    *Cage
	file *os.File
	at   uint32
	size uint64

	mu     sync.Mutex
	closed bool
	view   []byte
	open   []bool // by unit: the guest can see it
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
	fd, err := unix.MemfdCreate("halite-dynamic", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // kernels before 6.3
		fd, err = unix.MemfdCreate("halite-dynamic", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("cage: memfd for dynamic code: %w", err)
	}
	d := &Dynamic{c: c, file: os.NewFile(uintptr(fd), "halite-dynamic"), size: n, open: make([]bool, n/DynamicUnit)}
	if err := d.prepare(at); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *Dynamic) prepare(at uint32) error {
	if err := unix.Ftruncate(int(d.file.Fd()), int64(d.size)); err != nil {
		return fmt.Errorf("cage: memfd for dynamic code: %w", err)
	}
	p, err := mmap(0, d.size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_NORESERVE, int(d.file.Fd()), 0)
	if err != nil {
		return fmt.Errorf("cage: the host's view of dynamic code: %w", err)
	}
	d.view = hostView(p, d.size)
	// From here on nobody can make another writable mapping of these pages.
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_FUTURE_WRITE
	if _, err := unix.FcntlInt(d.file.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("cage: seal dynamic code: %w", err)
	}
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
// called for may be touched. It fails when the cage is closed.
func (d *Dynamic) Lock() (view []byte, err error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, ErrClosed
	}
	return d.view, nil
}

// Unlock ends what Lock began.
func (d *Dynamic) Unlock() { d.mu.Unlock() }

// Opened reports whether the guest can see the unit that byte i belongs to.
func (d *Dynamic) Opened(i uint64) bool { return d.open[i/DynamicUnit] }

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
	if d.view != nil {
		munmap(hostAddress(d.view), d.size)
		d.view = nil
	}
	d.file.Close()
}
