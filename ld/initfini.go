package ld

import (
	"errors"
	"slices"

	"github.com/halite-run/halite/loader"
)

// Thread is the guest thread on whose behalf the linker is called.
type Thread struct {
	ID   int
	Done <-chan struct{} // closed when the thread must stop waiting; may be nil
}

// ErrInterrupted is returned when a wait was cut short by Thread.Done.
var ErrInterrupted = errors.New("ld: interrupted")

type initState uint8

const (
	initNone initState = iota
	initRunning
	initDone
)

// batch is a list of objects whose constructors one thread is going to run. A
// thread has a stack of them: a constructor may call dlopen.
type batch struct {
	handle  uint32
	list    []*object
	preinit *object // the program, whose DT_PREINIT_ARRAY comes before all
	at      int
	current *object // the one whose constructors are being run
	step    int     // functions of current (or of preinit) handed out
}

// maxBatches bounds nested dlopen calls of one thread.
const maxBatches = 256

// initOrder lists an object and all that it needs, dependencies first.
func initOrder(root *object) []*object {
	var (
		order []*object
		stack = []*object{root}
		next  = map[*object]int{root: 0} // dependencies visited
	)
	// Depth first without recursion: a chain of libraries may be long.
	for len(stack) > 0 {
		o := stack[len(stack)-1]
		if i := next[o]; i < len(o.deps) {
			next[o]++
			if d := o.deps[i]; !has(next, d) {
				next[d] = 0
				stack = append(stack, d)
			}
			continue
		}
		stack = stack[:len(stack)-1]
		order = append(order, o)
	}
	return order
}

func has(m map[*object]int, o *object) bool {
	_, ok := m[o]
	return ok
}

// function returns the i-th function to call of an object: DT_INIT and
// DT_INIT_ARRAY, or DT_FINI_ARRAY backwards and DT_FINI. The arrays are read
// from the guest's memory at the time of the call; what the guest finds there is
// what it calls.
func (l *Linker) constructor(o *object, i int) (addr uint32, ok bool) {
	if o.dyn == nil {
		return 0, false
	}
	if o.dyn.Init != 0 {
		if i == 0 {
			return o.dyn.Init + o.bias, true
		}
		i--
	}
	return l.element(o, o.dyn.InitArray, i)
}

func (l *Linker) destructor(o *object, i int) (addr uint32, ok bool) {
	if o.dyn == nil {
		return 0, false
	}
	n := int(o.dyn.FiniArray.Size / 8)
	if i < n {
		return l.element(o, o.dyn.FiniArray, n-1-i)
	}
	if i == n && o.dyn.Fini != 0 {
		return o.dyn.Fini + o.bias, true
	}
	return 0, false
}

// element reads one word of an array of functions. What cannot be read, or is
// no address, is 0: skipped by the caller.
func (l *Linker) element(o *object, r loader.Range, i int) (addr uint32, ok bool) {
	if i >= int(r.Size/8) {
		return 0, false
	}
	v, err := l.mem.Load64(r.Addr + o.bias + uint32(i)*8)
	if err != nil || v == 0 || v == ^uint64(0) {
		return 0, true
	}
	return uint32(v), true
}

// NextInit returns the next constructor that the thread must call after Open
// returned handle, or after the program was loaded (handle 0), and 0 when there
// are no more. Asking for the next one says that the last one has returned.
//
// It waits when another thread is running the constructors of an object that
// this one needs, except where both would wait for each other.
func (l *Linker) NextInit(t Thread, handle uint32) (addr uint32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.batch(t.ID, handle)
	if b == nil {
		return 0, nil
	}
	for {
		if o := b.preinit; o != nil {
			b.step++
			if addr, ok := l.element(o, o.dyn.PreinitArray, b.step-1); !ok {
				b.preinit, b.step = nil, 0
			} else if addr != 0 {
				l.trace("%s: calling preinit %#x", o, addr)
				return addr, nil
			}
			continue
		}
		if o := b.current; o != nil {
			b.step++
			if addr, ok := l.constructor(o, b.step-1); !ok {
				b.current = nil
				l.initialised(o)
			} else if addr != 0 {
				l.trace("%s: calling init %#x", o, addr)
				return addr, nil
			}
			continue
		}
		if b.at == len(b.list) {
			l.dropBatch(t.ID, b)
			return 0, nil
		}
		o := b.list[b.at]
		switch {
		case o.init == initNone:
			o.init, o.initBy = initRunning, t.ID
			l.finis = append(l.finis, o)
			b.current, b.step = o, 0
			b.at++
		case o.init == initRunning && o.initBy != t.ID && !l.wouldDeadlock(t.ID, o.initBy):
			l.waiting[t.ID] = o.initBy
			l.mu.Unlock()
			select {
			case <-o.ready:
			case <-t.Done:
				err = ErrInterrupted
			}
			l.mu.Lock()
			delete(l.waiting, t.ID)
			if err != nil {
				return 0, err
			}
		default:
			b.at++
		}
	}
}

// batch returns the innermost list of constructors of a thread, if it belongs
// to handle.
func (l *Linker) batch(thread int, handle uint32) *batch {
	if handle == 0 && l.start != nil {
		l.batches[thread] = append(l.batches[thread], l.start)
		l.start = nil
	}
	if s := l.batches[thread]; len(s) > 0 && s[len(s)-1].handle == handle {
		return s[len(s)-1]
	}
	return nil
}

func (l *Linker) dropBatch(thread int, b *batch) {
	s := l.batches[thread]
	s = slices.DeleteFunc(s, func(x *batch) bool { return x == b })
	if len(s) == 0 {
		delete(l.batches, thread)
	} else {
		l.batches[thread] = s
	}
}

// wouldDeadlock tells whether owner waits, perhaps through others, for thread.
func (l *Linker) wouldDeadlock(thread, owner int) bool {
	for range len(l.waiting) + 1 {
		if owner == thread {
			return true
		}
		next, ok := l.waiting[owner]
		if !ok {
			return false
		}
		owner = next
	}
	return false
}

func (l *Linker) initialised(o *object) {
	if o.init != initDone {
		o.init = initDone
		close(o.ready)
	}
}

// ThreadExit forgets a thread. Constructors that it was running count as done,
// so that nobody waits for them for ever.
func (l *Linker) ThreadExit(id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.batches[id] {
		if b.current != nil {
			l.initialised(b.current)
		}
	}
	delete(l.batches, id)
	delete(l.errors, id)
}

// finalizer is a list of objects whose destructors are being run.
type finalizer struct {
	list []*object        // in the order of the calls
	dead map[*object]bool // what Unload removes; nil at exit
	tls  []int            // its modules' numbers
	at   int
	step int
}

// next returns the next destructor, 0 at the end.
func (l *Linker) next(f *finalizer) uint32 {
	for f.at < len(f.list) {
		o := f.list[f.at]
		addr, ok := l.destructor(o, f.step)
		if !ok {
			f.at++
			f.step = 0
			continue
		}
		f.step++
		if addr != 0 {
			l.trace("%s: calling fini %#x", o, addr)
			return addr
		}
	}
	return 0
}

// NextFini returns the next destructor that the thread must call, and 0 when
// there are no more: with a token of Close, of the objects that are about to
// be unloaded; with token 0, of everything, because the program ends. Objects
// whose constructors have not all returned are left out.
func (l *Linker) NextFini(token uint32) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if token != 0 {
		if f := l.closing[token]; f != nil {
			return l.next(f)
		}
		return 0
	}
	if l.exiting == nil {
		l.exiting = &finalizer{}
	}
	for {
		if addr := l.next(l.exiting); addr != 0 {
			return addr
		}
		// Destructors may load further objects: look again.
		*l.exiting = finalizer{list: l.finiList(func(*object) bool { return true })}
		if len(l.exiting.list) == 0 {
			return 0
		}
	}
}

// finiList takes the objects whose destructors are due, latest constructed
// first, and marks them as done.
func (l *Linker) finiList(due func(*object) bool) []*object {
	var list []*object
	for _, o := range slices.Backward(l.finis) {
		if o.init == initDone && !o.fini && due(o) {
			o.fini = true
			list = append(list, o)
		}
	}
	return list
}
