package libcshim

import (
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// socketEnd is one end of socketpair(AF_UNIX, SOCK_STREAM): two pipes. Descriptors
// can't be sent. Sockets of the network are hostSocket (net.go).
type socketEnd struct {
	namespace.Unsupported
	in, out *pipe
	// What shutdown closed. Guarded by the pipes' locks.
	inShut, outShut bool
}

func newSocketPair() (a, b *socketEnd) {
	x, y := newPipe(), newPipe()
	return &socketEnd{in: x, out: y}, &socketEnd{in: y, out: x}
}

func (s *socketEnd) Read(p []byte) (int, error) { return s.in.read(p) }

func (s *socketEnd) Write(p []byte) (int, error) {
	s.out.mu.Lock()
	shut := s.outShut
	s.out.mu.Unlock()
	if shut {
		return 0, unix.EPIPE
	}
	return s.out.write(p)
}

func (s *socketEnd) name() string              { return s.in.name() }
func (s *socketEnd) pending() int              { return s.in.pending() }
func (s *socketEnd) watch(t *runtime.Thread)   { s.in.watch(t); s.out.watch(t) }
func (s *socketEnd) unwatch(t *runtime.Thread) { s.in.unwatch(t); s.out.unwatch(t) }

func (s *socketEnd) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 4, Ino: s.in.number, Nlink: 1, Mode: unix.S_IFSOCK | 0o777, Blksize: 4096}, nil
}

func (s *socketEnd) ready(events int16) int16 {
	r := s.in.readReady(events)
	if r&unix.POLLHUP != 0 {
		// The other end is gone: reading finds the end at once.
		r |= events & (unix.POLLIN | pollRdNorm | unix.POLLRDHUP)
	}
	w := s.out.writeReady(events)
	if w&unix.POLLERR != 0 {
		w = w&^unix.POLLERR | events&(unix.POLLOUT|pollWrNorm)
	}
	return r | w
}

func (s *socketEnd) shut(read, write bool) {
	if write {
		s.out.mu.Lock()
		done := s.outShut
		s.outShut = true
		s.out.mu.Unlock()
		if !done {
			_ = s.out.leave(&s.out.writers)
		}
	}
	if read {
		s.in.mu.Lock()
		done := s.inShut
		s.inShut = true
		s.in.mu.Unlock()
		if !done {
			_ = s.in.leave(&s.in.readers)
		}
	}
}

func (s *socketEnd) Close() error {
	s.shut(true, true)
	return nil
}

func sysSocketpair(k *task, a *args) (int64, error) {
	kind := int32Arg(a[1])
	switch {
	case int32Arg(a[0]) == unix.AF_INET || int32Arg(a[0]) == unix.AF_INET6:
		return 0, unix.EOPNOTSUPP
	case int32Arg(a[0]) != unix.AF_UNIX:
		return 0, unix.EAFNOSUPPORT
	case kind&^(unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) != unix.SOCK_STREAM:
		return 0, unix.ESOCKTNOSUPPORT
	case int32Arg(a[2]) != 0 && int32Arg(a[2]) != unix.AF_UNIX:
		return 0, unix.EPROTONOSUPPORT
	}
	x, y := newSocketPair()
	flags := unix.O_RDWR | kind&unix.SOCK_NONBLOCK
	return k.pair(a[3], kind&unix.SOCK_CLOEXEC, newOpenFile(x, "", flags), newOpenFile(y, "", flags))
}

// withSocket is withFile for an end of a pair.
func (k *task) withSocket(fd uint64, f func(o *openFile, s *socketEnd) (int64, error)) (int64, error) {
	return k.withFile(fd, func(o *openFile) (int64, error) {
		s, ok := o.file.(*socketEnd)
		if !ok {
			return 0, unix.ENOTSOCK
		}
		return f(o, s)
	})
}

func (k *task) sendTo(fd uint64, flags int, pieces func() ([]vec, error)) (int64, error) {
	return k.withSocket(fd, func(o *openFile, s *socketEnd) (int64, error) {
		if flags&unix.MSG_OOB != 0 {
			return 0, unix.EOPNOTSUPP
		}
		vecs, err := pieces()
		if err != nil {
			return 0, err
		}
		if flags&unix.MSG_DONTWAIT != 0 && s.ready(unix.POLLOUT)&unix.POLLOUT == 0 {
			return 0, unix.EAGAIN
		}
		n, err := k.writev(o, vecs, ownPosition)
		if err == unix.EPIPE && flags&unix.MSG_NOSIGNAL == 0 {
			k.raise(unix.SIGPIPE)
		}
		return n, err
	})
}

func (k *task) receive(fd uint64, flags int, pieces func() ([]vec, error)) (int64, error) {
	return k.withSocket(fd, func(o *openFile, s *socketEnd) (int64, error) {
		if flags&(unix.MSG_OOB|unix.MSG_ERRQUEUE) != 0 {
			return 0, unix.EOPNOTSUPP
		}
		vecs, err := pieces()
		if err != nil {
			return 0, err
		}
		if flags&unix.MSG_DONTWAIT != 0 && s.ready(unix.POLLIN)&unix.POLLIN == 0 {
			return 0, unix.EAGAIN
		}
		if flags&unix.MSG_PEEK != 0 {
			return k.peek(o, s, vecs)
		}
		return k.readv(o, vecs, ownPosition)
	})
}

// peek copies what is there and leaves it.
func (k *task) peek(o *openFile, s *socketEnd, vecs []vec) (int64, error) {
	if s.ready(unix.POLLIN)&unix.POLLIN == 0 {
		if o.nonblocking() {
			return 0, unix.EAGAIN
		}
		if err := k.waitFor(o, unix.POLLIN); err != nil {
			return 0, err
		}
	}
	s.in.mu.Lock()
	data := append([]byte(nil), s.in.data...)
	s.in.mu.Unlock()
	total := int64(0)
	for _, v := range vecs {
		part := data[:min(uint64(len(data)), v.len)]
		if err := k.p.mem.Write(v.addr, part); err != nil {
			return 0, err
		}
		data = data[len(part):]
		total += int64(len(part))
	}
	return total, nil
}

// hostSocketOf returns the socket of the host behind a descriptor, or nil.
func (k *task) hostSocketOf(fd uint64) *hostSocket {
	o, err := k.p.fds.get(int32Arg(fd))
	if err != nil {
		return nil
	}
	defer o.release()
	s, _ := o.file.(*hostSocket)
	return s
}

func sysSendto(k *task, a *args) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			return k.sendHost(o, s, int32Arg(a[3]), a[4], a[5], k.one(a[1], a[2]))
		})
	}
	return k.sendTo(a[0], int32Arg(a[3]), func() ([]vec, error) {
		if uint32(a[4]) != 0 {
			return nil, unix.EISCONN
		}
		return k.one(a[1], a[2]), nil
	})
}

func sysRecvfrom(k *task, a *args) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			n, from, _, err := k.receiveHost(o, s, int32Arg(a[3]), k.one(a[1], a[2]))
			if err == nil && from != nil {
				err = k.putSockaddr(from, a[4], a[5])
			}
			return n, err
		})
	}
	n, err := k.receive(a[0], int32Arg(a[3]), func() ([]vec, error) { return k.one(a[1], a[2]), nil })
	if err == nil && uint32(a[5]) != 0 {
		err = k.store32(a[5], 0) // nobody has an address
	}
	return n, err
}

// Layout of struct msghdr.
const (
	msghdrSize = 56
	msgNamelen = 8
	msgIov     = 16
	msgIovlen  = 24
	msgControl = 32
	msgCtllen  = 40
	msgFlags   = 48
)

func sysSendmsg(k *task, a *args) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			var b [msghdrSize]byte
			if err := k.read(a[1], b[:]); err != nil {
				return 0, err
			}
			if le.Uint64(b[msgCtllen:]) != 0 {
				return 0, unix.EPERM
			}
			vecs, err := k.iovec(le.Uint64(b[msgIov:]), le.Uint64(b[msgIovlen:]))
			if err != nil {
				return 0, err
			}
			return k.sendHost(o, s, int32Arg(a[2]), le.Uint64(b[:]), uint64(le.Uint32(b[msgNamelen:])), vecs)
		})
	}
	return k.sendTo(a[0], int32Arg(a[2]), func() ([]vec, error) {
		var b [msghdrSize]byte
		if err := k.read(a[1], b[:]); err != nil {
			return nil, err
		}
		if le.Uint64(b[msgCtllen:]) != 0 {
			return nil, unix.EPERM
		}
		return k.iovec(le.Uint64(b[msgIov:]), le.Uint64(b[msgIovlen:]))
	})
}

func sysRecvmsg(k *task, a *args) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			var b [msghdrSize]byte
			if err := k.read(a[1], b[:]); err != nil {
				return 0, err
			}
			vecs, err := k.iovec(le.Uint64(b[msgIov:]), le.Uint64(b[msgIovlen:]))
			if err != nil {
				return 0, err
			}
			n, from, flags, err := k.receiveHost(o, s, int32Arg(a[2]), vecs)
			if err != nil {
				return 0, err
			}
			if name := le.Uint64(b[:]); from != nil && uint32(name) != 0 {
				err = k.putSockaddr(from, name, a[1]+msgNamelen)
			} else {
				err = k.store32(a[1]+msgNamelen, 0)
			}
			if err == nil {
				err = k.store32(a[1]+msgFlags, uint32(flags))
			}
			if err == nil {
				err = k.store64(a[1]+msgCtllen, 0)
			}
			return n, err
		})
	}
	n, err := k.receive(a[0], int32Arg(a[2]), func() ([]vec, error) {
		var b [msghdrSize]byte
		if err := k.read(a[1], b[:]); err != nil {
			return nil, err
		}
		return k.iovec(le.Uint64(b[msgIov:]), le.Uint64(b[msgIovlen:]))
	})
	if err != nil {
		return 0, err
	}
	for _, field := range []uint64{msgNamelen, msgFlags} {
		if err := k.store32(a[1]+field, 0); err != nil {
			return 0, err
		}
	}
	return n, k.store64(a[1]+msgCtllen, 0)
}

func sysShutdown(k *task, a *args) (int64, error) {
	how := int32Arg(a[1])
	if how < unix.SHUT_RD || how > unix.SHUT_RDWR {
		return 0, unix.EINVAL
	}
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(_ *openFile, s *hostSocket) (int64, error) { return 0, unix.Shutdown(s.fd, how) })
	}
	return k.withSocket(a[0], func(_ *openFile, s *socketEnd) (int64, error) {
		s.shut(how != unix.SHUT_WR, how != unix.SHUT_RD)
		return 0, nil
	})
}

func sysGetsockopt(k *task, a *args) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(_ *openFile, s *hostSocket) (int64, error) { return k.getHostOption(s, a) })
	}
	return k.withSocket(a[0], func(*openFile, *socketEnd) (int64, error) {
		if int32Arg(a[1]) != unix.SOL_SOCKET {
			return 0, unix.EOPNOTSUPP
		}
		var v uint32
		switch int32Arg(a[2]) {
		case unix.SO_TYPE:
			v = unix.SOCK_STREAM
		case unix.SO_DOMAIN:
			v = unix.AF_UNIX
		case unix.SO_SNDBUF, unix.SO_RCVBUF:
			v = pipeSize
		case unix.SO_ERROR, unix.SO_PROTOCOL, unix.SO_ACCEPTCONN, unix.SO_REUSEADDR:
		default:
			return 0, unix.ENOPROTOOPT
		}
		n, err := k.p.mem.Load32(uint32(a[4]))
		if err != nil {
			return 0, err
		}
		if n < 4 {
			return 0, unix.EINVAL
		}
		if err := k.store32(a[3], v); err != nil {
			return 0, err
		}
		return 0, k.store32(a[4], 4)
	})
}

// sysSetsockopt accepts what changes nothing here.
func sysSetsockopt(k *task, a *args) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(_ *openFile, s *hostSocket) (int64, error) { return k.setHostOption(s, a) })
	}
	return k.withSocket(a[0], func(*openFile, *socketEnd) (int64, error) {
		if int32Arg(a[1]) != unix.SOL_SOCKET {
			return 0, unix.EOPNOTSUPP
		}
		return 0, nil
	})
}

func sysGetsockname(k *task, a *args) (int64, error) { return k.socketName(a, unix.Getsockname) }
func sysGetpeername(k *task, a *args) (int64, error) { return k.socketName(a, unix.Getpeername) }

// socketName asks a socket of the host; an end of a pair has an address without a name.
func (k *task) socketName(a *args, ask func(int) (unix.Sockaddr, error)) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(_ *openFile, s *hostSocket) (int64, error) {
			addr, err := ask(s.fd)
			if err != nil {
				return 0, err
			}
			return 0, k.putSockaddr(addr, a[1], a[2])
		})
	}
	return k.withSocket(a[0], func(*openFile, *socketEnd) (int64, error) {
		n, err := k.p.mem.Load32(uint32(a[2]))
		if err != nil {
			return 0, err
		}
		var b [2]byte
		le.PutUint16(b[:], unix.AF_UNIX)
		if err := k.write(a[1], b[:min(n, 2)]); err != nil {
			return 0, err
		}
		return 0, k.store32(a[2], 2)
	})
}
