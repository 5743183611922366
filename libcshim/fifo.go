package libcshim

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// Named pipes live within one tree of processes, as Unix sockets do: in the file tree
// their node is an empty file, which other trees and the host take for one.

// fifos are the named pipes of a tree, by the identity of their nodes.
type fifos struct {
	mu    sync.Mutex
	nodes map[string]*fifo
}

// maxFIFOs bounds the nodes: each is memory of the host for as long as nobody unlinks it.
const maxFIFOs = 4096

// fifo is one of them. Its pipe has no end until somebody opens one.
type fifo struct {
	pipe
	// opened counts who has ever opened it for reading and for writing: who waits for
	// the other side must not miss one that has gone again. Guarded by pipe.mu.
	opened [2]uint64
}

const (
	fifoReader = 0
	fifoWriter = 1
)

func (f *fifos) get(st namespace.Stat) *fifo {
	if !st.IsRegular() || st.Size != 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.nodes) == 0 {
		return nil
	}
	return f.nodes[nodeKey(st)]
}

func (f *fifos) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.nodes) > 0
}

func (f *fifos) put(key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.nodes) >= maxFIFOs {
		return unix.ENOSPC
	}
	if f.nodes == nil {
		f.nodes = map[string]*fifo{}
	}
	f.nodes[key] = &fifo{pipe: pipe{number: lastPipe.Add(1), size: pipeSize}}
	return nil
}

// drop forgets a node. Who has it open keeps it.
func (f *fifos) drop(key string) {
	f.mu.Lock()
	delete(f.nodes, key)
	f.mu.Unlock()
}

func sysMknod(k *task, a *args) (int64, error)   { return k.mknod(cwdFD, a[0], a[1]) }
func sysMknodat(k *task, a *args) (int64, error) { return k.mknod(a[0], a[1], a[2]) }

// mknod makes named pipes and empty files. Devices are the host's to give.
func (k *task) mknod(dirfd, addr, mode uint64) (int64, error) {
	kind := uint32(mode) & unix.S_IFMT
	switch kind {
	case unix.S_IFIFO, unix.S_IFREG, 0:
	default:
		return 0, unix.EPERM
	}
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	k.p.mu.Lock()
	perm := uint32(mode) & 0o777 &^ k.p.umask
	k.p.mu.Unlock()
	f, _, err := k.p.ns.Open(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, perm)
	if err != nil {
		return 0, err
	}
	st, err := f.Stat()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && kind == unix.S_IFIFO {
		k.p.tree.unix.drop(nodeKey(st)) // of a node that is gone
		err = k.p.tree.fifos.put(nodeKey(st))
	}
	if err != nil {
		_ = k.p.ns.Unlink(dir, name)
	}
	return 0, err
}

// fifoFile is an open end, or both.
type fifoFile struct {
	namespace.Unsupported
	f    *fifo
	st   namespace.Stat
	ends [2]bool
	// alone: nobody had it open for writing when this was opened; so many had had.
	alone   bool
	writers uint64
}

// openFIFO opens a named pipe as flags say: for one direction alone it waits for
// somebody to open the other.
func (k *task) openFIFO(f *fifo, st namespace.Stat, flags int) (namespace.File, error) {
	o := &fifoFile{f: f, st: st}
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		o.ends[fifoReader] = true
	case unix.O_WRONLY:
		o.ends[fifoWriter] = true
	default:
		o.ends = [2]bool{true, true}
	}
	f.mu.Lock()
	if flags&unix.O_NONBLOCK != 0 && !o.ends[fifoReader] && f.readers == 0 {
		f.mu.Unlock()
		return nil, unix.ENXIO
	}
	seen := f.opened
	o.alone, o.writers = f.writers == 0, seen[fifoWriter]
	for end, n := range []*int{&f.readers, &f.writers} {
		if o.ends[end] {
			*n++
			f.opened[end]++
		}
	}
	f.mu.Unlock()
	f.notify()
	if o.ends[fifoReader] && (o.ends[fifoWriter] || flags&unix.O_NONBLOCK != 0) {
		return o, nil
	}
	f.watch(k.t)
	defer f.unwatch(k.t)
	for {
		f.mu.Lock()
		there := f.writers > 0 || f.opened[fifoWriter] != seen[fifoWriter]
		if o.ends[fifoWriter] {
			there = f.readers > 0 || f.opened[fifoReader] != seen[fifoReader]
		}
		f.mu.Unlock()
		if there {
			return o, nil
		}
		if k.park() {
			_ = o.Close()
			return nil, errRestart
		}
	}
}

func (o *fifoFile) Read(b []byte) (int, error) {
	if !o.ends[fifoReader] {
		return 0, unix.EBADF
	}
	return o.f.read(b)
}

func (o *fifoFile) Write(b []byte) (int, error) {
	if !o.ends[fifoWriter] {
		return 0, unix.EBADF
	}
	return o.f.write(b)
}

func (o *fifoFile) ready(events int16) int16 {
	var r int16
	if o.ends[fifoReader] {
		r = o.f.readReady(events)
		o.f.mu.Lock()
		if o.alone && o.f.opened[fifoWriter] == o.writers {
			r &^= unix.POLLHUP // nobody has come yet
		}
		o.f.mu.Unlock()
	}
	if o.ends[fifoWriter] {
		r |= o.f.writeReady(events)
	}
	return r
}

func (o *fifoFile) watch(t *runtime.Thread)       { o.f.watch(t) }
func (o *fifoFile) unwatch(t *runtime.Thread)     { o.f.unwatch(t) }
func (o *fifoFile) pending() int                  { return o.f.pending() }
func (o *fifoFile) name() string                  { return o.f.name() }
func (o *fifoFile) capacity() int                 { return o.f.capacity() }
func (o *fifoFile) resize(n int) (int, error)     { return o.f.resize(n) }
func (o *fifoFile) Stat() (namespace.Stat, error) { return o.st, nil }

func (o *fifoFile) Close() error {
	for end, n := range []*int{&o.f.readers, &o.f.writers} {
		if o.ends[end] {
			_ = o.f.leave(n)
		}
	}
	o.f.mu.Lock()
	if o.f.readers == 0 && o.f.writers == 0 {
		o.f.data = nil // as nobody can have it any more
	}
	o.f.mu.Unlock()
	return nil
}
