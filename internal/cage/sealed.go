package cage

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newMemfd makes a file without a name that can be sealed. flags are those of kernels
// since 6.3, MFD_EXEC or MFD_NOEXEC_SEAL; older ones do not know them, and need them not.
func newMemfd(name string, flags int) (*os.File, error) {
	const common = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, common|flags)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, common)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// seal makes a memfd what nobody can change any more.
func seal(f *os.File) error {
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}
