package namespace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysFchmodat2 has no wrapper that passes flags on all kernels.
const sysFchmodat2 = 452

// fchmodat2 changes the mode of a name without following a link. It is ENOSYS
// before Linux 6.6.
func fchmodat2(dir int, name string, mode uint32) error {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return unix.EINVAL
	}
	_, _, e := unix.Syscall6(sysFchmodat2, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(mode), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// Utimens sets the times of an open file.
func (h *hostFile) Utimens(ts [2]unix.Timespec) error {
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(h.fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// calls are the four system calls of a transfer: with the file's own position or
// at another, of one piece or of a vector.
type calls struct{ one, oneAt, vec, vecAt uintptr }

var (
	readCalls  = calls{unix.SYS_READ, unix.SYS_PREAD64, unix.SYS_READV, unix.SYS_PREADV}
	writeCalls = calls{unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_PWRITEV}
)

// ReadVec lets the kernel fill memory of a sandbox.
func (h *hostFile) ReadVec(v []IOVec, off int64) (int, error) { return readCalls.do(h.fd, v, off) }

// WriteVec lets the kernel read memory of a sandbox.
func (h *hostFile) WriteVec(v []IOVec, off int64) (int, error) { return writeCalls.do(h.fd, v, off) }

// do makes the call with addresses that are none of Go's.
func (c *calls) do(fd int, v []IOVec, off int64) (int, error) {
	if len(v) == 0 {
		return 0, nil
	}
	for {
		var n uintptr
		var e unix.Errno
		switch {
		case len(v) == 1 && off < 0:
			n, _, e = unix.Syscall(c.one, uintptr(fd), v[0].Addr, v[0].Len)
		case len(v) == 1:
			n, _, e = unix.Syscall6(c.oneAt, uintptr(fd), v[0].Addr, v[0].Len, uintptr(off), 0, 0)
		case off < 0:
			n, _, e = unix.Syscall(c.vec, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
		default:
			// The second half of the offset is for 32-bit kernels.
			n, _, e = unix.Syscall6(c.vecAt, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)), uintptr(off), 0, 0)
		}
		switch e {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}
