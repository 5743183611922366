package ld

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/halite-run/halite/loader"
)

// maxStaticTLS bounds the thread-local storage that every thread gets.
const maxStaticTLS = 256 << 20

// placeTLS gives thread-local storage to new objects. Initial modules lie below
// the thread pointer, the program's own right below it, each at a distance that
// makes its alignment come out (variant II of the TLS ABI). Modules that come
// later are allocated by the C library, thread by thread, on first use; those
// that initial-exec relocations refer to get a place in the spare bytes below
// the initial ones, which all threads have from their beginning.
func (l *Linker) placeTLS(list []*object) error {
	fresh := false
	for _, o := range list {
		t := o.file.TLS
		if t == nil {
			continue
		}
		fresh = true
		l.numberTLS(o)
		if l.started {
			continue
		}
		off := tlsOffset(l.tlsEnd, t)
		if off > maxStaticTLS {
			return fmt.Errorf("%s: more than %d bytes of thread-local storage for every thread", o, maxStaticTLS)
		}
		l.tlsEnd = uint32(off)
		o.tlsOffset = l.tlsEnd
		l.tlsMax = max(l.tlsMax, t.Align)
	}
	if !l.started || !fresh {
		return nil
	}
	// Before anything is relocated: what is relocated in parallel must not
	// change what fits.
	work := int64(maxWork)
	for _, o := range list {
		for _, table := range [...]loader.RelaTable{o.dyn.Rela, o.dyn.JmpRel} {
			if err := l.placeInitialExec(o, table, &work); err != nil {
				return err
			}
		}
	}
	return nil
}

// tlsOffset is how far below the thread pointer a block begins that ends end bytes below it,
// or a few more: its start must be congruent to the image's address modulo the alignment.
func tlsOffset(end uint32, t *loader.TLS) uint64 {
	off := uint64(end) + uint64(t.MemSize)
	return off + (-uint64(t.Addr)-off)&uint64(t.Align-1)
}

// numberTLS gives a new module the lowest number that is free. The C library has
// cleared what threads had under it; see RemovedTLS.
func (l *Linker) numberTLS(o *object) {
	i := l.tlsInitial
	for i < len(l.tls) && l.tls[i] != nil {
		i++
	}
	if !l.started || i == len(l.tls) {
		i = len(l.tls)
		l.tls = append(l.tls, nil)
	}
	l.tls[i] = o
	o.tlsID = i + 1
}

// releaseTLS makes a module's number and place free.
func (l *Linker) releaseTLS(o *object) {
	if o.tlsID == 0 {
		return
	}
	l.tls[o.tlsID-1] = nil
	for n := len(l.tls); n > 0 && l.tls[n-1] == nil; n-- {
		l.tls = l.tls[:n-1]
	}
	l.tlsAdded = slices.DeleteFunc(l.tlsAdded, func(x *object) bool { return x == o })
	o.tlsID, o.tlsOffset = 0, 0
}

// placeInitialExec gives a place to each new module that a TPOFF64 relocation of o refers to.
func (l *Linker) placeInitialExec(o *object, table loader.RelaTable, work *int64) error {
	for i := range table.Len() {
		r := table.At(i)
		if r.Type != relTPOff64 {
			continue
		}
		d := o
		if r.Symbol != 0 {
			b, err := l.resolve(o, r.Symbol, classData, work)
			if err != nil {
				return err
			}
			d = b.object
		}
		if d == nil || d.state != stateNew || d.tlsID == 0 || d.tlsOffset != 0 {
			continue // undefined and weak, placed, or for tlsRelocation to refuse
		}
		if err := l.placeSpare(d, o); err != nil {
			return err
		}
	}
	return nil
}

// placeSpare finds a place for a module in the spare bytes: the first that is large enough.
func (l *Linker) placeSpare(o, by *object) error {
	t := o.file.TLS
	if t.Align > max(l.tlsMax, 1) {
		return fmt.Errorf("%s: its thread-local storage, for initial-exec access by %s, must be aligned to %d bytes, and running threads have theirs aligned to %d: compile without -ftls-model=initial-exec",
			o, by, t.Align, max(l.tlsMax, 1))
	}
	var taken []*object
	free := l.tlsSpare
	for _, x := range l.tls[l.tlsInitial:] {
		if x != nil && x.tlsOffset != 0 {
			taken = append(taken, x)
			free -= x.file.TLS.MemSize
		}
	}
	slices.SortFunc(taken, func(a, b *object) int { return cmp.Compare(a.tlsOffset, b.tlsOffset) })
	end := l.tlsEnd
	for _, x := range taken {
		if tlsOffset(end, t) <= uint64(x.tlsOffset-x.file.TLS.MemSize) {
			break
		}
		end = x.tlsOffset
	}
	off := tlsOffset(end, t)
	if off > uint64(l.tlsEnd)+uint64(l.tlsSpare) {
		return fmt.Errorf("%s: its thread-local storage, for initial-exec access by %s, takes %d bytes aligned to %d of every running thread, where %d of %d are free: compile without -ftls-model=initial-exec",
			o, by, t.MemSize, t.Align, free, l.tlsSpare)
	}
	o.tlsOffset = uint32(off)
	return nil
}

// tlsRelocation applies DTPMOD64, DTPOFF64 or TPOFF64.
func (l *Linker) tlsRelocation(o *object, t *targets, r *loader.Rela, work *int64) error {
	at, ok := t.at(r.Offset, 8)
	if !ok {
		return &targetError{}
	}
	b := &binding{object: o}
	if r.Symbol != 0 {
		var err error
		if b, err = l.resolve(o, r.Symbol, classData, work); err != nil {
			return err
		}
		l.bind(o, b.object)
		if b.object != nil && b.symbol.Type() != loader.SymTLS && !(b.object == o && b.symbol.Bind() == loader.BindLocal) {
			return fmt.Errorf("%s: %s is wanted thread-local by %s, but is not", b.object, b.object.dyn.Name(b.symbol), o)
		}
	}
	var v uint64
	switch {
	case b.object == nil: // weak and undefined
	case b.object.tlsID == 0:
		return fmt.Errorf("%s: a thread-local reference to %s, which has no thread-local storage", o, b.object)
	case r.Type == relDTPMod64:
		v = uint64(b.object.tlsID)
	case r.Type == relDTPOff64:
		v = b.symbol.Value + uint64(r.Addend)
	case b.object.tlsOffset == 0:
		return fmt.Errorf("%s: initial-exec access to thread-local storage of %s, which dlopen loaded before, without a place in every thread: compile without -ftls-model=initial-exec", o, b.object)
	default:
		v = b.symbol.Value + uint64(r.Addend) - uint64(b.object.tlsOffset)
	}
	le.PutUint64(at, v)
	return nil
}

// TLSModule is what the C library must know of a module.
type TLSModule struct {
	ID       int
	Image    uint32 // initial contents, as an offset in the sandbox
	FileSize uint32
	MemSize  uint32
	Align    uint32
	Offset   uint32 // the block begins that far below the thread pointer; 0: allocated on demand
}

// TLSModule returns module i, counted from 1. ok is false when there is none,
// or none any more.
func (l *Linker) TLSModule(i int) (m TLSModule, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tlsModule(i)
}

func (l *Linker) tlsModule(i int) (m TLSModule, ok bool) {
	if i < 1 || i > len(l.tls) || l.tls[i-1] == nil {
		return TLSModule{}, false
	}
	o := l.tls[i-1]
	t := o.file.TLS
	return TLSModule{
		ID: i, Image: t.Addr + o.bias, FileSize: t.FileSize, MemSize: t.MemSize, Align: t.Align, Offset: o.tlsOffset,
	}, true
}

var errBadTLS = errors.New("the C library states an impossible size or alignment of thread-local storage")

// StartTLS tells the C library, before its first thread has thread-local storage, how many
// modules the program begins with, how many bytes they take below the thread pointer, and
// what it must be aligned to. In return the library says how many bytes more every thread
// will have below those, and what it aligns to in any case. What it says first counts.
func (l *Linker) StartTLS(spare, align uint64) (modules int, bytes, aligned uint32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.started {
		return 0, 0, 0, ErrStatic
	}
	if spare > maxStaticTLS || align == 0 || align > loader.MaxTLSAlign || align&(align-1) != 0 {
		return 0, 0, 0, errBadTLS
	}
	if !l.tlsTold {
		l.tlsTold, l.tlsSpare, l.tlsMax = true, uint32(spare), max(l.tlsMax, uint32(align))
	}
	return l.tlsInitial, l.tlsEnd, l.tlsMax, nil
}

// AddedTLS returns, once, each module that dlopen gave a place in the spare bytes of every
// thread. The C library copies the image there before it runs constructors.
func (l *Linker) AddedTLS() (m TLSModule, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tlsAdded) == 0 {
		return TLSModule{}, false
	}
	m, ok = l.tlsModule(l.tlsAdded[0].tlsID)
	l.tlsAdded = l.tlsAdded[1:]
	return m, ok
}

func (l *Linker) hasAddedTLS() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tlsAdded) > 0
}

// RemovedTLS returns the number of module i among those that Close's token stands for, or 0.
// The C library forgets what threads have under it before it calls Unload, from when on the
// number may be another module's.
func (l *Linker) RemovedTLS(token uint32, i uint64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.closing[token]; f != nil && i < uint64(len(f.tls)) {
		return f.tls[i]
	}
	return 0
}
