package libcshim

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/runtime"
)

// Answers of a call that was cut short; see the runtime's results of these names.
var (
	errRestart              = errors.New("libcshim: make the call again")
	errRestartUnlessHandled = errors.New("libcshim: make the call again if no handler runs")
)

// result makes of what a call returned what the guest gets.
func result(n int64, err error) int64 {
	if err == nil {
		return n
	}
	switch err {
	case errRestart:
		return runtime.Restart
	case errRestartUnlessHandled:
		return runtime.RestartUnlessHandled
	}
	return -int64(errnoOf(err))
}

// errnoOf finds the error number for any error; EIO if it carries none.
func errnoOf(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	var e syscall.Errno
	var c *cage.Error
	switch {
	case errors.Is(err, safemem.ErrFault):
		return unix.EFAULT
	case errors.Is(err, safemem.ErrTooLong):
		return unix.ENAMETOOLONG
	case errors.As(err, &c):
		return c.Errno
	case errors.As(err, &e):
		return e
	case errors.Is(err, runtime.ErrFutexValue):
		return unix.EAGAIN
	case errors.Is(err, runtime.ErrFutexTimeout):
		return unix.ETIMEDOUT
	case errors.Is(err, runtime.ErrThreads), errors.Is(err, runtime.ErrEnded):
		return unix.EAGAIN
	}
	return unix.EIO
}
