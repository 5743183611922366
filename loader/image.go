package loader

import (
	"errors"
	"fmt"
	"slices"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
)

// Loader puts files into cages. The zero value is ready for use.
type Loader struct {
	// ThreadPointer is the %fs: displacement at which the engine keeps the
	// guest's thread pointer; 0 means what files say.
	ThreadPointer int32

	// Verdicts spares the validation of code that another process has found safe;
	// nil: none. Within the process, verdicts are always shared.
	Verdicts *Verdicts
}

// Anywhere lets the cage choose the place of a position-independent file.
const Anywhere = 0

// Image is a file that has a place in a cage.
//
// It passes through stages. After Stage it is in the host's memory alone. Place reserves
// addresses: nothing is visible to the guest yet, and the contents of the writable
// segments can be changed through Data, which is how a linker relocates them; or Use says
// that they are as another image's were. CheckText validates the code. Commit puts the data into place and sets the access rights. InstallText
// puts the code there; it comes last, because code that the threads of a running
// guest can see can no longer be taken away without a trace. An error at any
// stage is followed by Discard.
type Image struct {
	File *File
	Bias uint32 // what to add to an address of the file to get an offset in the sandbox

	loader  *Loader
	cage    *cage.Cage
	lo      uint32 // first offset of the reservation
	size    uint64
	staged  [][]byte      // contents of the writable segments that change, by number in File.Segments
	checked []*cachedText // code that passed, to be given back to the cache
	texts   []uint32      // offsets of installed code
	code    []pages       // of the executable segments, in order
	again   bool          // the code stands where the same code once ran
	linked  *Linked       // what the data is, if that is known already
	patches []patch
}

// Map loads a file in one go. at is the load bias of a position-independent
// file, or Anywhere; programs of type ET_EXEC stand where they were linked.
func (l *Loader) Map(c *cage.Cage, f *File, at uint32) (*Image, error) {
	m := l.Stage(c, f)
	if err := m.Place(at); err != nil {
		return nil, err
	}
	// The program relocates itself, if it must: its RELRO range stays writable
	// until it says otherwise.
	for _, stage := range []func() error{m.CheckText, func() error { return m.Commit(false) }, m.InstallText} {
		if err := stage(); err != nil {
			m.Discard()
			return nil, err
		}
	}
	return m, nil
}

// Stage makes an image of a file, which has no place yet.
func (l *Loader) Stage(c *cage.Cage, f *File) *Image {
	f.identify()
	return &Image{File: f, loader: l, cage: c, staged: make([][]byte, len(f.Segments)), code: slices.Clone(f.code)}
}

// Place reserves a place for the image.
func (m *Image) Place(at uint32) error {
	f, c := m.File, m.cage
	lo, size := f.Extent()
	m.size = size
	switch {
	case f.Type == TypeProgram || at != Anywhere:
		if f.Type == TypeProgram {
			at = 0
		}
		if at%f.Align() != 0 {
			return fmt.Errorf("%s: load bias %#x is no multiple of the file's alignment %#x", f.Name, at, f.Align())
		}
		if uint64(lo)+uint64(at) < imageStart || uint64(lo)+uint64(at)+size > imageEnd {
			return fmt.Errorf("%s: addresses %#x..%#x are outside the sandbox", f.Name, uint64(lo)+uint64(at), uint64(lo)+uint64(at)+size)
		}
		if err := c.ReserveAt(lo+at, size); err != nil {
			return fmt.Errorf("%s: addresses %#x..%#x: %w", f.Name, lo+at, uint64(lo)+uint64(at)+size, err)
		}
		m.lo = lo + at
	default:
		// The reservation is aligned, the file's lowest address need not be.
		align := f.Align()
		head := uint64(lo & (align - 1))
		got, err := c.Reserve(head+size, uint64(align))
		if err != nil {
			return fmt.Errorf("%s: %d bytes of address space: %w", f.Name, size, err)
		}
		if head > 0 {
			if err := c.Unmap(got, head); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		m.lo = got + uint32(head)
	}
	m.Bias = m.lo - lo
	return nil
}

// Retired is the place that an unloaded image left behind.
type Retired struct {
	cage  *cage.Cage
	lo    uint32
	size  uint64
	print fingerprint
	holes []Range // what is reserved around the code
	code  []Range
}

// Code returns the ranges where code stood. Threads may still have return
// addresses into them.
func (r *Retired) Code() []Range { return r.code }

// Release gives all the addresses back, for whatever use. The caller has proved
// that no thread can execute or return into any range of Code; see
// cage.ReleaseText.
//
// Preconditions: r was not given to PlaceAgain.
func (r *Retired) Release() error {
	var errs []error
	for _, c := range r.code {
		err := r.cage.ReleaseText(c.Addr)
		if errors.Is(err, cage.ErrNotMapped) { // it was never put there
			err = r.cage.Unmap(c.Addr, uint64(c.Size))
		}
		errs = append(errs, err)
	}
	for _, h := range r.holes {
		errs = append(errs, r.cage.Unmap(h.Addr, uint64(h.Size)))
	}
	return errors.Join(errs...)
}

// In returns the same place in another cage, which is a copy of its own.
func (r *Retired) In(c *cage.Cage) *Retired {
	n := *r
	n.cage = c
	return &n
}

// Extent is the range of offsets.
func (r *Retired) Extent() (lo uint32, size uint64) { return r.lo, r.size }

// PlaceAgain puts the image where an unloaded one stood. ok is false when that
// was not the same file.
//
// Preconditions: r is used once.
func (m *Image) PlaceAgain(r *Retired) (ok bool) {
	lo, size := m.File.Extent()
	if m.File.Type != TypeShared || size != r.size || m.File.print != r.print {
		return false
	}
	m.lo, m.size, m.Bias, m.again = r.lo, size, r.lo-lo, true
	return true
}

// In returns the same image in another cage, which is a copy of its own: what is
// installed in one is installed in the other. nil for nil.
func (m *Image) In(c *cage.Cage) *Image {
	if m == nil {
		return nil
	}
	n := *m
	n.cage, n.texts = c, append([]uint32(nil), m.texts...)
	return &n
}

// Extent is the range of offsets that the image occupies.
func (m *Image) Extent() (lo uint32, size uint64) { return m.lo, m.size }

// Contains tells whether a sandbox offset lies inside one of the image's
// segments.
func (m *Image) Contains(off uint32) bool {
	if off < m.lo || uint64(off) >= uint64(m.lo)+m.size {
		return false
	}
	return m.File.segmentAt(uint64(off-m.Bias), 1) != nil
}

// InText tells whether a sandbox offset lies inside the image's code.
func (m *Image) InText(off uint32) bool {
	if off < m.lo || uint64(off) >= uint64(m.lo)+m.size {
		return false
	}
	s := m.File.segmentAt(uint64(off-m.Bias), 1)
	return s != nil && s.Flags&FlagExec != 0
}

// maxStagedTail bounds how much zero-filled memory Data is willing to stage.
const maxStagedTail = 64 << 20

// Data returns n bytes of a writable segment at an address of the file, to be
// changed before Commit. ok is false when they are not all inside one writable
// segment.
func (m *Image) Data(addr, n uint64) (b []byte, ok bool) {
	for i := range m.File.Segments {
		s := &m.File.Segments[i]
		if addr < uint64(s.Addr) || addr >= s.End() {
			continue
		}
		if s.Flags&FlagWrite == 0 || n > s.End()-addr {
			return nil, false
		}
		if m.staged[i] == nil {
			m.staged[i] = largeBuffer(len(s.data))
			copy(m.staged[i], s.data)
		}
		at := addr - uint64(s.Addr)
		if have := uint64(len(m.staged[i])); at+n > have {
			if at+n-min(uint64(s.FileSize), at+n) > maxStagedTail {
				return nil, false
			}
			m.staged[i] = append(m.staged[i], make([]byte, at+n-have)...)
		}
		return m.staged[i][at : at+n : at+n], true
	}
	return nil, false
}

// Staged returns the contents of segment i after Data has returned some of them. Data
// may replace the slice by a longer one.
func (m *Image) Staged(i int) []byte { return m.staged[i] }

// RecallText is CheckText for code that this process has found safe before, for the same
// place. If it is false, there is something to be checked.
func (m *Image) RecallText() bool {
	if m.File.Entry%BundleSize != 0 {
		return false
	}
	n := 0
	for i := range m.File.Segments {
		s := &m.File.Segments[i]
		if s.Flags&FlagExec == 0 {
			continue
		}
		t := texts.get(m.loader.textKey(&m.code[n], pageDown(s.Addr)+m.Bias))
		if t == nil {
			m.releaseChecked()
			return false
		}
		m.checked = append(m.checked, t)
		n++
	}
	m.code = nil
	return true
}

// CheckText validates the code for its place.
func (m *Image) CheckText() error {
	n := 0
	for i := range m.File.Segments {
		s := &m.File.Segments[i]
		if s.Flags&FlagExec == 0 {
			continue
		}
		code := &m.code[n]
		n++
		text, errs, more, err := m.loader.checkText(m.File.Name, code, pageDown(s.Addr)+m.Bias)
		if err != nil {
			return fmt.Errorf("%s: segment %d: %w", m.File.Name, s.Index, err)
		}
		if len(errs) > 0 {
			return m.File.textError(s, errs, more)
		}
		m.checked = append(m.checked, text)
	}
	m.code = nil
	if e := m.File.Entry; e%BundleSize != 0 {
		// Last, because files that were not built for the sandbox have better
		// reasons to be refused.
		return &FormatError{File: m.File.Name, Where: "header", Rule: RuleEntry,
			Detail: fmt.Sprintf("entry point %#x is no multiple of %d", e, BundleSize)}
	}
	return nil
}

// InstallText maps the code that CheckText accepted.
func (m *Image) InstallText() error {
	defer m.releaseChecked()
	for _, t := range m.checked {
		if err := m.cage.MapText(t.key.at, t.text); err != nil {
			return fmt.Errorf("%s: code at %#x: %w", m.File.Name, t.key.at, err)
		}
		m.texts = append(m.texts, t.key.at)
	}
	return nil
}

func (m *Image) releaseChecked() {
	for _, t := range m.checked {
		texts.done(t)
	}
	m.checked = nil
}

// Commit maps and fills the data segments and sets their access rights. With
// relro, what the file names as read-only after relocation becomes so.
func (m *Image) Commit(relro bool) error {
	mem := safemem.New(m.cage.Base())
	for i := range m.File.Segments {
		s := &m.File.Segments[i]
		if s.Flags&FlagExec != 0 || s.MemSize == 0 {
			continue
		}
		commit := m.commit
		if m.linked != nil {
			commit = m.commitLinked
		}
		if err := commit(mem, i, relro); err != nil {
			return fmt.Errorf("%s: segment %d: %w", m.File.Name, s.Index, err)
		}
	}
	m.releaseData()
	return nil
}

func (m *Image) commit(mem safemem.Memory, i int, relro bool) error {
	s := &m.File.Segments[i]
	start := pageDown(s.Addr)
	n := pageUp(s.End()) - uint64(start)
	at := start + m.Bias
	if _, err := m.cage.Map(at, n, cage.ProtRead|cage.ProtWrite, cage.Fixed); err != nil {
		return err
	}
	if err := mem.Write(s.Addr+m.Bias, m.contents(i)); err != nil {
		return err
	}
	if s.Flags&FlagWrite == 0 {
		return m.cage.Protect(at, n, s.prot())
	}
	if r, ok := m.File.relro(s); ok && relro {
		return m.cage.Protect(r.Addr+m.Bias, uint64(r.Size), cage.ProtRead)
	}
	return nil
}

// contents of a data segment as they will be.
func (m *Image) contents(i int) []byte {
	if m.staged[i] != nil {
		return m.staged[i]
	}
	return m.File.Segments[i].data
}

// prot is what the guest may do with a data segment.
func (s *Segment) prot() cage.Prot {
	switch {
	case s.Flags&FlagWrite != 0:
		return cage.ProtRead | cage.ProtWrite
	case s.Flags&FlagRead != 0:
		return cage.ProtRead
	}
	return cage.ProtNone
}

// relro is the part of a writable segment that becomes read-only: whole pages, since what
// shares a page with other data stays writable.
func (f *File) relro(s *Segment) (Range, bool) {
	r := f.Relro
	if r.Size == 0 || r.Addr < s.Addr || uint64(r.Addr) >= s.End() {
		return Range{}, false
	}
	lo, hi := pageUp(uint64(r.Addr)), r.End()&^(PageSize-1)
	if r.Addr == s.Addr {
		lo = uint64(pageDown(s.Addr))
	}
	if r.End() >= s.End() {
		hi = pageUp(s.End())
	}
	if hi <= lo {
		return Range{}, false
	}
	return Range{uint32(lo), uint32(hi - lo)}, true
}

// Discard takes an image that failed out of the cage again. Its addresses are
// free afterwards, unless some of its code was visible already: then it is
// unloaded, and place is what Unload says.
func (m *Image) Discard() (place *Retired, err error) {
	m.releaseChecked()
	m.code = nil
	if m.again || len(m.texts) > 0 {
		return m.Unload()
	}
	m.releaseData()
	return nil, m.cage.Unmap(m.lo, m.size)
}

// Unload takes the image's contents out of the cage. Its code leaves a hole that
// no other code may fill, because control stacks may hold return addresses into
// it: they must lead nowhere, or to the same code. The rest of the range is
// reserved too, so that the same file can be put there again; place is nil when
// that was not possible.
func (m *Image) Unload() (place *Retired, err error) {
	texts := m.texts
	m.texts = nil
	m.releaseData()
	holes, code := m.ranges()
	if err := m.cage.Retire(m.lo, m.size, texts); err == nil {
		return &Retired{m.cage, m.lo, m.size, m.File.print, holes, code}, nil
	}
	// The guest has put other code where data was, or the kernel refuses: piece by piece.
	var errs []error
	for _, at := range texts {
		errs = append(errs, m.cage.UnmapText(at))
	}
	for _, r := range holes {
		errs = append(errs, m.cage.Unmap(r.Addr, uint64(r.Size)))
	}
	return nil, errors.Join(errs...)
}

// ranges lists where the image has code, and what is around it.
func (m *Image) ranges() (holes, code []Range) {
	next := m.lo
	hole := func(end uint64) {
		if n := end - uint64(next); n > 0 {
			holes = append(holes, Range{next, uint32(n)})
		}
	}
	for i := range m.File.Segments {
		if s := &m.File.Segments[i]; s.Flags&FlagExec != 0 {
			start := pageDown(s.Addr) + m.Bias
			hole(uint64(start))
			next = uint32(pageUp(s.End())) + m.Bias
			code = append(code, Range{start, next - start})
		}
	}
	hole(uint64(m.lo) + m.size)
	return holes, code
}
