package libcshim

import "golang.org/x/sys/unix"

// Process groups and who has the terminal. Job control is for sending
// signals: nothing is stopped for it (see ignoredByDefault).

// relations are a process's parent, group and session id.
func (n *node) relations() (parent, group, sid int) {
	n.tree.mu.Lock()
	defer n.tree.mu.Unlock()
	parent = hostPID
	if n.parent != nil {
		parent = n.parent.pid
	}
	return parent, n.group, n.sid
}

// process finds the process that a number means; 0 is the caller. The caller
// holds tree.mu.
func (k *task) process(pid int) (*node, error) {
	if pid == 0 {
		return k.p.node, nil
	}
	if n := k.p.tree.nodes[pid]; n != nil {
		return n, nil
	}
	return nil, unix.ESRCH
}

func sysGetppid(k *task, a *args) (int64, error) {
	parent, _, _ := k.p.node.relations()
	return int64(parent), nil
}

func sysGetpgrp(k *task, a *args) (int64, error) {
	_, group, _ := k.p.node.relations()
	return int64(group), nil
}

func sysGetpgid(k *task, a *args) (int64, error) {
	k.p.tree.mu.Lock()
	defer k.p.tree.mu.Unlock()
	n, err := k.process(int32Arg(a[0]))
	if err != nil {
		return 0, err
	}
	return int64(n.group), nil
}

func sysGetsid(k *task, a *args) (int64, error) {
	k.p.tree.mu.Lock()
	defer k.p.tree.mu.Unlock()
	n, err := k.process(int32Arg(a[0]))
	if err != nil {
		return 0, err
	}
	return int64(n.sid), nil
}

func sysSetpgid(k *task, a *args) (int64, error) {
	t := k.p.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := k.process(int32Arg(a[0]))
	if err != nil {
		return 0, err
	}
	group := int32Arg(a[1])
	if group == 0 {
		group = n.pid
	}
	switch {
	case group < 0:
		return 0, unix.EINVAL
	case n != k.p.node && n.parent != k.p.node:
		return 0, unix.ESRCH
	case n != k.p.node && n.execed:
		return 0, unix.EACCES
	case n.sid != k.p.node.sid || n.sid == n.pid:
		return 0, unix.EPERM
	}
	if group != n.pid {
		there := false
		t.members(group, func(m *node) { there = there || m.sid == n.sid })
		if !there {
			return 0, unix.EPERM
		}
	}
	n.group = group
	return 0, nil
}

func sysSetsid(k *task, a *args) (int64, error) {
	t, n := k.p.tree, k.p.node
	t.mu.Lock()
	defer t.mu.Unlock()
	leads := false
	t.members(n.pid, func(*node) { leads = true })
	if leads {
		return 0, unix.EPERM
	}
	n.group, n.sid = n.pid, n.pid
	return int64(n.pid), nil
}

// setForeground gives the terminal to a process group with the caller's session id.
func (k *task) setForeground(group int) error {
	t := k.p.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if group <= 0 {
		return unix.EINVAL
	}
	err := error(unix.ESRCH)
	t.members(group, func(n *node) {
		err = nil
		if n.sid != k.p.node.sid {
			err = unix.EPERM
		}
	})
	if err == nil {
		t.foreground = group
	}
	return err
}
