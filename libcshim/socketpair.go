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
	// Names of the two ends, if they came about by connect.
	local, remote string
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
	case kind&^(unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) != unix.SOCK_STREAM && kind&^(unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) != unix.SOCK_DGRAM:
		return 0, unix.ESOCKTNOSUPPORT
	case int32Arg(a[2]) != 0 && int32Arg(a[2]) != unix.AF_UNIX:
		return 0, unix.EPROTONOSUPPORT
	}
	flags := unix.O_RDWR | kind&unix.SOCK_NONBLOCK
	if kind&^(unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) == unix.SOCK_DGRAM {
		x, y := &unixSocket{t: k.p.tree, kind: unix.SOCK_DGRAM}, &unixSocket{t: k.p.tree, kind: unix.SOCK_DGRAM}
		x.peer, y.peer = y, x
		return k.pair(a[3], kind&unix.SOCK_CLOEXEC, newOpenFile(x, "", flags), newOpenFile(y, "", flags))
	}
	x, y := newSocketPair()
	return k.pair(a[3], kind&unix.SOCK_CLOEXEC, newOpenFile(x, "", flags), newOpenFile(y, "", flags))
}

// withSocket is withFile for an end of a pair.
func (k *task) withSocket(fd uint64, f func(o *openFile, s *socketEnd) (int64, error)) (int64, error) {
	return k.withFile(fd, func(o *openFile) (int64, error) {
		switch s := o.file.(type) {
		case *socketEnd:
			return f(o, s)
		case *unixSocket:
			if end := s.connected(); end != nil {
				return f(o, end)
			}
			return 0, unix.ENOTCONN
		}
		return 0, unix.ENOTSOCK
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

// datagramsOf returns the Unix socket for datagrams behind a descriptor, or nil.
func (k *task) datagramsOf(fd uint64) *unixSocket {
	o, err := k.p.fds.get(int32Arg(fd))
	if err != nil {
		return nil
	}
	defer o.release()
	if s, ok := o.file.(*unixSocket); ok && s.kind == unix.SOCK_DGRAM {
		return s
	}
	return nil
}

func sysSendto(k *task, a *args) (int64, error) {
	if s := k.datagramsOf(a[0]); s != nil {
		return k.withFile(a[0], func(o *openFile) (int64, error) {
			return k.sendUnix(o, s, int32Arg(a[3]), a[4], a[5], k.one(a[1], a[2]))
		})
	}
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
	if s := k.datagramsOf(a[0]); s != nil {
		return k.withFile(a[0], func(o *openFile) (int64, error) {
			n, from, _, err := k.receiveUnix(o, s, int32Arg(a[3]), k.one(a[1], a[2]))
			if err == nil {
				err = k.putSender(from, a[4], a[5])
			}
			return n, err
		})
	}
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
	if s := k.datagramsOf(a[0]); s != nil {
		return k.withFile(a[0], func(o *openFile) (int64, error) {
			b, vecs, err := k.message(a[1])
			if err != nil {
				return 0, err
			}
			if le.Uint64(b[msgCtllen:]) != 0 {
				return 0, unix.EPERM
			}
			return k.sendUnix(o, s, int32Arg(a[2]), le.Uint64(b), uint64(le.Uint32(b[msgNamelen:])), vecs)
		})
	}
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			b, vecs, err := k.message(a[1])
			if err != nil {
				return 0, err
			}
			if le.Uint64(b[msgCtllen:]) != 0 {
				return 0, unix.EPERM
			}
			return k.sendHost(o, s, int32Arg(a[2]), le.Uint64(b), uint64(le.Uint32(b[msgNamelen:])), vecs)
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

// message reads a struct msghdr and the pieces that it names.
func (k *task) message(at uint64) ([]byte, []vec, error) {
	b := make([]byte, msghdrSize)
	if err := k.read(at, b); err != nil {
		return nil, nil, err
	}
	vecs, err := k.iovec(le.Uint64(b[msgIov:]), le.Uint64(b[msgIovlen:]))
	return b, vecs, err
}

// received completes a struct msghdr.
func (k *task) received(at uint64, flags int, err error) error {
	if err == nil {
		err = k.store32(at+msgFlags, uint32(flags))
	}
	if err == nil {
		err = k.store64(at+msgCtllen, 0)
	}
	return err
}

func sysRecvmsg(k *task, a *args) (int64, error) {
	if s := k.datagramsOf(a[0]); s != nil {
		return k.withFile(a[0], func(o *openFile) (int64, error) {
			b, vecs, err := k.message(a[1])
			if err != nil {
				return 0, err
			}
			n, from, flags, err := k.receiveUnix(o, s, int32Arg(a[2]), vecs)
			if err != nil {
				return 0, err
			}
			return n, k.received(a[1], flags, k.putSender(from, le.Uint64(b), a[1]+msgNamelen))
		})
	}
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			b, vecs, err := k.message(a[1])
			if err != nil {
				return 0, err
			}
			n, from, flags, err := k.receiveHost(o, s, int32Arg(a[2]), vecs)
			if err != nil {
				return 0, err
			}
			if name := le.Uint64(b); from != nil && uint32(name) != 0 {
				err = k.putSockaddr(from, name, a[1]+msgNamelen)
			} else {
				err = k.store32(a[1]+msgNamelen, 0)
			}
			return n, k.received(a[1], flags, err)
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

// withUnix is withFile for any Unix socket; s is nil for an end of a pair.
func (k *task) withUnix(fd uint64, f func(s *unixSocket) (int64, error)) (int64, error) {
	return k.withFile(fd, func(o *openFile) (int64, error) {
		switch s := o.file.(type) {
		case *socketEnd:
			return f(nil)
		case *unixSocket:
			return f(s)
		}
		return 0, unix.ENOTSOCK
	})
}

func sysGetsockopt(k *task, a *args) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(_ *openFile, s *hostSocket) (int64, error) { return k.getHostOption(s, a) })
	}
	return k.withUnix(a[0], func(s *unixSocket) (int64, error) {
		if int32Arg(a[1]) != unix.SOL_SOCKET {
			return 0, unix.EOPNOTSUPP
		}
		var v uint32
		switch int32Arg(a[2]) {
		case unix.SO_TYPE:
			v = unix.SOCK_STREAM
			if s != nil {
				v = uint32(s.kind)
			}
		case unix.SO_DOMAIN:
			v = unix.AF_UNIX
		case unix.SO_SNDBUF, unix.SO_RCVBUF:
			v = pipeSize
		case unix.SO_ACCEPTCONN:
			if s != nil {
				s.mu.Lock()
				if s.listening {
					v = 1
				}
				s.mu.Unlock()
			}
		case unix.SO_ERROR, unix.SO_PROTOCOL, unix.SO_REUSEADDR:
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
	return k.withUnix(a[0], func(*unixSocket) (int64, error) {
		if int32Arg(a[1]) != unix.SOL_SOCKET {
			return 0, unix.EOPNOTSUPP
		}
		return 0, nil
	})
}

func sysGetsockname(k *task, a *args) (int64, error) {
	return k.socketName(a, false, unix.Getsockname)
}
func sysGetpeername(k *task, a *args) (int64, error) {
	return k.socketName(a, true, unix.Getpeername)
}

// socketName asks a socket of the host; a Unix socket knows its names, and an end
// of a pair has none.
func (k *task) socketName(a *args, remote bool, ask func(int) (unix.Sockaddr, error)) (int64, error) {
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(_ *openFile, s *hostSocket) (int64, error) {
			addr, err := ask(s.fd)
			if err != nil {
				return 0, err
			}
			return 0, k.putSockaddr(addr, a[1], a[2])
		})
	}
	if o, err := k.p.fds.get(int32Arg(a[0])); err == nil {
		defer o.release()
		if u, ok := o.file.(*unixSocket); ok && u.connected() == nil {
			u.mu.Lock()
			name, peer := u.bound, u.peer
			u.mu.Unlock()
			if remote {
				if peer == nil {
					return 0, unix.ENOTCONN
				}
				peer.mu.Lock()
				name = peer.bound
				peer.mu.Unlock()
			}
			return 0, k.putUnixAddress(name, a[1], a[2])
		}
	}
	return k.withSocket(a[0], func(_ *openFile, s *socketEnd) (int64, error) {
		if remote {
			return 0, k.putUnixAddress(s.remote, a[1], a[2])
		}
		return 0, k.putUnixAddress(s.local, a[1], a[2])
	})
}
