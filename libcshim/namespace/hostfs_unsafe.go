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
	return h.control(func(fd int) error {
		_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if e != 0 {
			return e
		}
		return nil
	})
}
