package cage

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Error is a refusal, with the number that a guest's system call returns.
type Error struct {
	Text  string
	Errno syscall.Errno
}

func (e *Error) Error() string { return "cage: " + e.Text }

// Unwrap lets errors.As find the errno.
func (e *Error) Unwrap() error { return e.Errno }

// The refusals. Errors of the kernel itself are wrapped as they are.
var (
	ErrExec      = &Error{"executable memory comes from validated text only", syscall.EACCES}
	ErrText      = &Error{"range holds text or trampolines", syscall.EACCES}
	ErrInvalid   = &Error{"bad range", syscall.EINVAL}
	ErrNoSpace   = &Error{"no room in the sandbox", syscall.ENOMEM}
	ErrLimit     = &Error{"memory limit of the domain reached", syscall.ENOMEM}
	ErrMappings  = &Error{"too many mappings", syscall.ENOMEM}
	ErrExists    = &Error{"something is mapped there already", syscall.EEXIST}
	ErrNotMapped = &Error{"nothing is mapped there", syscall.ENOMEM}
	ErrDynamic   = &Error{"a sandbox with dynamic code can not be copied", syscall.ENOSYS}
	ErrSnapshot  = &Error{"dynamic code that is part of a snapshot does not change", syscall.EACCES}
	ErrShared    = &Error{"shared memory can not be part of a snapshot", syscall.ENOSYS}
	ErrFrozen    = &Error{"a view of a file that is not to be written", syscall.EACCES}
	ErrClosed    = &Error{"the sandbox is closed", syscall.ENOMEM}
)

// Errno returns the errno for err: 0 for nil, EINVAL when err carries none.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var n syscall.Errno
	if errors.As(err, &n) {
		return n
	}
	return syscall.EINVAL
}

// reserveError explains why n bytes of address space could not be had.
func reserveError(err error, n uint64) error {
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_AS, &lim) == nil && lim.Cur != ^uint64(0) {
		return fmt.Errorf("cage: reserve %d GiB of address space: %w (RLIMIT_AS is %d MiB; a sandbox needs %d GiB of addresses, not of memory: raise it with ulimit -v unlimited)",
			n>>30, err, lim.Cur>>20, n>>30)
	}
	return fmt.Errorf("cage: reserve %d GiB of address space: %w (the process may have as many mappings as vm.max_map_count = %d allows)",
		n>>30, err, maxMapCount())
}

func maxMapCount() int {
	b, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n > 0 {
			return n
		}
	}
	return 65530 // the kernel's default
}
