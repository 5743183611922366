package imc

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Error says which operation failed on which kind of descriptor, and why. It
// unwraps to its Errno.
type Error struct {
	Op    string // what was tried: "send", "receive", "connect", ...
	Kind  Kind
	Errno syscall.Errno
	Why   string // what to know beyond the number; may be empty

	nacl syscall.Errno // what NaCl's calls return, if it is not what NaClErrno makes of Errno
}

func (e *Error) Error() string {
	s := "imc: " + e.Op + " on " + e.Kind.String() + ": "
	if e.Why == "" {
		return s + e.Errno.Error()
	}
	return s + e.Why + " (" + e.Errno.Error() + ")"
}

func (e *Error) Unwrap() error { return e.Errno }

func failure(op string, k Kind, errno syscall.Errno, why string) *Error {
	return &Error{Op: op, Kind: k, Errno: errno, Why: why}
}

// hostFailure keeps the number of an error of the kernel.
func hostFailure(op string, k Kind, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = unix.EIO
	}
	return &Error{Op: op, Kind: k, Errno: errno, nacl: naclHost(errno)}
}

// naclHost keeps the one number of the kernel that NaCl passes on although ours of
// the same name become EIO.
func naclHost(errno syscall.Errno) syscall.Errno {
	if errno == unix.EMSGSIZE {
		return errno
	}
	return 0
}

// NaClErrno is the number that NaCl's IMC calls return for an error of this
// package; those know far fewer numbers. It is 0 for nil.
func NaClErrno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) && e.nacl != 0 {
		return e.nacl
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, os.ErrDeadlineExceeded), !errors.As(err, &errno):
		return unix.EIO
	}
	switch errno {
	case unix.EAGAIN, unix.EBADF, unix.EINVAL, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.EFAULT, unix.EACCES, unix.EOVERFLOW, unix.EPERM, unix.ENOBUFS:
		return errno
	}
	return unix.EIO
}

// Reasons that are compared within the package; each is wrapped on its way out.
var (
	errAgain     = unix.EAGAIN
	errCancelled = errors.New("imc: cancelled") // done was closed; the caller knows why
	errNoBudget  = errors.New("imc: the budget is used up")
)

const (
	whyClosed   = "the handle is closed"
	whyPeer     = "the other end is closed"
	whyRefused  = "nobody can accept: the accepting end is closed"
	whyDeclined = "the other side refused: it accepts no more connections now, or closed the accepting end"
	whyAlone    = "nobody can connect any more: the last connecting end is closed"
	whyFull     = "the queue of the other end is full"
	whyNothing  = "no message is there"
	whyNoCaller = "no connection is waiting"
	whyBudget   = "what the sender may have in queues is used up: messages that nobody received yet, connections that nobody accepted"
	whyLine     = "the line of waiting connections is full"
)

func errClosed(op string, k Kind) error { return failure(op, k, unix.EBADF, whyClosed) }
