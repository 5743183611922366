package imc

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller tells descriptors of the kernel apart that somebody waits for. It is one
// epoll set for the process, which itself waits in Go's own poller, so no thread is
// spent on it. It exists only while something is registered, and a moment longer.
//
// O_NONBLOCK is never used: it belongs to the open file description, which other
// processes share. All calls carry MSG_DONTWAIT instead.
type poller struct {
	mu   sync.Mutex
	fd   int
	file *os.File
	raw  syscall.RawConn
	regs map[int32]*kfd
	idle *time.Timer // stops it, if nothing is registered by then
}

const pollerLinger = 100 * time.Millisecond

var thePoller = poller{fd: -1}

// Everything is watched at once, edge-triggered.
const pollEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff

// add registers k, whose lock is held. An event comes at once if k is ready.
func (p *poller) add(k *kfd) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		if err := p.start(); err != nil {
			return err
		}
	}
	p.generation()
	k.gen = pollGeneration
	ev := unix.EpollEvent{Events: pollEvents, Fd: int32(k.fd), Pad: k.gen}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, k.fd, &ev); err != nil {
		p.linger()
		return err
	}
	p.regs[int32(k.fd)] = k
	return nil
}

// pollGeneration tells registrations of one number apart: an event may be read
// after its descriptor was closed and the number given to another.
var pollGeneration int32

func (p *poller) generation() { pollGeneration++ }

// del is called with k's lock held, before its descriptor is closed.
func (p *poller) del(k *kfd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.regs[int32(k.fd)] != k {
		return
	}
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, k.fd, nil)
	delete(p.regs, int32(k.fd))
	p.linger()
}

// linger has the poller stop soon if nothing is registered.
func (p *poller) linger() {
	if len(p.regs) > 0 {
		return
	}
	if p.idle != nil {
		p.idle.Reset(pollerLinger)
		return
	}
	file := p.file
	p.idle = time.AfterFunc(pollerLinger, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.file == file && len(p.regs) == 0 {
			p.stop()
		}
	})
}

func (p *poller) start() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return err
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return err
	}
	p.fd, p.file, p.raw, p.regs = fd, file, raw, make(map[int32]*kfd)
	go p.run(fd, file, raw)
	return nil
}

func (p *poller) stop() {
	_ = p.file.Close()
	p.fd, p.file, p.raw, p.regs, p.idle = -1, nil, nil, nil, nil
}

// run ends when the file is closed.
func (p *poller) run(fd int, file *os.File, raw syscall.RawConn) {
	events := make([]unix.EpollEvent, 64)
	targets := make([]*kfd, 0, len(events))
	for {
		n := 0
		err := raw.Read(func(uintptr) bool {
			var err error
			n, err = unix.EpollWait(fd, events, 0)
			if err != nil {
				n = 0
			}
			return n > 0
		})
		if err != nil {
			return
		}
		targets = targets[:0]
		p.mu.Lock()
		current := p.file == file
		for i := range events[:n] {
			k := p.regs[events[i].Fd]
			if !current || k == nil || k.gen != events[i].Pad {
				k = nil
			}
			targets = append(targets, k)
		}
		p.mu.Unlock()
		for i, k := range targets {
			if k != nil {
				k.event(events[i].Events)
			}
			targets[i] = nil
		}
	}
}
