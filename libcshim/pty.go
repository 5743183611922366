package libcshim

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// Pseudo terminals are made here and not by the host's kernel: two queues with a line
// discipline between them, known to one tree of processes. Of the discipline there is what
// programs ask for: canonical and raw mode, echo, erasing, the characters that
// send signals, and the translation of line ends. Nothing is ever stopped, so that flow
// control and job control are not there.

// ptys are the pseudo terminals of a tree by number.
type ptys struct {
	mu  sync.Mutex
	all map[int]*pty
}

const (
	maxPTYs = 64
	// What a terminal holds for its reader, before and after the line is complete; as
	// much as a pipe for the other direction.
	maxPTYInput  = 4096
	maxPTYOutput = pipeSize
)

// pty is one of them.
type pty struct {
	watchers
	t      *tree
	number int

	mu      sync.Mutex
	termios unix.Termios
	size    [8]byte  // struct winsize
	line    []byte   // typed, not complete
	lines   [][]byte // complete: one is what one read returns, empty for the end of the file
	held    int      // bytes of both
	raw     []byte   // typed, without canonical mode
	out     []byte   // for the master
	master  bool     // is open
	slaves  int      // open ends
	used    bool     // there was a slave

	// sid is the session whose controlling terminal it is, foreground its group that
	// signals go to. Guarded by tree.mu.
	sid, foreground int
}

// newPTY makes one, with its master open.
func (p *ptys) newPTY(t *tree) (*pty, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) >= maxPTYs {
		return nil, unix.ENOSPC
	}
	if p.all == nil {
		p.all = map[int]*pty{}
	}
	n := 0
	for p.all[n] != nil {
		n++
	}
	y := &pty{t: t, number: n, master: true}
	y.termios = unix.Termios{
		Iflag: unix.ICRNL | unix.IXON, Oflag: unix.OPOST | unix.ONLCR, Cflag: unix.B38400 | unix.CS8 | unix.CREAD,
		Lflag: unix.ISIG | unix.ICANON | unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHOCTL | unix.ECHOKE | unix.IEXTEN,
	}
	for at, c := range map[int]byte{
		unix.VINTR: 3, unix.VQUIT: 0x1c, unix.VERASE: 0x7f, unix.VKILL: 0x15, unix.VEOF: 4, unix.VMIN: 1, unix.VSTART: 0x11, unix.VSTOP: 0x13,
		unix.VSUSP: 0x1a, unix.VREPRINT: 0x12, unix.VDISCARD: 0xf, unix.VWERASE: 0x17, unix.VLNEXT: 0x16,
	} {
		y.termios.Cc[at] = c
	}
	p.all[n] = y
	return y, nil
}

func (p *ptys) get(n int) *pty {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[n]
}

// Numbers implements namespace.Terminals.
func (p *ptys) Numbers() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]int, 0, len(p.all))
	for n := range p.all {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// of is the controlling terminal of a session. The caller holds tree.mu.
func (p *ptys) of(sid int) *pty {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, y := range p.all {
		if y.sid == sid {
			return y
		}
	}
	return nil
}

// leaderEnds takes the terminal from the session of a process that ends, and tells those
// who had it. The caller holds tree.mu.
func (p *ptys) leaderEnds(n *node) {
	y := p.of(n.pid)
	if y == nil || n.sid != n.pid {
		return
	}
	n.tree.members(y.foreground, func(m *node) {
		if m != n && m.sid == y.sid {
			_ = m.send(siginfo{signo: int(unix.SIGHUP), code: siKernel})
			_ = m.send(siginfo{signo: int(unix.SIGCONT), code: siKernel})
		}
	})
	y.sid, y.foreground = 0, 0
}

// forget frees the number of one whose ends are all closed.
func (p *ptys) forget(y *pty) {
	p.mu.Lock()
	defer p.mu.Unlock()
	y.mu.Lock()
	defer y.mu.Unlock()
	if !y.master && y.slaves == 0 && p.all[y.number] == y {
		delete(p.all, y.number)
	}
}

// openTerminal opens /dev/ptmx, with number -1, or a slave.
func (k *task) openTerminal(number, flags int) (namespace.File, error) {
	p := &k.p.tree.ptys
	if number < 0 {
		y, err := p.newPTY(k.p.tree)
		if err != nil {
			return nil, err
		}
		return &ptyMaster{pty: y}, nil
	}
	y := p.get(number)
	if y == nil {
		return nil, unix.ENOENT
	}
	s, err := y.openSlave()
	if err == nil && flags&unix.O_NOCTTY == 0 {
		_ = k.takeTerminal(y) // who can't have it opens it all the same
	}
	return s, err
}

func (y *pty) openSlave() (*ptySlave, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if !y.master {
		return nil, unix.EIO
	}
	y.slaves++
	y.used = true
	return &ptySlave{pty: y}, nil
}

// takeTerminal makes it the controlling terminal of the caller's session.
func (k *task) takeTerminal(y *pty) error {
	t, n := k.p.tree, k.p.node
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case y.sid == n.sid:
		return nil
	case n.sid != n.pid || y.sid != 0 || n.sid == firstPID || t.ptys.of(n.sid) != nil:
		return unix.EPERM
	}
	y.sid, y.foreground = n.sid, n.group
	return nil
}

// signal sends what was typed, or the end of the line, to the foreground group. No lock of
// a terminal may be held.
func (y *pty) signal(signals ...unix.Signal) {
	t := y.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if y.foreground == 0 {
		return
	}
	t.members(y.foreground, func(n *node) {
		if n.sid != y.sid {
			return
		}
		for _, s := range signals {
			_ = n.send(siginfo{signo: int(s), code: siKernel})
		}
	})
}

// typed is what happens to one byte that the master writes. It returns the signal that
// it means, or 0. The caller holds mu.
func (y *pty) typed(c byte) unix.Signal {
	tio := &y.termios
	char := func(at int) bool { return tio.Cc[at] == c && c != 0 }
	switch {
	case c == '\r' && tio.Iflag&unix.IGNCR != 0:
		return 0
	case c == '\r' && tio.Iflag&unix.ICRNL != 0:
		c = '\n'
	case c == '\n' && tio.Iflag&unix.INLCR != 0:
		c = '\r'
	}
	if tio.Iflag&unix.ISTRIP != 0 {
		c &= 0x7f
	}
	if tio.Lflag&unix.ISIG != 0 {
		for at, s := range map[int]unix.Signal{unix.VINTR: unix.SIGINT, unix.VQUIT: unix.SIGQUIT, unix.VSUSP: unix.SIGTSTP} {
			if char(at) {
				y.echo(c)
				if tio.Lflag&unix.NOFLSH == 0 {
					y.dropInput()
				}
				return s
			}
		}
	}
	if tio.Lflag&unix.ICANON == 0 {
		if len(y.raw) < maxPTYInput {
			y.raw = append(y.raw, c)
			y.echo(c)
		}
		return 0
	}
	switch {
	case char(unix.VERASE):
		if n := len(y.line); n > 0 {
			y.erase(1)
		}
	case char(unix.VKILL):
		y.erase(len(y.line))
	case char(unix.VWERASE) && tio.Lflag&unix.IEXTEN != 0:
		word := bytes.TrimRight(y.line, " \t")
		y.erase(len(y.line) - (bytes.LastIndexAny(word, " \t") + 1))
	case char(unix.VEOF):
		y.complete()
	case c == '\n' || char(unix.VEOL) || char(unix.VEOL2):
		y.echo(c)
		y.line = append(y.line, c)
		y.held++
		y.complete()
	case y.held < maxPTYInput-1: // room for the end of the line is kept
		y.line = append(y.line, c)
		y.held++
		y.echo(c)
	}
	return 0
}

// complete gives the line to the reader, unless there is no room for more of them.
func (y *pty) complete() {
	if len(y.lines) < maxPTYInput {
		y.lines = append(y.lines, y.line)
	} else {
		y.held -= len(y.line)
	}
	y.line = nil
}

func (y *pty) dropInput() { y.line, y.lines, y.raw, y.held = nil, nil, nil, 0 }

// erase takes characters off the line, and off the screen.
func (y *pty) erase(n int) {
	tio := &y.termios
	for ; n > 0 && len(y.line) > 0; n-- {
		last := len(y.line) - 1
		c := y.line[last]
		y.line = y.line[:last]
		y.held--
		if c&0xc0 == 0x80 {
			n++ // within a character of UTF-8
			continue
		}
		if tio.Lflag&unix.ECHO == 0 {
			continue
		}
		y.put([]byte("\b \b"))
		if tio.Lflag&unix.ECHOCTL != 0 && (c < ' ' && c != '\t' || c == 0x7f) {
			y.put([]byte("\b \b"))
		}
	}
}

func (y *pty) echo(c byte) {
	tio := &y.termios
	switch {
	case c == '\n' && tio.Lflag&(unix.ECHO|unix.ECHONL) != 0:
		y.process([]byte{c})
	case tio.Lflag&unix.ECHO == 0:
	case tio.Lflag&unix.ECHOCTL != 0 && (c < ' ' && c != '\t' && c != '\n' || c == 0x7f):
		y.put([]byte{'^', c ^ 0x40})
	default:
		y.process([]byte{c})
	}
}

// put adds to what the master reads; what has no room is lost, as an echo may be.
func (y *pty) put(b []byte) {
	y.out = append(y.out, b[:min(len(b), max(0, maxPTYOutput-len(y.out)))]...)
}

// process puts bytes with their line ends translated and returns how many of them.
func (y *pty) process(b []byte) int {
	tio := &y.termios
	for i, c := range b {
		text := []byte{c}
		if tio.Oflag&unix.OPOST != 0 {
			switch {
			case c == '\n' && tio.Oflag&unix.ONLCR != 0:
				text = []byte("\r\n")
			case c == '\r' && tio.Oflag&unix.OCRNL != 0:
				text = []byte("\n")
			}
		}
		if len(y.out)+len(text) > maxPTYOutput {
			return i
		}
		y.out = append(y.out, text...)
	}
	return len(b)
}

// ptyMaster is the end of who shows the terminal.
type ptyMaster struct {
	namespace.Unsupported
	*pty
}

func (m *ptyMaster) name() string              { return "/dev/ptmx" }
func (m *ptyMaster) watch(t *runtime.Thread)   { m.pty.watch(t) }
func (m *ptyMaster) unwatch(t *runtime.Thread) { m.pty.unwatch(t) }

func (m *ptyMaster) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 6, Ino: 2, Nlink: 1, Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(5, 2), Blksize: 4096}, nil
}

func (m *ptyMaster) Read(b []byte) (int, error) {
	m.mu.Lock()
	n := copy(b, m.out)
	m.out = m.out[n:]
	gone := m.used && m.slaves == 0
	m.mu.Unlock()
	switch {
	case n > 0:
		m.notify()
		return n, nil
	case gone:
		return 0, unix.EIO
	}
	return 0, unix.EAGAIN
}

func (m *ptyMaster) Write(b []byte) (int, error) {
	var signals []unix.Signal
	n := 0
	m.mu.Lock()
	for _, c := range b {
		if m.termios.Lflag&unix.ICANON == 0 && len(m.raw) >= maxPTYInput {
			break
		}
		if s := m.typed(c); s != 0 && len(signals) < numSignals {
			signals = append(signals, s)
		}
		n++
	}
	m.mu.Unlock()
	m.notify()
	if len(signals) > 0 {
		m.signal(signals...)
	}
	if n == 0 && len(b) > 0 {
		return 0, unix.EAGAIN
	}
	return n, nil
}

func (m *ptyMaster) ready(events int16) int16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var r int16
	if len(m.out) > 0 {
		r |= events & (unix.POLLIN | pollRdNorm)
	}
	if len(m.raw) < maxPTYInput {
		r |= events & (unix.POLLOUT | pollWrNorm)
	}
	if m.used && m.slaves == 0 {
		r |= unix.POLLHUP
	}
	return r
}

func (m *ptyMaster) pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.out)
}

func (m *ptyMaster) Close() error {
	m.mu.Lock()
	m.master = false
	m.mu.Unlock()
	m.notify()
	m.signal(unix.SIGHUP, unix.SIGCONT)
	m.t.ptys.forget(m.pty)
	return nil
}

// ptySlave is the end of who uses it.
type ptySlave struct {
	namespace.Unsupported
	*pty
}

func (s *ptySlave) name() string              { return fmt.Sprintf("/dev/pts/%d", s.number) }
func (s *ptySlave) watch(t *runtime.Thread)   { s.pty.watch(t) }
func (s *ptySlave) unwatch(t *runtime.Thread) { s.pty.unwatch(t) }

func (s *ptySlave) Stat() (namespace.Stat, error) {
	return namespace.Stat{Dev: 6, Ino: 3 + uint64(s.number), Nlink: 1, Mode: unix.S_IFCHR | 0o620, Rdev: unix.Mkdev(136, uint32(s.number)), Blksize: 4096}, nil
}

func (s *ptySlave) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	switch {
	case len(s.lines) > 0:
		n := copy(b, s.lines[0])
		if n < len(s.lines[0]) {
			s.lines[0] = s.lines[0][n:]
		} else {
			s.lines = s.lines[1:]
		}
		s.held -= n
		s.notify()
		return n, nil
	case len(s.raw) > 0:
		n := copy(b, s.raw)
		s.raw = s.raw[n:]
		s.notify()
		return n, nil
	case !s.master || s.termios.Lflag&unix.ICANON == 0 && s.termios.Cc[unix.VMIN] == 0:
		return 0, nil
	}
	return 0, unix.EAGAIN
}

func (s *ptySlave) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.master {
		return 0, unix.EIO
	}
	n := s.process(b)
	s.notify()
	if n == 0 && len(b) > 0 {
		return 0, unix.EAGAIN
	}
	return n, nil
}

func (s *ptySlave) ready(events int16) int16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var r int16
	if len(s.lines) > 0 || len(s.raw) > 0 || !s.master {
		r |= events & (unix.POLLIN | pollRdNorm)
	}
	if len(s.out) < maxPTYOutput-1 || !s.master {
		r |= events & (unix.POLLOUT | pollWrNorm)
	}
	if !s.master {
		r |= unix.POLLHUP | unix.POLLERR
	}
	return r
}

func (s *ptySlave) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) > 0 {
		return len(s.lines[0])
	}
	return len(s.raw)
}

func (s *ptySlave) Close() error {
	s.mu.Lock()
	s.slaves--
	s.mu.Unlock()
	s.notify()
	s.t.ptys.forget(s.pty)
	return nil
}

// Requests that golang.org/x/sys has under no name, or that are rare.
const (
	tioNoCTTY   = 0x5422
	tioGetSID   = 0x5429
	tioGetPTN   = 0x80045430
	tioSetLock  = 0x40045431
	tioGetLock  = 0x80045439
	tioFlush    = 0x540b
	tioSendBrk  = 0x5409
	tioXON      = 0x540a
	flushInput  = 0
	flushOutput = 1
	flushBoth   = 2
)

// ptyIoctl serves either end.
func (k *task) ptyIoctl(y *pty, master bool, req uint, addr uint64) (int64, error) {
	t := k.p.tree
	switch req {
	case unix.TCGETS:
		y.mu.Lock()
		b := encodeTermios(&y.termios)
		y.mu.Unlock()
		return 0, k.write(addr, b)
	case unix.TCSETS, unix.TCSETSW, unix.TCSETSF:
		var b [termiosSize]byte
		if err := k.read(addr, b[:]); err != nil {
			return 0, err
		}
		y.mu.Lock()
		was := y.termios.Lflag & unix.ICANON
		decodeTermios(&y.termios, b[:])
		if req == unix.TCSETSF {
			y.dropInput()
		}
		if now := y.termios.Lflag & unix.ICANON; now != was && now == 0 {
			// What was typed so far can be read as it is.
			y.raw = append(append(y.raw, bytes.Join(y.lines, nil)...), y.line...)
			y.line, y.lines, y.held = nil, nil, 0
		}
		y.mu.Unlock()
		y.notify()
		return 0, nil
	case unix.TIOCGWINSZ:
		y.mu.Lock()
		b := y.size
		y.mu.Unlock()
		return 0, k.write(addr, b[:])
	case unix.TIOCSWINSZ:
		var b [8]byte
		if err := k.read(addr, b[:]); err != nil {
			return 0, err
		}
		y.mu.Lock()
		changed := y.size != b
		y.size = b
		y.mu.Unlock()
		if changed {
			y.signal(unix.SIGWINCH)
		}
		return 0, nil
	case tioFlush:
		what := int32Arg(addr)
		if what < flushInput || what > flushBoth {
			return 0, unix.EINVAL
		}
		if master && what != flushBoth {
			what = flushInput + flushOutput - what
		}
		y.mu.Lock()
		if what != flushOutput {
			y.dropInput()
		}
		if what != flushInput {
			y.out = nil
		}
		y.mu.Unlock()
		y.notify()
		return 0, nil
	case tioSendBrk, tioXON:
		return 0, nil // there is no wire
	case unix.TIOCOUTQ:
		return 0, k.store32(addr, 0) // what is written is with the master
	case tioGetSID, unix.TIOCGPGRP:
		t.mu.Lock()
		n, own := y.foreground, y.sid != 0 && (master || y.sid == k.p.node.sid)
		if req == tioGetSID {
			n = y.sid
		}
		t.mu.Unlock()
		if !own {
			if master && req == unix.TIOCGPGRP {
				return 0, k.store32(addr, 0)
			}
			return 0, unix.ENOTTY
		}
		return 0, k.store32(addr, uint32(n))
	case unix.TIOCSPGRP:
		group, err := k.p.mem.Load32(uint32(addr))
		if err != nil {
			return 0, err
		}
		return 0, k.setPTYForeground(y, int(int32(group)))
	case unix.TIOCSCTTY:
		return 0, k.takeTerminal(y)
	case tioNoCTTY:
		t.mu.Lock()
		defer t.mu.Unlock()
		if y.sid != k.p.node.sid {
			return 0, unix.ENOTTY
		}
		if k.p.node.pid == y.sid {
			y.sid, y.foreground = 0, 0
		}
		return 0, nil
	}
	if !master {
		return 0, unix.ENOTTY
	}
	switch req {
	case tioGetPTN:
		return 0, k.store32(addr, uint32(y.number))
	case tioGetLock:
		return 0, k.store32(addr, 0) // never locked: nobody but the tree knows it
	case tioSetLock:
		_, err := k.p.mem.Load32(uint32(addr))
		return 0, err
	}
	return 0, unix.ENOTTY
}

func (k *task) setPTYForeground(y *pty, group int) error {
	t := k.p.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case y.sid != k.p.node.sid:
		return unix.ENOTTY
	case group <= 0:
		return unix.EINVAL
	}
	err := error(unix.ESRCH)
	t.members(group, func(n *node) {
		err = nil
		if n.sid != y.sid {
			err = unix.EPERM
		}
	})
	if err == nil {
		y.foreground = group
	}
	return err
}

// encodeTermios and decodeTermios are for the kernel's struct termios.
func encodeTermios(t *unix.Termios) []byte {
	b := make([]byte, termiosSize)
	le.PutUint32(b[0:], t.Iflag)
	le.PutUint32(b[4:], t.Oflag)
	le.PutUint32(b[8:], t.Cflag)
	le.PutUint32(b[12:], t.Lflag)
	b[16] = t.Line
	copy(b[17:], t.Cc[:])
	return b
}

func decodeTermios(t *unix.Termios, b []byte) {
	t.Iflag, t.Oflag = le.Uint32(b[0:]), le.Uint32(b[4:])
	t.Cflag, t.Lflag = le.Uint32(b[8:]), le.Uint32(b[12:])
	copy(t.Cc[:], b[17:])
}
