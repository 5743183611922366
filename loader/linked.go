package loader

import (
	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
)

// Linked is the data of a file as it is after relocation. Images of the same file that
// stand at the same place, and are bound to the same definitions at the same places, begin
// with it, in whatever cage: its pages exist once until somebody writes to them.
type Linked struct {
	file  *File
	bias  uint32
	data  *cage.Data
	parts []part // by number in File.Segments
}

// part is what of a Linked belongs to one segment: its pages that have contents.
type part struct{ at, size uint64 }

// patch is a change to data that is Linked.
type patch struct {
	addr uint32 // of the file
	b    []byte
}

// Link keeps the data of an image that was relocated and not committed.
func (m *Image) Link() (*Linked, error) {
	l := &Linked{file: m.File, bias: m.Bias, parts: make([]part, len(m.File.Segments))}
	var contents [][]byte
	at := uint64(0)
	for i := range m.File.Segments {
		s := &m.File.Segments[i]
		b := m.contents(i)
		if s.Flags&FlagExec != 0 || len(b) == 0 {
			continue
		}
		if head := s.Addr - pageDown(s.Addr); head > 0 {
			b = append(make([]byte, head, uint64(head)+uint64(len(b))), b...)
		}
		contents = append(contents, b)
		l.parts[i] = part{at, pageUp(uint64(len(b)))}
		at += l.parts[i].size
	}
	var err error
	if l.data, err = cage.NewData(contents...); err != nil {
		return nil, err
	}
	return l, nil
}

// Retain takes one more reference; Release gives one up. Link returns the first.
func (l *Linked) Retain() *Linked {
	l.data.Retain()
	return l
}

func (l *Linked) Release() { l.data.Release() }

// Size is what it takes up, in bytes.
func (l *Linked) Size() uint64 { return l.data.Len() }

// Use has Commit take the data from l instead of the file. It takes a reference over.
//
// Preconditions: the image has the place, and the file, of that which l was made from;
// relocating it would have the same result; Data was not called.
func (m *Image) Use(l *Linked) {
	if l.file != m.File || l.bias != m.Bias || m.linked != nil {
		panic("loader: the data of another image")
	}
	m.linked = l
}

// releaseData gives up what Commit needed.
func (m *Image) releaseData() {
	m.staged, m.patches = nil, nil
	if m.linked != nil {
		m.linked.Release()
		m.linked = nil
	}
}

// Set changes the last bytes before Commit, at an address of the file, whether the
// rest is Linked or not. ok is false when they are not all inside one writable segment.
func (m *Image) Set(addr uint64, b []byte) (ok bool) {
	if m.linked == nil {
		to, ok := m.Data(addr, uint64(len(b)))
		copy(to, b)
		return ok
	}
	s := m.File.segmentAt(addr, uint64(len(b)))
	if s == nil || s.Flags&FlagWrite == 0 {
		return false
	}
	m.patches = append(m.patches, patch{uint32(addr), b})
	return true
}

// commitLinked is commit with data that is there already.
func (m *Image) commitLinked(mem safemem.Memory, i int, relro bool) error {
	s := &m.File.Segments[i]
	p := m.linked.parts[i]
	start, end := uint64(pageDown(s.Addr)), pageUp(s.End())
	filled := start + p.size
	// A piece has one kind of access, and contents or none.
	edges := []uint64{start, filled, end}
	r, ok := m.File.relro(s)
	if ok = ok && relro && s.Flags&FlagWrite != 0; ok {
		edges = []uint64{start, min(uint64(r.Addr), filled), min(r.End(), filled), filled, max(uint64(r.Addr), filled), max(r.End(), filled), end}
	}
	for k := range len(edges) - 1 {
		lo, hi := edges[k], edges[k+1]
		if lo >= hi {
			continue
		}
		prot := s.prot()
		if ok && lo >= uint64(r.Addr) && hi <= r.End() {
			prot = cage.ProtRead
		}
		at := uint32(lo) + m.Bias
		var err error
		if lo < filled {
			err = m.cage.MapData(at, hi-lo, prot, m.linked.data, p.at+lo-start)
		} else {
			_, err = m.cage.Map(at, hi-lo, prot, cage.Fixed)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range m.patches {
		if uint64(p.addr) < uint64(s.Addr) || uint64(p.addr) >= s.End() {
			continue
		}
		lo := pageDown(p.addr)
		n := pageUp(uint64(p.addr)+uint64(len(p.b))) - uint64(lo)
		if err := m.cage.Protect(lo+m.Bias, n, cage.ProtRead|cage.ProtWrite); err != nil {
			return err
		}
		if err := mem.Write(p.addr+m.Bias, p.b); err != nil {
			return err
		}
		if from, to := max(uint64(lo), uint64(r.Addr)), min(uint64(lo)+n, r.End()); ok && from < to {
			if err := m.cage.Protect(uint32(from)+m.Bias, to-from, cage.ProtRead); err != nil {
				return err
			}
		}
	}
	return nil
}
