package libcshim

import (
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// Unix sockets live within one tree of processes: a name in the file tree leads to
// a socket of one of them or to nobody. So they need no policy. Streams and
// datagrams; descriptors can be sent (rights.go), credentials can't.

// unixSocket is what socket(AF_UNIX) makes. A connected stream is a socketEnd
// inside it.
type unixSocket struct {
	namespace.Unsupported
	watchers
	t    *tree
	kind int

	mu        sync.Mutex
	end       *socketEnd // a stream that is connected
	bound     string     // as bind was told
	key       string     // in tree.unix
	listening bool
	queue     []*socketEnd // connections that nobody has accepted yet
	inbox     []datagram
	peer      *unixSocket // of datagrams
	closed    bool
}

type datagram struct {
	from   string
	data   []byte
	rights *rights
}

const (
	maxUnixQueue    = 1024
	maxUnixInbox    = 256
	maxUnixDatagram = 128 << 10
)

// unixNames are the bound sockets of a tree of processes, by the identity of their node in
// the file tree, or by their abstract name. Nodes whose socket was closed stay,
// with nil, until they are unlinked, up to maxDeadNodes.
type unixNames struct {
	mu   sync.Mutex
	byID map[string]*unixSocket
	dead int
	auto atomic.Uint32 // the last name that autobind made
}

const maxDeadNodes = 4096

// isNode reports whether a file is the node of a socket, closed or not.
func (n *unixNames) isNode(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.byID[key]
	return ok
}

// any reports whether there are names at all: usually not.
func (n *unixNames) any() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.byID) > 0
}

// closed forgets a socket, but not that its node was one.
func (n *unixNames) closed(s *unixSocket, key string, abstract bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byID[key] != s {
		return // unlinked, and perhaps used again
	}
	if abstract || n.dead >= maxDeadNodes {
		delete(n.byID, key)
		return
	}
	n.byID[key] = nil
	n.dead++
}

func (n *unixNames) get(key string) *unixSocket {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byID[key]
}

func (n *unixNames) put(key string, s *unixSocket) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byID[key] != nil {
		return unix.EADDRINUSE
	}
	if _, ok := n.byID[key]; ok {
		n.dead--
	}
	if n.byID == nil {
		n.byID = map[string]*unixSocket{}
	}
	n.byID[key] = s
	return nil
}

// autobind gives a socket an abstract name of its own: five digits, as on Linux.
func (n *unixNames) autobind(s *unixSocket) error {
	for range 1 << 20 {
		name := fmt.Sprintf("\x00%05x", n.auto.Add(1)&0xfffff)
		err := n.put(name, s)
		if err == unix.EADDRINUSE {
			continue
		}
		if err == nil {
			s.mu.Lock()
			s.bound, s.key = name, name
			s.mu.Unlock()
		}
		return err
	}
	return unix.ENOSPC
}

func (n *unixNames) drop(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, ok := n.byID[key]; ok {
		if s == nil {
			n.dead--
		}
		delete(n.byID, key)
	}
}

func nodeKey(st namespace.Stat) string { return fmt.Sprintf("%d:%d", st.Dev, st.Ino) }

// specialNode makes the node of a bound socket or of a named pipe look like one: in the
// tree it is an empty file.
func (p *Process) specialNode(st namespace.Stat) namespace.Stat {
	if p.tree.fifos.get(st) != nil {
		st.Mode = st.Mode&^unix.S_IFMT | unix.S_IFIFO
		return st
	}
	if st.IsRegular() && st.Size == 0 && p.tree.unix.any() && p.tree.unix.isNode(nodeKey(st)) {
		st.Mode = st.Mode&^unix.S_IFMT | unix.S_IFSOCK
	}
	return st
}

// unixAddress reads a struct sockaddr_un: a path, or an abstract name, which
// begins with a zero byte.
func (k *task) unixAddress(at, length uint64) (string, error) {
	n := uint32(length)
	if n < 2 || n > 110 {
		return "", unix.EINVAL
	}
	b := make([]byte, n)
	if err := k.read(at, b); err != nil {
		return "", err
	}
	if le.Uint16(b) != unix.AF_UNIX {
		return "", unix.EINVAL
	}
	name := string(b[2:])
	if name == "" || name[0] == 0 {
		return name, nil
	}
	for i := range name {
		if name[i] == 0 {
			return name[:i], nil
		}
	}
	return name, nil
}

// putUnixAddress writes one.
func (k *task) putUnixAddress(name string, at, length uint64) error {
	if uint32(at) == 0 || uint32(length) == 0 {
		return nil
	}
	b := le.AppendUint16(nil, unix.AF_UNIX)
	b = append(b, name...)
	if name != "" && name[0] != 0 {
		b = append(b, 0)
	}
	room, err := k.p.mem.Load32(uint32(length))
	if err != nil {
		return err
	}
	if int32(room) < 0 {
		return unix.EINVAL
	}
	if err := k.write(at, b[:min(int(room), len(b))]); err != nil {
		return err
	}
	return k.store32(length, uint32(len(b)))
}

// putSender tells who sent a datagram: who has no name has no address.
func (k *task) putSender(name string, at, length uint64) error {
	if name == "" && uint32(length) != 0 {
		return k.store32(length, 0)
	}
	return k.putUnixAddress(name, at, length)
}

// lookupUnix finds the socket behind a name.
func (k *task) lookupUnix(name string) (*unixSocket, error) {
	key := name
	if name == "" {
		return nil, unix.EINVAL
	}
	if name[0] != 0 {
		st, _, err := k.p.ns.Stat(k.p.dir(), name, true)
		if err != nil {
			return nil, err
		}
		key = nodeKey(st)
	}
	s := k.p.tree.unix.get(key)
	if s == nil {
		return nil, unix.ECONNREFUSED
	}
	return s, nil
}

func (k *task) bindUnix(s *unixSocket, a *args) (int64, error) {
	name, err := k.unixAddress(a[1], a[2])
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	bound := s.key != ""
	s.mu.Unlock()
	if name == "" && !bound {
		return 0, k.p.tree.unix.autobind(s)
	}
	if bound {
		if name != "" && name[0] != 0 {
			if _, _, err := k.p.ns.Stat(k.p.dir(), name, false); err == nil {
				return 0, unix.EADDRINUSE
			}
		}
		return 0, unix.EINVAL
	}
	key := name
	if name[0] != 0 {
		k.p.mu.Lock()
		perm := 0o777 &^ k.p.umask
		k.p.mu.Unlock()
		f, _, err := k.p.ns.Open(k.p.dir(), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, perm)
		if err == unix.EEXIST {
			return 0, unix.EADDRINUSE
		}
		if err != nil {
			return 0, err
		}
		st, err := f.Stat()
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return 0, err
		}
		key = nodeKey(st)
		k.p.tree.unix.drop(key) // of a node that is gone
	}
	if err := k.p.tree.unix.put(key, s); err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.bound, s.key = name, key
	s.mu.Unlock()
	return 0, nil
}

func (s *unixSocket) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.kind != unix.SOCK_STREAM:
		return unix.EOPNOTSUPP
	case s.key == "" || s.end != nil:
		return unix.EINVAL
	}
	s.listening = true
	return nil
}

func (k *task) connectUnix(s *unixSocket, a *args) (int64, error) {
	name, err := k.unixAddress(a[1], a[2])
	if err != nil {
		return 0, err
	}
	to, err := k.lookupUnix(name)
	if err != nil {
		return 0, err
	}
	if to.kind != s.kind {
		return 0, unix.EPROTOTYPE
	}
	if s.kind == unix.SOCK_DGRAM {
		s.mu.Lock()
		s.peer = to
		s.mu.Unlock()
		return 0, nil
	}
	s.mu.Lock()
	if s.end != nil {
		s.mu.Unlock()
		return 0, unix.EISCONN
	}
	mine := s.bound
	s.mu.Unlock()
	x, y := newSocketPair()
	x.local, x.remote, y.local, y.remote = mine, to.bound, to.bound, mine
	to.mu.Lock()
	switch {
	case !to.listening || to.closed:
		err = unix.ECONNREFUSED
	case len(to.queue) >= maxUnixQueue:
		err = unix.EAGAIN
	default:
		to.queue = append(to.queue, y)
	}
	to.mu.Unlock()
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	s.end = x
	s.mu.Unlock()
	to.notify()
	s.notify()
	return 0, nil
}

func (k *task) acceptUnix(o *openFile, s *unixSocket, a *args, flags int) (int64, error) {
	var end *socketEnd
	_, err := k.transfer(o, unix.POLLIN, func() (int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case !s.listening:
			return 0, unix.EINVAL
		case len(s.queue) == 0:
			return 0, unix.EAGAIN
		}
		end, s.queue = s.queue[0], s.queue[1:]
		return 0, nil
	})
	if err != nil {
		return 0, err
	}
	n, err := k.newFD(end, unix.O_RDWR, flags)
	if err != nil {
		return 0, err
	}
	if err := k.putUnixAddress(end.remote, a[1], a[2]); err != nil {
		k.drop(int(n))
		return 0, err
	}
	return n, nil
}

// connected is the stream inside, or nil.
func (s *unixSocket) connected() *socketEnd {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

func (s *unixSocket) Read(p []byte) (int, error) {
	if s.kind == unix.SOCK_DGRAM {
		n, d, err := s.take(p, false)
		d.rights.drop()
		return n, err
	}
	if end := s.connected(); end != nil {
		return end.Read(p)
	}
	return 0, unix.EINVAL
}

func (s *unixSocket) Write(p []byte) (int, error) {
	if s.kind == unix.SOCK_DGRAM {
		return s.sendPeer(p, nil)
	}
	if end := s.connected(); end != nil {
		return end.Write(p)
	}
	return 0, unix.ENOTCONN
}

func (s *unixSocket) sendPeer(p []byte, r *rights) (int, error) {
	s.mu.Lock()
	to := s.peer
	s.mu.Unlock()
	if to == nil {
		return 0, unix.ENOTCONN
	}
	return s.send(to, p, r)
}

// send puts a datagram into another socket's inbox; r goes with it if there is no error.
func (s *unixSocket) send(to *unixSocket, p []byte, r *rights) (int, error) {
	if len(p) > maxUnixDatagram {
		return 0, unix.EMSGSIZE
	}
	s.mu.Lock()
	from := s.bound
	s.mu.Unlock()
	to.mu.Lock()
	switch {
	case to.closed:
		to.mu.Unlock()
		return 0, unix.ECONNREFUSED
	case len(to.inbox) >= maxUnixInbox:
		to.mu.Unlock()
		return 0, unix.EAGAIN
	}
	to.inbox = append(to.inbox, datagram{from, append([]byte(nil), p...), r})
	to.mu.Unlock()
	to.notify()
	return len(p), nil
}

// take gets a datagram, of which d.data is the whole. One that was only looked at has no
// descriptors.
func (s *unixSocket) take(p []byte, peek bool) (n int, d datagram, err error) {
	s.mu.Lock()
	if len(s.inbox) == 0 {
		s.mu.Unlock()
		return 0, d, unix.EAGAIN
	}
	d = s.inbox[0]
	if peek {
		d.rights = nil
	} else {
		s.inbox[0] = datagram{}
		s.inbox = s.inbox[1:]
	}
	s.mu.Unlock()
	s.notify()
	return copy(p, d.data), d, nil
}

func (s *unixSocket) ready(events int16) int16 {
	s.mu.Lock()
	end, queue, inbox, peer := s.end, len(s.queue), len(s.inbox), s.peer
	listening := s.listening
	s.mu.Unlock()
	var r int16
	switch {
	case end != nil:
		return end.ready(events)
	case s.kind == unix.SOCK_DGRAM:
		if inbox > 0 {
			r |= events & (unix.POLLIN | pollRdNorm)
		}
		full := false
		if peer != nil {
			peer.mu.Lock()
			full = len(peer.inbox) >= maxUnixInbox
			peer.mu.Unlock()
		}
		if !full {
			r |= events & (unix.POLLOUT | pollWrNorm)
		}
	case listening:
		if queue > 0 {
			r |= events & (unix.POLLIN | pollRdNorm)
		}
	default:
		r = unix.POLLHUP | events&(unix.POLLOUT|pollWrNorm)
	}
	return r
}

func (s *unixSocket) others() (end *socketEnd, peer *unixSocket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end, s.peer
}

// Who waits for room in a full inbox watches the other socket too.
func (s *unixSocket) watch(t *runtime.Thread) {
	s.watchers.watch(t)
	end, peer := s.others()
	if end != nil {
		end.watch(t)
	}
	if peer != nil && peer != s {
		peer.watchers.watch(t)
	}
}

func (s *unixSocket) unwatch(t *runtime.Thread) {
	s.watchers.unwatch(t)
	end, peer := s.others()
	if end != nil {
		end.unwatch(t)
	}
	if peer != nil && peer != s {
		peer.watchers.unwatch(t)
	}
}

func (s *unixSocket) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.end != nil:
		return s.end.pending()
	case len(s.inbox) > 0:
		return len(s.inbox[0].data)
	}
	return 0
}

func (s *unixSocket) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 4, Ino: 1, Nlink: 1, Mode: unix.S_IFSOCK | 0o777, Blksize: 4096}, nil
}

func (s *unixSocket) name() string { return "socket:[unix]" }

func (s *unixSocket) Close() error {
	s.mu.Lock()
	s.closed = true
	key, name, end, queue, inbox := s.key, s.bound, s.end, s.queue, s.inbox
	s.queue, s.inbox = nil, nil
	s.mu.Unlock()
	if key != "" {
		s.t.unix.closed(s, key, name[0] == 0)
	}
	if end != nil {
		_ = end.Close()
	}
	for _, e := range queue {
		_ = e.Close()
	}
	for _, d := range inbox {
		d.rights.drop()
	}
	s.notify()
	return nil
}

// sendUnix sends a datagram, and r with it, which it takes over.
func (k *task) sendUnix(o *openFile, s *unixSocket, flags int, to, toLen uint64, vecs []vec, r *rights) (n int64, err error) {
	defer func() {
		if err != nil {
			r.drop()
		}
	}()
	var size uint64
	for _, v := range vecs {
		size += v.len
	}
	if size > maxUnixDatagram {
		return 0, unix.EMSGSIZE
	}
	data, _, err := k.gather(make([]byte, size), vecs)
	if err != nil {
		return 0, err
	}
	try := func() (int, error) { return s.sendPeer(data, r) }
	if uint32(to) != 0 {
		name, err := k.unixAddress(to, toLen)
		if err != nil {
			return 0, err
		}
		peer, err := k.lookupUnix(name)
		if err != nil {
			return 0, err
		}
		if peer.kind != s.kind {
			return 0, unix.EPROTOTYPE
		}
		try = func() (int, error) {
			n, err := s.send(peer, data, r)
			if err == unix.EAGAIN && !o.nonblocking() {
				err = unix.ENOBUFS // only a connected socket waits for room
			}
			return n, err
		}
	}
	var c int
	if flags&unix.MSG_DONTWAIT != 0 {
		c, err = try()
	} else {
		c, err = k.transfer(o, unix.POLLOUT, try)
	}
	return int64(c), err
}

// receiveUnix receives a datagram. What descriptors came with it the caller takes or
// drops, also when there is an error.
func (k *task) receiveUnix(o *openFile, s *unixSocket, flags int, vecs []vec) (n int64, from string, r *rights, got int, err error) {
	var room uint64
	for _, v := range vecs {
		room += v.len
	}
	buf := make([]byte, min(room, maxUnixDatagram))
	var d datagram
	try := func() (c int, err error) {
		c, d, err = s.take(buf, flags&unix.MSG_PEEK != 0)
		return c, err
	}
	var c int
	if flags&unix.MSG_DONTWAIT != 0 {
		c, err = try()
	} else {
		c, err = k.transfer(o, unix.POLLIN, try)
	}
	if err == nil {
		_, err = k.scatter(buf[:c], vecs)
	}
	if err != nil {
		return 0, "", d.rights, 0, err
	}
	if whole := len(d.data); whole > c {
		got = unix.MSG_TRUNC
		if flags&unix.MSG_TRUNC != 0 {
			c = whole
		}
	}
	return int64(c), d.from, d.rights, got, nil
}
