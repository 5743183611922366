package ld

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/halite-run/halite/loader"
)

var le = binary.LittleEndian

// Relocation types of x86-64.
const (
	relNone      = 0
	rel64        = 1
	relPC32      = 2
	relPLT32     = 4
	relCopy      = 5
	relGlobDat   = 6
	relJumpSlot  = 7
	relRelative  = 8
	rel32        = 10
	rel32S       = 11
	relDTPMod64  = 16
	relDTPOff64  = 17
	relTPOff64   = 18
	relPC64      = 24
	relSize32    = 32
	relSize64    = 33
	relTLSDesc   = 36
	relIRelative = 37
)

// targets finds the bytes to relocate, quickly while they stay in one segment.
type targets struct {
	o    *object
	base uint64
	data []byte
}

// at returns n bytes at an address of the file.
func (t *targets) at(addr, n uint64) ([]byte, bool) {
	if off := addr - t.base; off <= uint64(len(t.data)) && n <= uint64(len(t.data))-off {
		return t.data[off : off+n : off+n], true
	}
	b, ok := t.o.image.Data(addr, n)
	if !ok {
		return nil, false
	}
	for i := range t.o.file.Segments {
		if s := &t.o.file.Segments[i]; addr >= uint64(s.Addr) && addr < s.End() {
			t.base, t.data = uint64(s.Addr), t.o.image.Staged(i)
		}
	}
	return b, true
}

func (o *object) badTarget(what string, addr uint64) error {
	return fmt.Errorf("%s: %s: address %#x is not in a writable segment of the object: only its own data is relocated", o, what, addr)
}

// parallel is where relocation begins to pay on several processors: a tenth of a
// millisecond of look-ups.
const parallel = 500

// relocateAll relocates objects that have been added, each of which changes nothing but
// its own data; the program is last, since a copy relocation wants its source relocated.
// The error is that of the last object, as if they had been done in turn from the end.
func (l *Linker) relocateAll(list []*object) error {
	n := 0
	for _, o := range list {
		n += o.dyn.Rela.Len() + o.dyn.JmpRel.Len()
	}
	workers := min(runtime.GOMAXPROCS(0), len(list)-1, n/parallel)
	if l.cfg.Trace != nil {
		workers = 1 // in an order that can be read
	}
	work := int64(maxWork)
	var answers []binding
	if workers <= 1 {
		for i := len(list) - 1; i >= 0; i-- {
			if err := l.relocate(list[i], &answers, &work); err != nil {
				return err
			}
		}
		return nil
	}
	l.buildIndex()
	last := max(0, slices.Index(list, l.main))
	errs := make([]error, len(list))
	var next atomic.Int64
	var wg sync.WaitGroup
	next.Store(int64(len(list)))
	for range workers {
		wg.Go(func() {
			work := work / int64(workers)
			var answers []binding
			for {
				i := int(next.Add(-1))
				if i < 0 {
					return
				}
				if i != last {
					errs[i] = l.relocate(list[i], &answers, &work)
				}
			}
		})
	}
	wg.Wait()
	for i := len(list) - 1; i >= 0; i-- {
		if errs[i] != nil {
			return errs[i]
		}
	}
	return l.relocate(list[last], &answers, &work)
}

// relocate applies all relocations of an object to the host's copy of its data.
//
// Addresses are offsets in the sandbox: the load bias is one, and so is every
// value. 64-bit arithmetic wraps, as the format says; 32-bit fields are checked.
//
// The memory for what its symbols are bound to is lent by the caller: fresh memory for
// each object would take longer than a third of the look-ups.
func (l *Linker) relocate(o *object, answers *[]binding, work *int64) error {
	if o.resolved == nil {
		o.resolved = (*answers)[:0]
	}
	defer func() { *answers, o.resolved = o.resolved, nil }()
	t := &targets{o: o}
	if err := l.relocateRelr(o, t); err != nil {
		return err
	}
	if err := l.relocateTable(o, t, o.dyn.Rela, "DT_RELA", work); err != nil {
		return err
	}
	if err := l.relocateTable(o, t, o.dyn.JmpRel, "DT_JMPREL", work); err != nil {
		return err
	}
	if l.cfg.Trace != nil {
		l.trace("%s: %d relocations done", o, o.dyn.Rela.Len()+o.dyn.JmpRel.Len())
	}
	return nil
}

func (l *Linker) relocateRelr(o *object, t *targets) error {
	var err error
	bias := uint64(o.bias)
	o.dyn.EachRelr(func(addr uint64) bool {
		b, ok := t.at(addr, 8)
		if !ok {
			err = o.badTarget("DT_RELR", addr)
			return false
		}
		le.PutUint64(b, le.Uint64(b)+bias)
		return true
	})
	return err
}

func (l *Linker) relocateTable(o *object, t *targets, table loader.RelaTable, what string, work *int64) error {
	bias := uint64(o.bias)
	for i := range table.Len() {
		r := table.At(i)
		if r.Type == relRelative {
			b, ok := t.at(r.Offset, 8)
			if !ok {
				return o.badTarget(fmt.Sprintf("%s entry %d", what, i), r.Offset)
			}
			le.PutUint64(b, bias+uint64(r.Addend))
			continue
		}
		if err := l.relocateOne(o, t, &r, work); err != nil {
			if _, ok := err.(*targetError); ok {
				return o.badTarget(fmt.Sprintf("%s entry %d (type %d)", what, i, r.Type), r.Offset)
			}
			return err
		}
	}
	return nil
}

// targetError marks a relocation whose target is wrong; the caller knows where
// in which table it stands.
type targetError struct{}

func (*targetError) Error() string { return "bad relocation target" }

func (l *Linker) relocateOne(o *object, t *targets, r *loader.Rela, work *int64) error {
	var (
		b   *binding
		err error
	)
	switch r.Type {
	case relNone:
		return nil
	case relTLSDesc:
		return fmt.Errorf("%s: TLS descriptors (R_X86_64_TLSDESC) are not offered: compile with -mtls-dialect=gnu", o)
	case relIRelative:
		return fmt.Errorf("%s: indirect functions (R_X86_64_IRELATIVE) are not offered: the library must choose its implementation itself", o)
	case relCopy:
		return l.copyRelocation(o, t, r, work)
	case relDTPMod64, relDTPOff64, relTPOff64:
		return l.tlsRelocation(o, t, r, work)
	case relJumpSlot:
		b, err = l.resolve(o, r.Symbol, classCall, work)
	default:
		b, err = l.resolve(o, r.Symbol, classData, work)
	}
	if err != nil {
		return err
	}
	l.bind(o, b.object)
	if b.object != nil && b.symbol.Type() == loader.SymTLS && r.Type != relSize32 && r.Type != relSize64 {
		return fmt.Errorf("%s: relocation of type %d against thread-local symbol %s", o, r.Type, b.object.dyn.Name(b.symbol))
	}
	s, a := b.value(), uint64(r.Addend)
	p := r.Offset + uint64(o.bias)
	n := uint64(8)
	var v uint64
	switch r.Type {
	case relGlobDat, relJumpSlot:
		v = s
	case rel64:
		v = s + a
	case relPC64:
		v = s + a - p
	case rel32:
		if v, n = s+a, 4; v > 0xffffffff {
			return l.overflow(o, r, b, v)
		}
	case rel32S:
		if v, n = s+a, 4; int64(v) != int64(int32(v)) {
			return l.overflow(o, r, b, v)
		}
	case relPC32, relPLT32:
		if v, n = s+a-p, 4; int64(v) != int64(int32(v)) {
			return l.overflow(o, r, b, v)
		}
	case relSize64:
		v = b.symbol.Size + a
	case relSize32:
		if v, n = b.symbol.Size+a, 4; v > 0xffffffff {
			return l.overflow(o, r, b, v)
		}
	default:
		return fmt.Errorf("%s: relocation of type %d at %#x is not known", o, r.Type, r.Offset)
	}
	at, ok := t.at(r.Offset, n)
	if !ok {
		return &targetError{}
	}
	if n == 4 {
		le.PutUint32(at, uint32(v))
	} else {
		le.PutUint64(at, v)
	}
	return nil
}

func (l *Linker) overflow(o *object, r *loader.Rela, b *binding, v uint64) error {
	name := "a local address"
	if b.object != nil {
		if n := b.object.dyn.Name(b.symbol); n != "" {
			name = n
		}
	}
	return fmt.Errorf("%s: relocation of type %d at %#x: the value %#x for %s does not fit 32 bits", o, r.Type, r.Offset, v, name)
}

// copyRelocation fills a program's own copy of a library's variable. Everybody
// else binds to the copy, because the program comes first in the scope.
func (l *Linker) copyRelocation(o *object, t *targets, r *loader.Rela, work *int64) error {
	if o != l.main {
		return fmt.Errorf("%s: a copy relocation outside the program", o)
	}
	b, err := l.resolve(o, r.Symbol, classCopy, work)
	if err != nil || b.object == nil {
		return err
	}
	l.bind(o, b.object)
	sym, _ := o.dyn.Symbol(r.Symbol)
	n := min(sym.Size, b.symbol.Size)
	if sym.Size != b.symbol.Size {
		o.moody = true // the warning is given each time
		l.warn("%s: %s has %d bytes here and %d in %s: consider re-linking", o, o.dyn.Name(sym), sym.Size, b.symbol.Size, b.object)
	}
	if b.symbol.Type() == loader.SymTLS || b.symbol.Section == loader.ShnAbs {
		return fmt.Errorf("%s: copy relocation of %s, which is no variable in memory", o, o.dyn.Name(sym))
	}
	to, ok := t.at(r.Offset, n)
	if !ok {
		return &targetError{}
	}
	from, ok := b.object.image.Data(b.symbol.Value, n)
	if !ok {
		from, ok = b.object.file.Bytes(b.symbol.Value, n)
	}
	if !ok {
		return fmt.Errorf("%s: copy relocation of %s: %d bytes at %#x are not data of %s", o, o.dyn.Name(sym), n, b.symbol.Value, b.object)
	}
	copy(to, from)
	return nil
}

// bind notes that o refers to d, so that d stays as long as o does.
func (l *Linker) bind(o, d *object) {
	if d == nil || d == o || d.initial || d == o.lastBound {
		return
	}
	o.lastBound = d
	if o.bound == nil {
		o.bound = map[*object]struct{}{}
	}
	o.bound[d] = struct{}{}
}
