package libcshim

import (
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// socketEnd is one end of socketpair(AF_UNIX, SOCK_STREAM): two pipes, which carry
// descriptors too (rights.go). Sockets of the network are hostSocket (net.go).
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

func (s *socketEnd) Write(p []byte) (int, error) { return s.send(p, nil) }

// send writes; r goes with the first byte.
func (s *socketEnd) send(p []byte, r *rights) (int, error) {
	s.out.mu.Lock()
	shut := s.outShut
	s.out.mu.Unlock()
	if shut {
		return 0, unix.EPIPE
	}
	return s.out.put(p, r)
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

// sendStream sends pieces, and r with the first of them, which it takes over.
func (k *task) sendStream(o *openFile, s *socketEnd, flags int, vecs []vec, r *rights) (int64, error) {
	defer func() { r.drop() }()
	if flags&unix.MSG_OOB != 0 {
		return 0, unix.EOPNOTSUPP
	}
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	var total int64
	for len(vecs) > 0 {
		data, rest, err := k.gather(buf[:], vecs)
		vecs = rest
		for err == nil && len(data) > 0 {
			try := func() (int, error) { return s.send(data, r) }
			var n int
			if flags&unix.MSG_DONTWAIT != 0 {
				n, err = try()
			} else {
				n, err = k.transfer(o, unix.POLLOUT, try)
			}
			if err == nil {
				r = nil
			}
			data = data[n:]
			total += int64(n)
		}
		if err == unix.EPIPE && flags&unix.MSG_NOSIGNAL == 0 && total == 0 {
			k.raise(unix.SIGPIPE)
		}
		if err != nil {
			if total > 0 {
				return total, nil
			}
			return 0, err
		}
	}
	return total, nil
}

// gather copies as much of some pieces as there is room for, and returns what is left of
// them.
func (k *task) gather(buf []byte, vecs []vec) (data []byte, rest []vec, err error) {
	fill := 0
	for len(vecs) > 0 && fill < len(buf) {
		v := &vecs[0]
		n := int(min(v.len, uint64(len(buf)-fill)))
		if err := k.p.mem.Read(v.addr, buf[fill:fill+n]); err != nil {
			return nil, nil, err
		}
		fill += n
		v.addr += uint32(n)
		if v.len -= uint64(n); v.len == 0 {
			vecs = vecs[1:]
		}
	}
	return buf[:fill], vecs, nil
}

// scatter is the way back; data has no more bytes than the pieces.
func (k *task) scatter(data []byte, vecs []vec) (rest []vec, err error) {
	for len(data) > 0 {
		n := min(uint64(len(data)), vecs[0].len)
		if err := k.p.mem.Write(vecs[0].addr, data[:n]); err != nil {
			return nil, err
		}
		data = data[n:]
		vecs[0].addr += uint32(n)
		if vecs[0].len -= n; vecs[0].len == 0 {
			vecs = vecs[1:]
		}
	}
	return vecs, nil
}

// receiveStream receives into pieces what there is, or with MSG_WAITALL all. What
// descriptors came with it the caller takes or drops, also when there is an error.
func (k *task) receiveStream(o *openFile, s *socketEnd, flags int, vecs []vec) (total int64, r *rights, err error) {
	if flags&(unix.MSG_OOB|unix.MSG_ERRQUEUE) != 0 {
		return 0, nil, unix.EOPNOTSUPP
	}
	if flags&unix.MSG_PEEK != 0 {
		if flags&unix.MSG_DONTWAIT != 0 && s.ready(unix.POLLIN)&unix.POLLIN == 0 {
			return 0, nil, unix.EAGAIN
		}
		total, err = k.peek(o, s, vecs)
		return total, nil, err
	}
	var room uint64
	for _, v := range vecs {
		room += v.len
	}
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for uint64(total) < room {
		want := buf[:min(room-uint64(total), chunkSize)]
		try := func() (n int, err error) {
			n, r, err = s.in.take(want)
			return n, err
		}
		var n int
		if flags&unix.MSG_DONTWAIT != 0 {
			n, err = try()
		} else {
			n, err = k.transfer(o, unix.POLLIN, try)
		}
		if err == nil {
			vecs, err = k.scatter(want[:n], vecs)
		}
		if err != nil {
			if total > 0 {
				err = nil
			}
			return total, r, err
		}
		total += int64(n)
		if n == 0 || r != nil || flags&unix.MSG_WAITALL == 0 {
			break
		}
	}
	return total, r, nil
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
			return k.sendUnix(o, s, int32Arg(a[3]), a[4], a[5], k.one(a[1], a[2]), nil)
		})
	}
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			return k.sendHost(o, s, int32Arg(a[3]), a[4], a[5], k.one(a[1], a[2]), nil)
		})
	}
	return k.withSocket(a[0], func(o *openFile, s *socketEnd) (int64, error) {
		if uint32(a[4]) != 0 {
			return 0, unix.EISCONN
		}
		return k.sendStream(o, s, int32Arg(a[3]), k.one(a[1], a[2]), nil)
	})
}

func sysRecvfrom(k *task, a *args) (int64, error) {
	if s := k.datagramsOf(a[0]); s != nil {
		return k.withFile(a[0], func(o *openFile) (int64, error) {
			n, from, r, _, err := k.receiveUnix(o, s, int32Arg(a[3]), k.one(a[1], a[2]))
			r.drop()
			if err == nil {
				err = k.putSender(from, a[4], a[5])
			}
			return n, err
		})
	}
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			n, from, _, _, err := k.receiveHost(o, s, int32Arg(a[3]), k.one(a[1], a[2]))
			if err == nil && from != nil {
				err = k.putSockaddr(from, a[4], a[5])
			}
			return n, err
		})
	}
	n, err := k.withSocket(a[0], func(o *openFile, s *socketEnd) (int64, error) {
		n, r, err := k.receiveStream(o, s, int32Arg(a[3]), k.one(a[1], a[2]))
		r.drop()
		return n, err
	})
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
	b, vecs, err := k.message(a[1])
	if err != nil {
		return 0, err
	}
	flags := int32Arg(a[2])
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			control, err := k.hostControlIn(b)
			if err != nil {
				return 0, err
			}
			if s.kind != unix.SOCK_DGRAM {
				control = nil // means nothing to a stream, and x/sys would send a byte for it
			}
			return k.sendHost(o, s, flags, le.Uint64(b), uint64(le.Uint32(b[msgNamelen:])), vecs, control)
		})
	}
	if s := k.datagramsOf(a[0]); s != nil {
		return k.withFile(a[0], func(o *openFile) (int64, error) {
			r, err := k.rightsIn(b)
			if err != nil {
				return 0, err
			}
			return k.sendUnix(o, s, flags, le.Uint64(b), uint64(le.Uint32(b[msgNamelen:])), vecs, r)
		})
	}
	return k.withSocket(a[0], func(o *openFile, s *socketEnd) (int64, error) {
		r, err := k.rightsIn(b)
		if err != nil {
			return 0, err
		}
		return k.sendStream(o, s, flags, vecs, r)
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

func sysRecvmsg(k *task, a *args) (int64, error) {
	b, vecs, err := k.message(a[1])
	if err != nil {
		return 0, err
	}
	flags := int32Arg(a[2])
	cloexec := flags&unix.MSG_CMSG_CLOEXEC != 0
	flags &^= unix.MSG_CMSG_CLOEXEC
	c, name := k.controlRoom(b), le.Uint64(b)
	if k.hostSocketOf(a[0]) != nil {
		return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
			n, from, control, got, err := k.receiveHost(o, s, flags, vecs)
			if err != nil {
				return 0, err
			}
			if from != nil && uint32(name) != 0 {
				err = k.putSockaddr(from, name, a[1]+msgNamelen)
			} else {
				err = k.store32(a[1]+msgNamelen, 0)
			}
			if err == nil {
				err = c.hostControlOut(control)
			}
			if err == nil {
				err = c.done(a[1], got)
			}
			return n, err
		})
	}
	if s := k.datagramsOf(a[0]); s != nil {
		return k.withFile(a[0], func(o *openFile) (int64, error) {
			n, from, r, got, err := k.receiveUnix(o, s, flags, vecs)
			if err == nil {
				err = k.putSender(from, name, a[1]+msgNamelen)
			}
			return n, k.received(c, r, cloexec, a[1], got, err)
		})
	}
	return k.withSocket(a[0], func(o *openFile, s *socketEnd) (int64, error) {
		n, r, err := k.receiveStream(o, s, flags, vecs)
		if err == nil {
			err = k.store32(a[1]+msgNamelen, 0)
		}
		return n, k.received(c, r, cloexec, a[1], 0, err)
	})
}

// received completes a struct msghdr of a Unix socket: descriptors become the guest's
// last, when nothing else can fail.
func (k *task) received(c *controlOut, r *rights, cloexec bool, at uint64, flags int, err error) error {
	defer r.drop()
	if err == nil {
		err = c.receive(r, cloexec)
	}
	if err == nil {
		err = c.done(at, flags)
	}
	return err
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
