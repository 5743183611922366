package runtime

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/dyncode"
	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
)

// dynamicCode is made when somebody first asks for it.
type dynamicCode struct {
	mu     sync.Mutex
	region *dyncode.Region
	err    error // of the classic ABI: there is none, and why
	closed bool  // the sandbox may be another domain's: nothing is set aside any more
}

// Dyncode returns the domain's region for dynamic code, which is set aside when
// it is asked for the first time. A compiler in the host puts code there with
// Create and calls it as any function of the guest; Delete wants DeleteCode.
func (d *Domain) Dyncode() (*dyncode.Region, error) {
	d.dyncode.mu.Lock()
	defer d.dyncode.mu.Unlock()
	if d.dyncode.region == nil {
		if d.dyncode.closed {
			return nil, ErrEnded
		}
		if d.cfg.Classic {
			return nil, d.classicDyncode()
		}
		r, err := dyncode.New(d.cage, dyncode.Config{ThreadPointer: engine.ThreadPointerDisp(), Threads: d})
		if err != nil {
			return nil, err
		}
		d.dyncode.region = r
	}
	return d.dyncode.region, nil
}

// copyCode gives a domain whose sandbox is a copy of a template's the code in it.
func (d *Domain) copyCode(tp *Template) (err error) {
	d.classic.copyFrom(&tp.d.classic)
	d.dyncode.err = tp.d.dyncode.err
	if tp.code == nil {
		return nil
	}
	var threads dyncode.Threads = d
	if d.cfg.Classic {
		threads = classicThreads{d}
	}
	d.dyncode.region, err = tp.code.Copy(d.cage, threads)
	return err
}

// existingDyncode is nil while nobody has asked for the region.
func (d *Domain) existingDyncode() *dyncode.Region {
	d.dyncode.mu.Lock()
	defer d.dyncode.mu.Unlock()
	return d.dyncode.region
}

// DeleteCode is Region.Delete with some patience: where the answer is EAGAIN, the
// threads of the domain are asked what they hold, for some milliseconds. t is the
// guest thread that calls, nil for a goroutine of the host.
func (d *Domain) DeleteCode(t *Thread, at uint32, size uint64) error {
	r, err := d.Dyncode()
	if err != nil {
		return err
	}
	d.Await(t, func() bool {
		err = r.Delete(at, size)
		return !errors.Is(err, unix.EAGAIN)
	})
	return err
}

// metPatch tells whether a fault comes from code that was being modified: then
// the thread goes on where it was.
func (t *Thread) metPatch() bool {
	r := t.d.existingDyncode()
	if r == nil {
		return false
	}
	next, again := r.Retry(uint32(t.ctx.Regs().RIP), t.patched)
	t.patched = next
	return again
}

// naclDyncode serves the three system calls.
func (t *Thread) naclDyncode(slot, dest, src, size uint32) int64 {
	r, err := t.d.Dyncode()
	if err != nil {
		if slot == naclDyncodeCreate && (src == 0 || uint64(src)+uint64(size) > cage.Size) {
			return -int64(unix.EFAULT)
		}
		return -int64(unix.EINVAL) // as where there is no room for dynamic code
	}
	if slot == naclDyncodeDelete {
		if t.d.cfg.Classic {
			return dyncodeErrno(t.deleteClassic(r, dest, uint64(size)))
		}
		return dyncodeErrno(t.d.DeleteCode(t, dest, uint64(size)))
	}
	defer r.Admit(uint64(size))()
	if t.Exiting() {
		return 0 // it may have waited for a while
	}
	switch slot {
	case naclDyncodeModify:
		if size == 0 {
			return 0
		}
		if dest == 0 || uint64(dest)+uint64(size) > cage.Size {
			return -int64(unix.EFAULT)
		}
		var code []byte
		if code, err = t.readCode(r, src, size); err != nil {
			return -int64(unix.EFAULT)
		}
		if code == nil {
			return -int64(unix.EFAULT) // larger than any piece
		}
		err = r.Modify(dest, code)
	case naclDyncodeCreate:
		var code []byte
		if code, err = t.readCode(r, src, size); err != nil {
			return -int64(unix.EFAULT)
		}
		if code == nil {
			if dest%validatorBundle != 0 || size%validatorBundle != 0 {
				return -int64(unix.EINVAL)
			}
			return -int64(unix.EFAULT) // larger than the region
		}
		err = r.Create(dest, code)
	}
	return dyncodeErrno(err)
}

const validatorBundle = 32

// readCode makes the private copy of new code. It is nil, without an error, where
// the code is larger than the region: then only the ends are looked at.
func (t *Thread) readCode(r *dyncode.Region, src, size uint32) ([]byte, error) {
	var one [1]byte
	if src == 0 || uint64(src)+uint64(size) > cage.Size {
		return nil, unix.EFAULT
	}
	start, end := r.Extent()
	if size > end-start {
		if err := t.d.mem.Read(src, one[:]); err != nil {
			return nil, err
		}
		return nil, t.d.mem.Read(src+size-1, one[:])
	}
	code := make([]byte, size)
	return code, t.d.mem.Read(src, code)
}

func dyncodeErrno(err error) int64 {
	var e *dyncode.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return -int64(e.Errno)
	}
	return -int64(unix.EINVAL)
}
