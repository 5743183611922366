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

// ReadVec lets the kernel fill memory of a sandbox.
func (h *hostFile) ReadVec(v []IOVec, off int64) (int, error) {
	return vectorCall(h.fd, v, off, unix.SYS_READV, unix.SYS_PREADV)
}

// WriteVec lets the kernel read memory of a sandbox.
func (h *hostFile) WriteVec(v []IOVec, off int64) (int, error) {
	return vectorCall(h.fd, v, off, unix.SYS_WRITEV, unix.SYS_PWRITEV)
}

// vectorCall is readv and its kin with addresses that are none of Go's.
func vectorCall(fd int, v []IOVec, off int64, own, at uintptr) (int, error) {
	if len(v) == 0 {
		return 0, nil
	}
	for {
		var n uintptr
		var e unix.Errno
		if off < 0 {
			n, _, e = unix.Syscall(own, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
		} else {
			// The second half of the offset is for 32-bit kernels.
			n, _, e = unix.Syscall6(at, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)), uintptr(off), 0, 0)
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
