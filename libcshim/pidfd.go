package libcshim

import (
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// pidFile is a process of the tree as a descriptor (pidfd_open): readable when it has
// ended, and never another one, whatever its number becomes.
type pidFile struct {
	namespace.Unsupported
	n *node
}

func (f *pidFile) name() string              { return "anon_inode:[pidfd]" }
func (f *pidFile) watch(t *runtime.Thread)   { f.n.ends.watch(t) }
func (f *pidFile) unwatch(t *runtime.Thread) { f.n.ends.unwatch(t) }

func (f *pidFile) ready(events int16) int16 {
	if f.ended() {
		return events & (unix.POLLIN | pollRdNorm)
	}
	return 0
}

func (f *pidFile) ended() bool {
	f.n.tree.mu.Lock()
	defer f.n.tree.mu.Unlock()
	return f.n.zombie
}

func (f *pidFile) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 3, Ino: 3, Nlink: 1, Mode: 0o600, Blksize: 4096}, nil
}

func sysPidfdOpen(k *task, a *args) (int64, error) {
	pid, flags := int32Arg(a[0]), uint32(a[1])
	if flags&^uint32(unix.O_NONBLOCK) != 0 || pid <= 0 {
		return 0, unix.EINVAL
	}
	t := k.p.tree
	t.mu.Lock()
	n := t.nodes[pid]
	t.mu.Unlock()
	if n == nil {
		if k.p.dom.Thread(pid) != nil {
			return 0, unix.EINVAL // a thread that is no process
		}
		return 0, unix.ESRCH
	}
	return k.newFD(&pidFile{n: n}, unix.O_RDWR, int(flags)|unix.O_CLOEXEC)
}

// withPid is withFile for a pidfd.
func (k *task) withPid(fd uint64, f func(o *openFile, p *pidFile) (int64, error)) (int64, error) {
	return k.withFile(fd, func(o *openFile) (int64, error) {
		p, ok := o.file.(*pidFile)
		if !ok {
			return 0, unix.EBADF
		}
		return f(o, p)
	})
}

func sysPidfdSendSignal(k *task, a *args) (int64, error) {
	n, err := validSignal(a[1])
	if err != nil {
		return 0, err
	}
	if a[3] != 0 || uint32(a[2]) != 0 {
		return 0, unix.EINVAL // with a siginfo of one's own: rt_sigqueueinfo
	}
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		t := k.p.tree
		t.mu.Lock()
		defer t.mu.Unlock()
		var to *node
		if p, ok := o.file.(*pidFile); ok {
			to = p.n
		} else if pid := namespace.ProcessOf(o.file); pid != 0 {
			to = t.nodes[pid] // its directory of /proc does as well
		} else {
			return 0, unix.EBADF
		}
		if to == nil || t.nodes[to.pid] != to {
			return 0, unix.ESRCH
		}
		return 0, k.killThese([]*node{to}, k.user(n, siUser))
	})
}
