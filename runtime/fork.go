package runtime

import (
	"errors"
)

// ErrNoFork is returned for a thread or a domain that can't be copied: it is in a
// signal handler or inside a call of the host, there is dynamic code, it is of the
// classic ABI, or the host has functions or threads of its own in it.
var ErrNoFork = errors.New("halite: the domain can't be copied here: it is in a signal handler or a call of the host, or has dynamic code or functions of the host")

// Fork makes a copy of the thread's domain, in which the thread, waiting for the
// result of the call that is being served, is the only one: in the copy that result
// is 0. personality serves the copy; pid is the number of the thread there, and
// what it takes for its process id. The copy's memory is its own but for shared
// mappings; futexes, host functions and dynamic code are not copied. The thread
// runs when Start is called; one that is not started must be given to Drop, and
// the domain be closed.
//
// Call it from Personality.Syscall.
func (t *Thread) Fork(personality Personality, pid int) (*Thread, error) {
	t.dropDeadFrames()
	d := t.d
	if len(t.frames) > 0 || len(t.saved) > 0 || t.host || d.cfg.Classic || d.cfg.Invocable || d.host.slots.Load() != nil || d.existingDyncode() != nil {
		return nil, ErrNoFork
	}
	c, err := d.cage.Clone()
	if err != nil {
		return nil, err
	}
	cfg := d.cfg
	cfg.Personality, cfg.FirstThread, cfg.Symbolizer = personality, pid, nil
	child := newDomain(cfg, c)
	n, err := t.fork(child)
	if err != nil {
		c.Close()
		return nil, errors.Join(ErrNoFork, err)
	}
	n.ctx.Regs().RAX = 0
	if err := child.register(n); err != nil {
		n.release()
		c.Close()
		return nil, err
	}
	return n, nil
}

// Invocable reports whether threads of the guest may wait for calls of the host.
func (d *Domain) Invocable() bool { return d.cfg.Invocable }
