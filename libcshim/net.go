package libcshim

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

// A NetworkUse is what a guest wants to do with a socket.
type NetworkUse struct {
	// Op is "bind", "connect" or "send" for what the guest names, and "accept"
	// or "receive" for who wants something of it.
	Op      string
	Network string         // "tcp" or "udp"
	Address netip.AddrPort // IPv4 in IPv6 is IPv4 here
}

// A NetworkPolicy decides about one use; it may be called from several goroutines.
// A use that it refuses is EACCES for the guest; an incoming connection is
// closed and a datagram dropped.
type NetworkPolicy func(NetworkUse) bool

// Loopback allows the host's own loopback addresses and nothing else.
func Loopback(u NetworkUse) bool { return u.Address.Addr().IsLoopback() }

// AnyNetwork allows everything that the host's process may do.
func AnyNetwork(NetworkUse) bool { return true }

// hostSocket is a TCP or UDP socket of the host, always non-blocking, whose
// every address has gone through the policy. The guest chooses nothing else that
// the kernel sees, but options on a list.
type hostSocket struct {
	namespace.Unsupported
	fd      int
	family  int
	kind    int // unix.SOCK_STREAM or SOCK_DGRAM
	allowed NetworkPolicy
}

func (s *hostSocket) hostFD() int  { return s.fd }
func (s *hostSocket) name() string { return "socket:[host]" }
func (s *hostSocket) Close() error { return unix.Close(s.fd) }

func (s *hostSocket) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 4, Ino: uint64(s.fd), Nlink: 1, Mode: unix.S_IFSOCK | 0o777, Blksize: 4096}, nil
}

func (s *hostSocket) pending() int {
	n, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

func (s *hostSocket) Read(p []byte) (int, error) {
	n, _, _, err := s.receive(p, nil, 0)
	return n, err
}

func (s *hostSocket) Write(p []byte) (int, error) {
	return retryEINTR(func() (int, error) { return unix.SendmsgN(s.fd, p, nil, nil, unix.MSG_NOSIGNAL) })
}

// receive gets one piece or datagram, with its ancillary data in control; those of
// senders that the policy refuses are not there.
func (s *hostSocket) receive(p, control []byte, flags int) (n, controlled int, from unix.Sockaddr, err error) {
	for {
		n, err = retryEINTR(func() (n int, err error) {
			n, controlled, _, from, err = unix.Recvmsg(s.fd, p, control, flags|unix.MSG_DONTWAIT)
			return n, err
		})
		if err != nil || s.kind != unix.SOCK_DGRAM || s.may("receive", from) {
			return n, controlled, from, err
		}
		if flags&unix.MSG_PEEK != 0 {
			_, _, _ = unix.Recvfrom(s.fd, nil, unix.MSG_DONTWAIT)
		}
	}
}

func (s *hostSocket) may(op string, a unix.Sockaddr) bool {
	network := "tcp"
	if s.kind == unix.SOCK_DGRAM {
		network = "udp"
	}
	addr, ok := addrPort(a)
	return ok && s.allowed(NetworkUse{op, network, addr})
}

func addrPort(a unix.Sockaddr) (netip.AddrPort, bool) {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), true
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), true
	}
	return netip.AddrPort{}, false
}

// sockaddr reads an address of the socket's family.
func (k *task) sockaddr(s *hostSocket, at, length uint64) (unix.Sockaddr, error) {
	n := uint32(length)
	if n < 2 || n > 128 {
		return nil, unix.EINVAL
	}
	b := make([]byte, n)
	if err := k.read(at, b); err != nil {
		return nil, err
	}
	if int(le.Uint16(b)) != s.family {
		return nil, unix.EAFNOSUPPORT
	}
	switch {
	case s.family == unix.AF_INET && n >= 16:
		a := &unix.SockaddrInet4{Port: int(b[2])<<8 | int(b[3])}
		copy(a.Addr[:], b[4:])
		return a, nil
	case s.family == unix.AF_INET6 && n >= 24:
		a := &unix.SockaddrInet6{Port: int(b[2])<<8 | int(b[3])}
		copy(a.Addr[:], b[8:])
		if n >= 28 {
			a.ZoneId = le.Uint32(b[24:])
		}
		return a, nil
	}
	return nil, unix.EINVAL
}

// putSockaddr writes an address and its length, as far as there is room.
func (k *task) putSockaddr(a unix.Sockaddr, at, length uint64) error {
	if uint32(at) == 0 || uint32(length) == 0 {
		return nil
	}
	var b []byte
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		b = make([]byte, 16)
		le.PutUint16(b, unix.AF_INET)
		b[2], b[3] = byte(a.Port>>8), byte(a.Port)
		copy(b[4:], a.Addr[:])
	case *unix.SockaddrInet6:
		b = make([]byte, 28)
		le.PutUint16(b, unix.AF_INET6)
		b[2], b[3] = byte(a.Port>>8), byte(a.Port)
		copy(b[8:], a.Addr[:])
		le.PutUint32(b[24:], a.ZoneId)
	}
	room, err := k.p.mem.Load32(uint32(length))
	if err != nil {
		return err
	}
	if err := k.write(at, b[:min(int(room), len(b))]); err != nil {
		return err
	}
	return k.store32(length, uint32(len(b)))
}

func sysSocket(k *task, a *args) (int64, error) {
	family, kind, protocol := int32Arg(a[0]), int32Arg(a[1]), int32Arg(a[2])
	flags := kind & (unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK)
	kind &^= flags
	if family == unix.AF_UNIX {
		switch {
		case kind < 0 || kind > unix.SOCK_PACKET:
			return 0, unix.EINVAL
		case kind != unix.SOCK_STREAM && kind != unix.SOCK_DGRAM:
			return 0, unix.ESOCKTNOSUPPORT
		case protocol != 0 && protocol != unix.AF_UNIX:
			return 0, unix.EPROTONOSUPPORT
		}
		return k.newFD(&unixSocket{t: k.p.tree, kind: kind}, unix.O_RDWR, flags)
	}
	if k.p.cfg.Network == nil {
		return 0, unix.EACCES
	}
	switch {
	case family != unix.AF_INET && family != unix.AF_INET6:
		return 0, unix.EAFNOSUPPORT
	case kind == unix.SOCK_STREAM && (protocol == 0 || protocol == unix.IPPROTO_TCP):
	case kind == unix.SOCK_DGRAM && (protocol == 0 || protocol == unix.IPPROTO_UDP || protocol == unix.IPPROTO_UDPLITE):
	case kind == unix.SOCK_STREAM || kind == unix.SOCK_DGRAM:
		return 0, unix.EPROTONOSUPPORT
	default:
		return 0, unix.EPERM // raw and packet sockets
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return 0, err
	}
	return k.newFD(&hostSocket{fd: fd, family: family, kind: kind, allowed: k.p.cfg.Network}, unix.O_RDWR, flags)
}

// withHostSocket is withFile for a socket of the host.
func (k *task) withHostSocket(fd uint64, f func(o *openFile, s *hostSocket) (int64, error)) (int64, error) {
	return k.withFile(fd, func(o *openFile) (int64, error) {
		switch s := o.file.(type) {
		case *hostSocket:
			return f(o, s)
		case *socketEnd:
			return 0, unix.EINVAL // a connected pair
		}
		return 0, unix.ENOTSOCK
	})
}

// asUnix serves a call on a Unix socket; ok tells whether it is one.
func (k *task) asUnix(fd uint64, f func(o *openFile, s *unixSocket) (int64, error)) (n int64, err error, ok bool) {
	o, err := k.p.fds.get(int32Arg(fd))
	if err != nil {
		return 0, err, true
	}
	defer o.release()
	s, ok := o.file.(*unixSocket)
	if !ok {
		return 0, nil, false
	}
	n, err = f(o, s)
	return n, err, true
}

func sysBind(k *task, a *args) (int64, error) {
	if n, err, ok := k.asUnix(a[0], func(_ *openFile, s *unixSocket) (int64, error) { return k.bindUnix(s, a) }); ok {
		return n, err
	}
	return k.withHostSocket(a[0], func(_ *openFile, s *hostSocket) (int64, error) {
		addr, err := k.sockaddr(s, a[1], a[2])
		if err != nil {
			return 0, err
		}
		if !s.may("bind", addr) {
			return 0, unix.EACCES
		}
		return 0, unix.Bind(s.fd, addr)
	})
}

func sysListen(k *task, a *args) (int64, error) {
	if n, err, ok := k.asUnix(a[0], func(_ *openFile, s *unixSocket) (int64, error) { return 0, s.listen() }); ok {
		return n, err
	}
	return k.withHostSocket(a[0], func(_ *openFile, s *hostSocket) (int64, error) {
		if s.kind != unix.SOCK_STREAM {
			return 0, unix.EOPNOTSUPP
		}
		// Listening without an address would take one that nobody was asked about.
		at, err := unix.Getsockname(s.fd)
		if err != nil {
			return 0, err
		}
		if !s.may("bind", at) {
			return 0, unix.EACCES
		}
		return 0, unix.Listen(s.fd, int32Arg(a[1]))
	})
}

func sysAccept(k *task, a *args) (int64, error) { return k.accept(a, 0) }
func sysAccept4(k *task, a *args) (int64, error) {
	flags := int32Arg(a[3])
	if flags&^(unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) != 0 {
		return 0, unix.EINVAL
	}
	return k.accept(a, flags)
}

func (k *task) accept(a *args, flags int) (int64, error) {
	if n, err, ok := k.asUnix(a[0], func(o *openFile, s *unixSocket) (int64, error) { return k.acceptUnix(o, s, a, flags) }); ok {
		return n, err
	}
	return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
		var from unix.Sockaddr
		fd, err := k.transfer(o, unix.POLLIN, func() (int, error) {
			for {
				fd, sa, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
				switch {
				case err == unix.EINTR:
				case err != nil:
					return 0, err
				case !s.may("accept", sa):
					_ = unix.Close(fd)
				default:
					from = sa
					return fd, nil
				}
			}
		})
		if err != nil {
			return 0, err
		}
		n, err := k.newFD(&hostSocket{fd: fd, family: s.family, kind: s.kind, allowed: s.allowed}, unix.O_RDWR, flags)
		if err != nil {
			return 0, err
		}
		if err := k.putSockaddr(from, a[1], a[2]); err != nil {
			k.drop(int(n))
			return 0, err
		}
		return n, nil
	})
}

func sysConnect(k *task, a *args) (int64, error) {
	if n, err, ok := k.asUnix(a[0], func(_ *openFile, s *unixSocket) (int64, error) { return k.connectUnix(s, a) }); ok {
		return n, err
	}
	return k.withHostSocket(a[0], func(o *openFile, s *hostSocket) (int64, error) {
		addr, err := k.sockaddr(s, a[1], a[2])
		if err != nil {
			return 0, err
		}
		if !s.may("connect", addr) {
			return 0, unix.EACCES
		}
		err = unix.Connect(s.fd, addr)
		if err == unix.EINTR || err == unix.EALREADY && k.t.Progress() == connecting {
			err = unix.EINPROGRESS // the second turn of a call that a signal cut short
		}
		if err == unix.EISCONN && k.t.Progress() == connecting {
			return 0, nil
		}
		if err != unix.EINPROGRESS || o.nonblocking() {
			return 0, err
		}
		if err := k.waitFor(o, unix.POLLOUT); err != nil {
			k.t.SetProgress(connecting)
			return 0, err
		}
		// Asked again, the kernel tells how it ended.
		return 0, unix.Connect(s.fd, addr)
	})
}

// connecting marks a call of connect that is made again.
type progress string

const connecting progress = "connecting"

// sendHost sends pieces; to is the address, or 0. The ancillary data is that of hostControlIn.
func (k *task) sendHost(o *openFile, s *hostSocket, flags int, to, toLen uint64, vecs []vec, control []byte) (int64, error) {
	const known = unix.MSG_OOB | unix.MSG_DONTROUTE | unix.MSG_DONTWAIT | unix.MSG_EOR | unix.MSG_NOSIGNAL | unix.MSG_MORE | unix.MSG_CONFIRM
	if flags&^known != 0 {
		return 0, unix.EOPNOTSUPP
	}
	var addr unix.Sockaddr
	if uint32(to) != 0 && s.kind == unix.SOCK_DGRAM {
		var err error
		if addr, err = k.sockaddr(s, to, toLen); err != nil {
			return 0, err
		}
		if !s.may("send", addr) {
			return 0, unix.EACCES
		}
	}
	size := uint64(0)
	for _, v := range vecs {
		size += v.len
	}
	if s.kind == unix.SOCK_DGRAM && size > 65535 {
		return 0, unix.EMSGSIZE
	}
	var total int64
	for first := true; first || len(vecs) > 0; first = false {
		var buf []byte
		for len(vecs) > 0 && len(buf) < chunkSize {
			n := int(min(vecs[0].len, uint64(chunkSize-len(buf))))
			at := len(buf)
			buf = append(buf, make([]byte, n)...)
			if err := k.read(uint64(vecs[0].addr), buf[at:]); err != nil {
				return total, err
			}
			vecs[0].addr += uint32(n)
			if vecs[0].len -= uint64(n); vecs[0].len == 0 {
				vecs = vecs[1:]
			}
		}
		for {
			try := func() (int, error) {
				return retryEINTR(func() (int, error) {
					return unix.SendmsgN(s.fd, buf, control, addr, flags|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
				})
			}
			var n int
			var err error
			if flags&unix.MSG_DONTWAIT != 0 {
				n, err = try()
			} else {
				n, err = k.transfer(o, unix.POLLOUT, try)
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
			total += int64(n)
			if buf = buf[n:]; len(buf) == 0 {
				break
			}
			if o.nonblocking() || flags&unix.MSG_DONTWAIT != 0 {
				return total, nil
			}
		}
	}
	return total, nil
}

// receiveHost receives into pieces and returns the sender of a message, its ancillary data and
// its flags.
func (k *task) receiveHost(o *openFile, s *hostSocket, flags int, vecs []vec) (n int64, from unix.Sockaddr, control []byte, got int, err error) {
	const known = unix.MSG_OOB | unix.MSG_PEEK | unix.MSG_TRUNC | unix.MSG_WAITALL | unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if flags&^known != 0 {
		return 0, nil, nil, 0, unix.EOPNOTSUPP
	}
	room := uint64(0)
	for _, v := range vecs {
		room += v.len
	}
	var told [256]byte // four messages of ints, which is all that can be asked for, and more
	pass := flags & (unix.MSG_OOB | unix.MSG_PEEK)
	for {
		// A datagram is taken whole, to know what was cut off.
		size := min(room-uint64(n), chunkSize)
		if s.kind == unix.SOCK_DGRAM {
			size = 65536
		}
		buf := make([]byte, size)
		try := func() (c int, err error) {
			var used int
			var room []byte
			if s.kind == unix.SOCK_DGRAM {
				room = told[:] // streams have no such data, and x/sys would take a byte for it
			}
			c, used, from, err = s.receive(buf, room, pass)
			control = told[:used]
			return c, err
		}
		var c int
		if flags&unix.MSG_DONTWAIT != 0 {
			c, err = try()
		} else {
			c, err = k.transfer(o, unix.POLLIN, try)
		}
		if err != nil {
			if n > 0 {
				err = nil
			}
			return n, from, control, got, err
		}
		data := buf[:c]
		if uint64(c) > room && s.kind == unix.SOCK_DGRAM {
			got |= unix.MSG_TRUNC
			data = buf[:room]
		}
		for len(data) > 0 {
			p := min(uint64(len(data)), vecs[0].len)
			if err := k.write(uint64(vecs[0].addr), data[:p]); err != nil {
				return 0, from, control, got, err
			}
			data = data[p:]
			vecs[0].addr += uint32(p)
			if vecs[0].len -= p; vecs[0].len == 0 {
				vecs = vecs[1:]
			}
		}
		if got&unix.MSG_TRUNC != 0 && flags&unix.MSG_TRUNC == 0 {
			c = int(room)
		}
		n += int64(c)
		if c == 0 || flags&unix.MSG_WAITALL == 0 || pass != 0 || s.kind == unix.SOCK_DGRAM || uint64(n) >= room || o.nonblocking() {
			return n, from, control, got, nil
		}
	}
}

// Options of UDP-Lite: how much of a datagram its checksum covers.
const (
	udpliteSendCscov = 10
	udpliteRecvCscov = 11
)

// socketOptions are those that a guest may read and set.
var socketOptions = map[[2]int]bool{
	{unix.SOL_SOCKET, unix.SO_REUSEADDR}: true, {unix.SOL_SOCKET, unix.SO_REUSEPORT}: true, {unix.SOL_SOCKET, unix.SO_KEEPALIVE}: true,
	{unix.SOL_SOCKET, unix.SO_LINGER}: true, {unix.SOL_SOCKET, unix.SO_RCVBUF}: true, {unix.SOL_SOCKET, unix.SO_SNDBUF}: true,
	{unix.SOL_SOCKET, unix.SO_OOBINLINE}: true, {unix.SOL_SOCKET, unix.SO_BROADCAST}: true, {unix.SOL_SOCKET, unix.SO_RCVLOWAT}: true,
	{unix.IPPROTO_TCP, unix.TCP_NODELAY}: true, {unix.IPPROTO_TCP, unix.TCP_MAXSEG}: true, {unix.IPPROTO_TCP, unix.TCP_CORK}: true,
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: true, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}: true, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT}: true,
	{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: true, {unix.IPPROTO_TCP, unix.TCP_QUICKACK}: true, {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}: true,
	{unix.IPPROTO_IP, unix.IP_TOS}: true, {unix.IPPROTO_IP, unix.IP_TTL}: true,
	{unix.IPPROTO_IP, unix.IP_RECVTOS}: true, {unix.IPPROTO_IP, unix.IP_RECVTTL}: true,
	{unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS}: true, {unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT}: true,
	{unix.IPPROTO_UDPLITE, udpliteSendCscov}: true, {unix.IPPROTO_UDPLITE, udpliteRecvCscov}: true,
	{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}: true, {unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}: true, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS}: true,
}

// readOnlySocketOptions tell something and can't be set.
var readOnlySocketOptions = map[[2]int]bool{
	{unix.SOL_SOCKET, unix.SO_ERROR}: true, {unix.SOL_SOCKET, unix.SO_TYPE}: true, {unix.SOL_SOCKET, unix.SO_DOMAIN}: true,
	{unix.SOL_SOCKET, unix.SO_PROTOCOL}: true, {unix.SOL_SOCKET, unix.SO_ACCEPTCONN}: true,
}

func (k *task) getHostOption(s *hostSocket, a *args) (int64, error) {
	which := [2]int{int32Arg(a[1]), int32Arg(a[2])}
	if !socketOptions[which] && !readOnlySocketOptions[which] {
		return 0, unix.ENOPROTOOPT
	}
	room, err := k.p.mem.Load32(uint32(a[4]))
	if err != nil {
		return 0, err
	}
	if int32(room) < 0 {
		return 0, unix.EINVAL
	}
	var b [8]byte
	if which == [2]int{unix.SOL_SOCKET, unix.SO_LINGER} {
		l, err := unix.GetsockoptLinger(s.fd, which[0], which[1])
		if err != nil {
			return 0, err
		}
		le.PutUint32(b[:], uint32(l.Onoff))
		le.PutUint32(b[4:], uint32(l.Linger))
		room = min(room, 8)
	} else {
		v, err := unix.GetsockoptInt(s.fd, which[0], which[1])
		if err != nil {
			return 0, err
		}
		le.PutUint32(b[:], uint32(v))
		room = min(room, 4)
	}
	if err := k.write(a[3], b[:room]); err != nil {
		return 0, err
	}
	return 0, k.store32(a[4], room)
}

func (k *task) setHostOption(s *hostSocket, a *args) (int64, error) {
	which := [2]int{int32Arg(a[1]), int32Arg(a[2])}
	if !socketOptions[which] {
		return 0, unix.ENOPROTOOPT
	}
	var b [8]byte
	n := uint32(a[4])
	linger := which == [2]int{unix.SOL_SOCKET, unix.SO_LINGER}
	if n < 4 || linger && n < 8 {
		return 0, unix.EINVAL
	}
	if err := k.read(a[3], b[:min(n, 8)]); err != nil {
		return 0, err
	}
	if linger {
		return 0, unix.SetsockoptLinger(s.fd, which[0], which[1], &unix.Linger{Onoff: int32(le.Uint32(b[:])), Linger: int32(le.Uint32(b[4:]))})
	}
	return 0, unix.SetsockoptInt(s.fd, which[0], which[1], int(int32(le.Uint32(b[:]))))
}
