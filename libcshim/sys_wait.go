package libcshim

import "golang.org/x/sys/unix"

// Options of wait4 and waitid.
const (
	waitNoHang    = 1
	waitStopped   = 2 // WUNTRACED too: nothing is ever stopped
	waitExited    = 4
	waitContinued = 8
	waitNoReap    = 0x01000000
	waitKinds     = 0xe0000000 // __WALL, __WCLONE, __WNOTHREAD: all children are alike
)

// waitChild waits for a child that fits. It is nil if there is one, but not so far.
// reap forgets it.
func (k *task) waitChild(fits func(*node) bool, hang, reap bool) (*node, ExitStatus, error) {
	n := k.p.node
	n.waiters.watch(k.t)
	defer n.waiters.unwatch(k.t)
	for {
		child, status, err := n.ended(fits, reap)
		if child != nil || err != nil || !hang {
			return child, status, err
		}
		if k.park() {
			return nil, ExitStatus{}, errRestart
		}
	}
}

// ended finds a child that has ended; ECHILD when no child fits at all.
func (n *node) ended(fits func(*node) bool, reap bool) (*node, ExitStatus, error) {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	err := error(unix.ECHILD)
	for _, c := range n.children {
		if !fits(c) {
			continue
		}
		err = nil
		if c.zombie {
			if reap {
				n.reap(c)
			}
			return c, c.status, nil
		}
	}
	return nil, ExitStatus{}, err
}

// byPID is how wait4 and waitpid say which children they mean.
func (k *task) byPID(pid int) func(*node) bool {
	switch {
	case pid == -1:
		return func(*node) bool { return true }
	case pid > 0:
		return func(c *node) bool { return c.pid == pid }
	case pid == 0:
		self := k.p.node
		return func(c *node) bool { return c.group == self.group }
	}
	return func(c *node) bool { return c.group == -pid }
}

func sysWait4(k *task, a *args) (int64, error) {
	options := uint32(a[2])
	if options&^(waitNoHang|waitStopped|waitContinued|waitKinds) != 0 {
		return 0, unix.EINVAL
	}
	pid := int32Arg(a[0])
	if pid == -1<<31 {
		return 0, unix.ESRCH
	}
	child, status, err := k.waitChild(k.byPID(pid), options&waitNoHang == 0, true)
	if err != nil || child == nil {
		return 0, err
	}
	if uint32(a[1]) != 0 {
		if err := k.store32(a[1], status.wait()); err != nil {
			return 0, err
		}
	}
	if uint32(a[3]) != 0 {
		// What one process has used is not known: all run on the host's threads.
		if err := k.write(a[3], make([]byte, rusageSize)); err != nil {
			return 0, err
		}
	}
	return int64(child.pid), nil
}

func sysWaitid(k *task, a *args) (int64, error) {
	const all, byPID, byGroup, byFile = 0, 1, 2, 3
	options := uint32(a[3])
	if options&^(waitNoHang|waitStopped|waitExited|waitContinued|waitNoReap|waitKinds) != 0 || options&(waitStopped|waitExited|waitContinued) == 0 {
		return 0, unix.EINVAL
	}
	pid := -1
	var fits func(*node) bool
	switch id := int32Arg(a[1]); int32Arg(a[0]) {
	case all:
	case byPID:
		if id <= 0 {
			return 0, unix.EINVAL
		}
		pid = id
	case byGroup:
		if id < 0 {
			return 0, unix.EINVAL
		}
		pid = -id
		if id == 1 {
			return 0, unix.ECHILD // -1 would mean all
		}
	case byFile:
		if _, err := k.withPid(a[1], func(o *openFile, p *pidFile) (int64, error) {
			fits = func(c *node) bool { return c == p.n }
			if o.nonblocking() && options&waitNoHang == 0 && !p.ended() {
				return 0, unix.EAGAIN
			}
			return 0, nil
		}); err != nil {
			return 0, err
		}
	default:
		return 0, unix.EINVAL
	}
	if fits == nil {
		fits = k.byPID(pid)
	}
	if options&waitExited == 0 {
		// For a child that stops or goes on: that does not happen.
		any := fits
		fits = func(c *node) bool { return any(c) && !c.zombie }
	}
	child, status, err := k.waitChild(fits, options&waitNoHang == 0, options&waitNoReap == 0)
	if err != nil {
		return 0, err
	}
	if uint32(a[2]) != 0 {
		b := make([]byte, siginfoSize)
		if child != nil {
			i := siginfo{signo: int(unix.SIGCHLD), pid: child.pid, uid: int(k.p.tree.ids.UID)}
			i.code, i.value = status.child()
			b = i.encode()
		}
		if err := k.write(a[2], b); err != nil {
			return 0, err
		}
	}
	if uint32(a[4]) != 0 {
		return 0, k.write(a[4], make([]byte, rusageSize))
	}
	return 0, nil
}
