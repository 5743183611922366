package runtime

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// A Profile collects where guests spend processor time: at which instruction, and who
// called it, SIGPROF found a thread of the domains whose Config names it. That signal
// comes while the Go program's own CPU profile runs (pprof.StartCPUProfile), 100 times a
// second of each thread's processor time; what it finds in Go code is that profile's
// business. A thread that has been in one and the same call of the guest since before the
// profile began is not found. Domains of the classic ABI are not profiled. The zero value is ready, and
// its methods are safe for use from any goroutine.
type Profile struct {
	mu     sync.Mutex
	stacks map[string]*ProfiledStack
	lost   int64
}

// A ProfiledStack was found Count times. The innermost frame is the first.
type ProfiledStack struct {
	Frames []Frame
	Count  int64
}

// drainPeriod is less than what the engine has room for.
const drainPeriod = time.Second

// Stacks returns what was collected until about a second ago, and all of it for threads
// that have ended. lost is how often there was no room to note a stack.
func (p *Profile) Stacks() (list []ProfiledStack, lost int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.stacks {
		list = append(list, *s)
	}
	return list, p.lost
}

// take collects what the engine has noted of a thread. No locks are held: symbols are
// looked up.
func (p *Profile) take(t *Thread) {
	var found [][]uint32
	t.mu.Lock()
	lost := 0
	if t.ctx != nil {
		lost = t.ctx.EachSample(func(s []uint32) { found = append(found, slices.Clone(s)) })
	}
	t.mu.Unlock()
	for _, s := range found {
		p.add(t.d, s)
	}
	p.mu.Lock()
	p.lost += int64(lost)
	p.mu.Unlock()
}

func (p *Profile) add(d *Domain, stack []uint32) {
	frames := make([]Frame, len(stack))
	var key []byte
	for i, pc := range stack {
		lookup := pc
		if i > 0 {
			lookup-- // a return address may be the next function's
		}
		f := d.frame(pc, lookup)
		frames[i] = f
		key = binary.LittleEndian.AppendUint32(key, pc)
		key = append(append(append(key, f.Symbol.Object...), 0), f.Symbol.Function...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.stacks[string(key)]; s != nil {
		s.Count++
		return
	}
	if p.stacks == nil {
		p.stacks = map[string]*ProfiledStack{}
	}
	p.stacks[string(key)] = &ProfiledStack{frames, 1}
}

// profile collects until the domain ends.
func (d *Domain) profile() {
	t := time.NewTicker(drainPeriod)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-d.done:
			return // each thread does it at its end
		}
		for _, t := range d.Threads() {
			d.cfg.Profile.take(t)
		}
	}
}
