package runtime

import (
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	sigIll  = int(unix.SIGILL)
	sigKill = int(unix.SIGKILL)
	sigAbrt = int(unix.SIGABRT)
	sigSegv = int(unix.SIGSEGV)

	errNoSys = int64(unix.ENOSYS)
)

// SignalName gives a signal's name, "SIGSEGV", or "signal 40".
func SignalName(n int) string {
	if s := unix.SignalName(unix.Signal(n)); s != "" {
		return s
	}
	return fmt.Sprintf("signal %d", n)
}
