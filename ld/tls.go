package ld

import (
	"fmt"

	"github.com/halite-run/halite/loader"
)

// maxStaticTLS bounds the thread-local storage that every thread gets.
const maxStaticTLS = 256 << 20

// placeTLS gives thread-local storage to new objects. Initial modules lie below
// the thread pointer, the program's own right below it, each at a distance that
// makes its alignment come out (variant II of the TLS ABI). Modules that come
// later are allocated by the C library, thread by thread, on first use.
func (l *Linker) placeTLS(list []*object) error {
	for _, o := range list {
		t := o.file.TLS
		if t == nil {
			continue
		}
		l.tls = append(l.tls, o)
		o.tlsID = len(l.tls)
		if l.started {
			continue
		}
		// The block ends above its start by MemSize; its start must be congruent
		// to the image's address modulo the alignment.
		mask := uint64(t.Align - 1)
		off := uint64(l.tlsEnd) + uint64(t.MemSize)
		off += (-uint64(t.Addr) - off) & mask
		if off > maxStaticTLS {
			return fmt.Errorf("%s: more than %d bytes of thread-local storage for every thread", o, maxStaticTLS)
		}
		l.tlsEnd = uint32(off)
		o.tlsOffset = l.tlsEnd
		l.tlsMax = max(l.tlsMax, t.Align)
	}
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
		return fmt.Errorf("%s: initial-exec access to thread-local storage of %s, which is loaded while threads run: compile without -ftls-model=initial-exec", o, b.object)
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
