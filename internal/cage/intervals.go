package cage

import "sort"

// Prot says what the guest may do with a page.
type Prot uint8

const (
	ProtNone  Prot = 0
	ProtRead  Prot = 1
	ProtWrite Prot = 2
	ProtExec  Prot = 4 // refused by everything that serves guests: ErrExec
)

// String prints p as /proc/self/maps does.
func (p Prot) String() string {
	b := []byte("---")
	if p&ProtRead != 0 {
		b[0] = 'r'
	}
	if p&ProtWrite != 0 {
		b[1] = 'w'
	}
	if p&ProtExec != 0 {
		b[2] = 'x'
	}
	return string(b)
}

// Kind says where a mapping's contents come from.
type Kind uint8

const (
	KindAnon        Kind = iota // zero pages of the guest's own
	KindFile                    // private copy of a host file
	KindShared                  // a host file itself
	KindReserved                // set aside by Reserve, nothing there yet
	KindTrampolines             // the engine's entry points
	KindText                    // validated code
	KindRetired                 // where code was; see UnmapText
	KindDynamic                 // code that changes, and room for it; see Dynamic
)

var kindNames = [...]string{"anonymous", "file", "shared", "reserved", "trampolines", "text", "retired", "dynamic"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// code reports whether C-TEXT protects the mapping.
func (k Kind) code() bool {
	return k == KindTrampolines || k == KindText || k == KindRetired || k == KindDynamic
}

// interval is one entry of the map: [start, end) in sandbox offsets. 64 bits,
// because the end of the last page is 1<<32.
type interval struct {
	start, end uint64
	prot       Prot
	kind       Kind
	charged    bool // text, or is or was writable: counts against MaxMemory
	text       *Text
	frozen     bool // Protect never makes it writable
	name       string
	// image is where in a Snapshot's file the contents begin that the pages have until
	// they are written to; 0: they are zero, or the kind says what they are. Of a
	// KindDynamic it is imageStart more than the place in the Dynamic's file.
	image uint64
	// object is the file of a KindShared, and at where in its file an entry begins.
	object Object
	at     uint64
}

// An Object is a file of the host that is mapped, or memory that has no name. It means
// the same for as long as it is mapped somewhere.
type Object struct{ dev, ino uint64 }

func (e *interval) len() uint64 { return e.end - e.start }

// joins reports whether b, which follows a, can be one entry with it.
func (e *interval) joins(b *interval) bool {
	return e.end == b.start && e.prot == b.prot && e.kind == b.kind && e.charged == b.charged &&
		(e.kind == KindAnon || e.kind == KindReserved || e.kind == KindDynamic) && e.name == b.name &&
		b.image == e.imageAt(b.start)
}

// imageAt is image for the part of e that begins at off.
func (e *interval) imageAt(off uint64) uint64 {
	if e.image == 0 {
		return 0
	}
	return e.image + off - e.start
}

// cut makes e its part that begins at off.
func (e *interval) cut(off uint64) {
	e.image = e.imageAt(off)
	if e.kind == KindShared || e.kind == KindFile {
		e.at += off - e.start
	}
	e.start = off
}

// intervals is a sorted list of entries that do not overlap.
type intervals []interval

// search returns the index of the first entry that ends above off.
func (s intervals) search(off uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].end > off })
}

// overlapping returns the entries that touch [start, end), not clipped.
func (s intervals) overlapping(start, end uint64) intervals {
	i := s.search(start)
	j := i
	for j < len(s) && s[j].start < end {
		j++
	}
	return s[i:j]
}

// free reports whether nothing touches [start, end).
func (s intervals) free(start, end uint64) bool { return len(s.overlapping(start, end)) == 0 }

// covered reports whether [start, end) has no gap.
func (s intervals) covered(start, end uint64) bool {
	for _, e := range s.overlapping(start, end) {
		if e.start > start {
			return false
		}
		start = e.end
	}
	return start >= end
}

// charged returns the bytes of [start, end) that count against the limit.
func (s intervals) charged(start, end uint64) uint64 {
	var n uint64
	for _, e := range s.overlapping(start, end) {
		if e.charged {
			n += min(e.end, end) - max(e.start, start)
		}
	}
	return n
}

// hasCode reports whether C-TEXT protects any part of [start, end).
func (s intervals) hasCode(start, end uint64) bool {
	for _, e := range s.overlapping(start, end) {
		if e.kind.code() {
			return true
		}
	}
	return false
}

// split makes off an edge between entries.
func (s *intervals) split(off uint64) {
	i := s.search(off)
	if i == len(*s) || (*s)[i].start >= off {
		return
	}
	*s = append(*s, interval{})
	copy((*s)[i+1:], (*s)[i:])
	(*s)[i+1].cut(off)
	(*s)[i].end = off
}

// remove takes [start, end) out of the map.
func (s *intervals) remove(start, end uint64) {
	s.split(start)
	s.split(end)
	i := s.search(start)
	j := i
	for j < len(*s) && (*s)[j].start < end {
		j++
	}
	*s = append((*s)[:i], (*s)[j:]...)
}

// insert puts e where nothing is, and joins it with its neighbours.
func (s *intervals) insert(e interval) {
	i := s.search(e.start)
	*s = append(*s, interval{})
	copy((*s)[i+1:], (*s)[i:])
	(*s)[i] = e
	s.join(i + 1)
	s.join(i)
}

// join makes entries i-1 and i one if they can be.
func (s *intervals) join(i int) {
	if i <= 0 || i >= len(*s) || !(*s)[i-1].joins(&(*s)[i]) {
		return
	}
	(*s)[i-1].end = (*s)[i].end
	*s = append((*s)[:i], (*s)[i+1:]...)
}

// update applies f to every entry of [start, end), split at its edges.
func (s *intervals) update(start, end uint64, f func(*interval)) {
	s.split(start)
	s.split(end)
	i := s.search(start)
	j := i
	for ; j < len(*s) && (*s)[j].start < end; j++ {
		f(&(*s)[j])
	}
	for ; j >= i; j-- {
		s.join(j)
	}
}

// gap returns the highest start of n free bytes within [lo, hi), aligned.
func (s intervals) gap(lo, hi, n, align uint64) (uint64, bool) {
	top := hi
	for i := len(s) - 1; i >= -1; i-- {
		bottom := lo
		if i >= 0 {
			bottom = max(lo, s[i].end)
		}
		if top > bottom && top-bottom >= n {
			if start := (top - n) &^ (align - 1); start >= bottom {
				return start, true
			}
		}
		if i >= 0 {
			top = min(top, s[i].start)
		}
	}
	return 0, false
}
