package libcshim

import (
	"sync"

	"golang.org/x/sys/unix"
)

// rights are open files on their way through a Unix socket (SCM_RIGHTS). Each counts as
// a descriptor until it is received or dropped.
type rights struct {
	of    *flight
	files []*openFile // nil when that has happened; guarded by flight.mu
}

// flight is what is on its way in a tree of processes. Sockets that carry themselves, in
// a circle, are never closed by counting; so there is a bound, and the end of
// the tree drops what is left.
type flight struct {
	t   *tree
	max int

	mu      sync.Mutex
	n       int
	batches map[*rights]struct{}
}

// maxRights is how many descriptors one message carries, as on Linux.
const maxRights = 253

// send takes over references to files.
func (f *flight) send(files []*openFile) (*rights, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n+len(files) > f.max {
		return nil, unix.ETOOMANYREFS
	}
	if f.batches == nil {
		f.batches = map[*rights]struct{}{}
	}
	r := &rights{of: f, files: files}
	f.batches[r] = struct{}{}
	f.n += len(files)
	for _, o := range files {
		o.numbers.Add(1)
	}
	return r, nil
}

// take ends the journey: the files and the references to them are the caller's, who
// calls landed for each.
func (r *rights) take() []*openFile {
	if r == nil {
		return nil
	}
	f := r.of
	f.mu.Lock()
	defer f.mu.Unlock()
	files := r.files
	r.files = nil
	f.n -= len(files)
	delete(f.batches, r)
	return files
}

// landed is told that a file is a descriptor now, or is not to be one.
func (f *flight) landed(o *openFile, received bool) {
	o.numbers.Add(-1)
	if !received {
		f.t.locks.closed(o)
		_ = o.release()
	}
}

// drop closes what nobody will receive. No lock of a socket may be held: it may close
// that very socket.
func (r *rights) drop() {
	for _, o := range r.take() {
		r.of.landed(o, false)
	}
}

// end drops all.
func (f *flight) end() {
	for {
		var r *rights
		f.mu.Lock()
		for r = range f.batches {
			break
		}
		f.mu.Unlock()
		if r == nil {
			return
		}
		r.drop()
	}
}

// A controlMessage is one message of ancillary data.
type controlMessage struct {
	level, kind int
	data        []byte
}

// Layout of struct cmsghdr: its length, with this header; level; type. What follows it is
// padded to words.
const (
	cmsgHeader = 16
	cmsgLevel  = 8
	cmsgType   = 12
	// maxControl is how much of it a message may have.
	maxControl = 20 << 10
)

func cmsgAlign(n uint64) uint64 { return (n + 7) &^ 7 }

// control reads the ancillary data that a struct msghdr names.
func (k *task) control(msg []byte) ([]controlMessage, error) {
	at, n := le.Uint64(msg[msgControl:]), le.Uint64(msg[msgCtllen:])
	if n == 0 || uint32(at) == 0 {
		return nil, nil
	}
	if n > maxControl {
		return nil, unix.ENOBUFS
	}
	b := make([]byte, n)
	if err := k.read(at, b); err != nil {
		return nil, err
	}
	var list []controlMessage
	for len(b) >= cmsgHeader {
		size := le.Uint64(b)
		if size < cmsgHeader || size > uint64(len(b)) {
			return nil, unix.EINVAL
		}
		list = append(list, controlMessage{int(int32(le.Uint32(b[cmsgLevel:]))), int(int32(le.Uint32(b[cmsgType:]))), b[cmsgHeader:size]})
		b = b[min(cmsgAlign(size), uint64(len(b))):]
	}
	return list, nil
}

// rightsIn makes what a message to a Unix socket carries: nil if nothing.
func (k *task) rightsIn(msg []byte) (*rights, error) {
	list, err := k.control(msg)
	if err != nil {
		return nil, err
	}
	var files []*openFile
	fail := func(err error) (*rights, error) {
		for _, o := range files {
			_ = o.release()
		}
		return nil, err
	}
	for _, c := range list {
		if c.level != unix.SOL_SOCKET {
			continue // of another protocol: ignored, as on Linux
		}
		if c.kind != unix.SCM_RIGHTS {
			return fail(unix.EINVAL)
		}
		if len(files)+len(c.data)/4 > maxRights {
			return fail(unix.EINVAL)
		}
		for d := c.data; len(d) >= 4; d = d[4:] {
			o, err := k.p.fds.get(int(int32(le.Uint32(d))))
			if err != nil {
				return fail(err)
			}
			files = append(files, o)
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	r, err := k.p.tree.flight.send(files)
	if err != nil {
		return fail(err)
	}
	return r, nil
}

// controlOut writes ancillary data into the room that a struct msghdr has for it.
type controlOut struct {
	k     *task
	at    uint64
	room  uint64
	used  uint64
	flags int // MSG_CTRUNC when there was too little room
}

func (k *task) controlRoom(msg []byte) *controlOut {
	c := &controlOut{k: k, at: le.Uint64(msg[msgControl:]), room: le.Uint64(msg[msgCtllen:])}
	if uint32(c.at) == 0 {
		c.room = 0
	}
	return c
}

// put adds a message, cut off where the room ends.
func (c *controlOut) put(m controlMessage) error {
	if c.room-c.used < cmsgHeader {
		c.flags |= unix.MSG_CTRUNC
		return nil
	}
	size := cmsgHeader + uint64(len(m.data))
	if size > c.room-c.used {
		c.flags |= unix.MSG_CTRUNC
		size = c.room - c.used
	}
	b := make([]byte, cmsgHeader, size)
	le.PutUint64(b, size)
	le.PutUint32(b[cmsgLevel:], uint32(m.level))
	le.PutUint32(b[cmsgType:], uint32(m.kind))
	b = append(b, m.data[:size-cmsgHeader]...)
	if err := c.k.write(c.at+c.used, b); err != nil {
		return err
	}
	c.used += min(cmsgAlign(size), c.room-c.used)
	return nil
}

// receive makes descriptors of what has come, as many as there is room for; the
// rest is closed.
func (c *controlOut) receive(r *rights, cloexec bool) error {
	files := r.take()
	if files == nil {
		return nil
	}
	most := 0
	if left := c.room - c.used; left > cmsgHeader {
		most = int(min((left-cmsgHeader)/4, maxRights))
	}
	var numbers []byte
	var fds []int
	for i, o := range files {
		if i < most {
			if fd, err := c.k.p.fds.add(o, 0, cloexec); err == nil {
				if _, ok := o.file.(*epollFile); ok {
					c.k.p.fds.sets.Add(1)
				}
				r.of.landed(o, true)
				numbers = le.AppendUint32(numbers, uint32(fd))
				fds = append(fds, fd)
				continue
			}
			most = i
		}
		c.flags |= unix.MSG_CTRUNC
		r.of.landed(o, false)
	}
	if len(fds) == 0 {
		return nil
	}
	err := c.put(controlMessage{unix.SOL_SOCKET, unix.SCM_RIGHTS, numbers})
	if err != nil {
		for _, fd := range fds {
			c.k.drop(fd)
		}
	}
	return err
}

// done completes the struct msghdr.
func (c *controlOut) done(at uint64, flags int) error {
	if err := c.k.store32(at+msgFlags, uint32(flags|c.flags)); err != nil {
		return err
	}
	return c.k.store64(at+msgCtllen, c.used)
}

// hostControl are the ancillary messages that a socket of the host may send and
// receive; each is an int.
var hostControl = map[[2]int]bool{
	{unix.IPPROTO_IP, unix.IP_TTL}: true, {unix.IPPROTO_IP, unix.IP_TOS}: true,
	{unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT}: true, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS}: true,
}

// hostControlIn makes the ancillary data of a message for the host's kernel. What the
// guest wrote is never passed on as it is.
func (k *task) hostControlIn(msg []byte) ([]byte, error) {
	list, err := k.control(msg)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, c := range list {
		if !hostControl[[2]int{c.level, c.kind}] {
			return nil, unix.EPERM
		}
		if len(c.data) != 4 {
			return nil, unix.EINVAL
		}
		out = le.AppendUint64(out, cmsgHeader+4)
		out = le.AppendUint32(out, uint32(c.level))
		out = le.AppendUint32(out, uint32(c.kind))
		out = append(out, c.data...)
		out = append(out, 0, 0, 0, 0)
	}
	return out, nil
}

// hostControlOut passes on what the host's kernel tells of a message.
func (c *controlOut) hostControlOut(data []byte) error {
	list, err := unix.ParseSocketControlMessage(data)
	if err != nil {
		return nil // cut off: flags say so
	}
	for _, m := range list {
		level, kind := int(m.Header.Level), int(m.Header.Type)
		if !hostControl[[2]int{level, kind}] {
			continue
		}
		if err := c.put(controlMessage{level, kind, m.Data}); err != nil {
			return err
		}
	}
	return nil
}
