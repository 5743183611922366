package imc

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The two calls that every message makes. They never wait (MSG_DONTWAIT), so the
// scheduler is not told of them; and, other than their wrappers in x/sys, they allocate
// nothing.

// sendPacket sends the pieces as one packet.
func sendPacket(fd int, pieces *[2][]byte, oob []byte) error {
	var iov [2]unix.Iovec
	msg := unix.Msghdr{Iov: &iov[0]}
	for _, p := range pieces {
		if len(p) > 0 {
			iov[msg.Iovlen].Base = &p[0]
			iov[msg.Iovlen].SetLen(len(p))
			msg.Iovlen++
		}
	}
	if len(oob) > 0 {
		msg.Control = &oob[0]
		msg.SetControllen(len(oob))
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if errno != 0 {
		return errno
	}
	return nil
}

// receivePacket receives one packet into the pieces, one after another.
func receivePacket(fd int, pieces *[3][]byte, oob []byte) (n, oobn int, lost bool, err error) {
	var iov [3]unix.Iovec
	msg := unix.Msghdr{Iov: &iov[0]}
	for _, p := range pieces {
		if len(p) > 0 {
			iov[msg.Iovlen].Base = &p[0]
			iov[msg.Iovlen].SetLen(len(p))
			msg.Iovlen++
		}
	}
	msg.Control = &oob[0]
	msg.SetControllen(len(oob))
	r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if errno != 0 {
		return 0, 0, false, errno
	}
	return int(r), int(msg.Controllen), msg.Flags&unix.MSG_CTRUNC != 0, nil
}
