package cage

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	Size            = 1 << 32 // of the address space of a sandbox
	PageSize        = 4096
	NullSize        = 0x10000 // never mapped, at offset 0
	TrampolineStart = 0x10000
	TrampolineEnd   = 0x20000
	TopGuard        = 0x10000 // never mapped, at the end

	// Behind is reserved and never mapped behind every sandbox. An operand begins
	// below 4 GiB, but not all of its bytes are accessed in order: a masked move leaves
	// out its first elements, which would fault in the TopGuard.
	Behind = 0x10000

	// ClassicGuard is what Config.Guard must be for code of the classic ABI. It
	// addresses memory as base + 32-bit index * 8 + 32-bit displacement, which
	// reaches 34 GiB beyond either end.
	ClassicGuard = 40 << 30

	userStart = TrampolineEnd
	userEnd   = Size - TopGuard
)

// MapMode says what the offset of a Map call means.
type MapMode uint8

const (
	Hint           MapMode = iota // there if it is free, otherwise anywhere; 0 = anywhere
	Fixed                         // there, replacing what is there
	FixedNoReplace                // there, or ErrExists
)

// Mapping is one entry of a cage's map.
type Mapping struct {
	Offset uint32
	Len    uint64
	Prot   Prot
	Kind   Kind
	Name   string // of a file or a text
}

// Config sets the limits of a cage.
type Config struct {
	Trampolines *Text  // engine.Trampolines(), or engine.ClassicTrampolines()
	Guard       uint64 // bytes of address space without access on either side, a multiple of Size
	MaxMemory   uint64 // bytes of text, and of what is or was writable; 0 = no limit but Size
	MaxMappings int    // entries of the map; 0 = 8192
	// Budget bounds the same bytes of several cages together; nil = no bound.
	Budget *Budget
}

const defaultMaxMappings = 8192

// Cage is the address space of one sandbox. Its methods may be called from
// any goroutine.
type Cage struct {
	base        uintptr
	guard       uint64 // in front
	behind      uint64 // Behind, or guard
	maxMemory   uint64
	maxMappings int

	mu     sync.Mutex
	closed bool
	maps   intervals
	memory uint64 // charged bytes
	vmas   int64  // our part of the process's budget

	budget *Budget
	taken  uint64 // of budget: memory, and for a moment what is about to become so

	dynamic []*Dynamic // to be closed with the cage
}

// vmaBudget bounds the kernel mappings of all cages together. The kernel
// refuses more than vm.max_map_count for the process, and a Go runtime that
// is refused memory dies: so guests get three quarters.
var vmaBudget = struct {
	once  sync.Once
	limit int64
	used  atomic.Int64
}{}

func takeVMAs(n int64) bool {
	b := &vmaBudget
	b.once.Do(func() { b.limit = int64(maxMapCount()) / 4 * 3 })
	if b.used.Add(n) > b.limit && n > 0 {
		b.used.Add(-n)
		return false
	}
	return true
}

// New reserves a sandbox and maps the trampolines into it.
func New(conf Config) (*Cage, error) {
	t := conf.Trampolines
	if t == nil || t.size != TrampolineEnd-TrampolineStart || t.at != TrampolineStart {
		return nil, fmt.Errorf("cage: no trampolines (the engine is not initialised)")
	}
	if conf.Guard%Size != 0 || conf.Guard > 1<<40 {
		return nil, fmt.Errorf("cage: a guard of %#x bytes: %w", conf.Guard, ErrInvalid)
	}
	c := &Cage{guard: conf.Guard, behind: max(conf.Guard, Behind), maxMappings: conf.MaxMappings, budget: conf.Budget}
	c.setLimit(conf.MaxMemory)
	if c.maxMappings <= 0 {
		c.maxMappings = defaultMaxMappings
	}
	if !t.retain() {
		return nil, fmt.Errorf("cage: the trampolines were released")
	}
	if !takeVMAs(baseVMAs) {
		t.release()
		return nil, fmt.Errorf("cage: new sandbox: %w (all sandboxes together may use three quarters of vm.max_map_count = %d)", ErrMappings, maxMapCount())
	}
	c.vmas = baseVMAs
	p, err := reserve(c.reserved())
	if err != nil {
		takeVMAs(-c.vmas)
		t.release()
		return nil, reserveError(err, c.reserved())
	}
	base := p + uintptr(c.guard)
	c.base = base
	if _, err := mmap(base+TrampolineStart, t.size, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_SHARED|syscall.MAP_FIXED, t.fd(), 0); err != nil {
		munmap(p, c.reserved())
		takeVMAs(-c.vmas)
		t.release()
		return nil, fmt.Errorf("cage: map the trampolines: %w", err)
	}
	c.maps.insert(interval{start: TrampolineStart, end: TrampolineEnd, prot: ProtRead | ProtExec, kind: KindTrampolines, text: t, name: t.name})
	return c, nil
}

// setLimit sets Config.MaxMemory.
func (c *Cage) setLimit(n uint64) {
	if n == 0 {
		n = Size
	}
	c.maxMemory = n
}

// baseVMAs is what an empty cage costs: null area, trampolines, the rest.
const baseVMAs = 3

// reserved is the length of the reservation, with what is beside the sandbox.
func (c *Cage) reserved() uint64 { return c.guard + Size + c.behind }

// Base returns the address of offset 0, a multiple of 4 GiB.
func (c *Cage) Base() uintptr { return c.base }

// Close gives everything back. Nobody may run inside or access the memory.
func (c *Cage) Close() error {
	if err := c.close(); err != nil {
		return err
	}
	// Not under c.mu: a Dynamic's lock is taken before the cage's.
	for _, d := range c.dynamic {
		d.close()
	}
	return nil
}

func (c *Cage) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if err := munmap(c.base-uintptr(c.guard), c.reserved()); err != nil {
		return fmt.Errorf("cage: unmap the sandbox: %w", err)
	}
	c.closed = true
	for _, e := range c.maps {
		if e.text != nil {
			e.text.release()
		}
	}
	c.maps = nil
	takeVMAs(-c.vmas)
	c.memory = 0
	c.settle()
	return nil
}

// Mappings returns the map, in order.
func (c *Cage) Mappings() []Mapping {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Mapping, len(c.maps))
	for i, e := range c.maps {
		out[i] = Mapping{uint32(e.start), e.len(), e.prot, e.kind, e.name}
	}
	return out
}

// MemoryInUse returns the bytes that count against Config.MaxMemory.
func (c *Cage) MemoryInUse() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory
}

// Map maps n bytes of zeroes and returns where.
func (c *Cage) Map(off uint32, n uint64, prot Prot, mode MapMode) (uint32, error) {
	return c.place(off, n, prot, mode, func(start, end uint64) error {
		e := interval{start: start, end: end, prot: prot, kind: KindAnon, charged: prot&ProtWrite != 0}
		if prot == ProtNone && c.maps.free(start, end) {
			return c.set(e, nil) // it is inaccessible already
		}
		return c.set(e, func() error {
			_, err := mmap(c.base+uintptr(start), end-start, prot.bits(), anonymous|syscall.MAP_FIXED, -1, 0)
			return err
		})
	})
}

// MapFile maps n bytes of f from fileOff: a private copy, or the file itself.
// Bytes past its end are SIGBUS for the guest and ErrFault for safemem.
func (c *Cage) MapFile(off uint32, n uint64, prot Prot, mode MapMode, f *os.File, fileOff int64, shared bool) (uint32, error) {
	return c.mapView(off, n, prot, mode, f, fileOff, shared, false)
}

// MapFrozen maps n bytes of f from fileOff for reading: a private copy, so that the
// file is safe whatever f may do, that Protect never makes writable.
func (c *Cage) MapFrozen(off uint32, n uint64, prot Prot, mode MapMode, f *os.File, fileOff int64) (uint32, error) {
	if prot&ProtWrite != 0 {
		return 0, ErrFrozen
	}
	return c.mapView(off, n, prot, mode, f, fileOff, false, true)
}

func (c *Cage) mapView(off uint32, n uint64, prot Prot, mode MapMode, f *os.File, fileOff int64, shared, frozen bool) (uint32, error) {
	if fileOff < 0 || fileOff%PageSize != 0 || n > Size || fileOff > 1<<62 {
		return 0, ErrInvalid
	}
	e := interval{prot: prot, kind: KindFile, charged: prot&ProtWrite != 0, name: f.Name(), at: uint64(fileOff), frozen: frozen}
	if shared {
		o, err := objectOf(f)
		if err != nil {
			return 0, err
		}
		e.kind, e.object = KindShared, o
	}
	return c.mapFile(off, n, mode, f, e)
}

// MapShared maps n bytes of zeroes that the cages which are made from this one by Clone
// share with it. They count against the limits of each, whatever may be done with them:
// a page of such memory is taken when it is read too.
func (c *Cage) MapShared(off uint32, n uint64, prot Prot, mode MapMode) (uint32, error) {
	if n > Size {
		return 0, ErrNoSpace
	}
	fd, err := unix.MemfdCreate("halite-shared", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	f := os.NewFile(uintptr(fd), "shared memory")
	defer f.Close()
	if err := f.Truncate(int64(roundUp(n))); err != nil {
		return 0, err
	}
	o, err := objectOf(f)
	if err != nil {
		return 0, err
	}
	return c.mapFile(off, n, mode, f, interval{prot: prot, kind: KindShared, charged: true, name: f.Name(), object: o})
}

func objectOf(f *os.File) (Object, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Object{}, err
	}
	return Object{st.Dev, st.Ino}, nil
}

// Shared tells which file or shared memory is at off, and where in it.
func (c *Cage) Shared(off uint32) (o Object, at uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.maps.search(uint64(off))
	if i == len(c.maps) || c.maps[i].start > uint64(off) || c.maps[i].kind != KindShared {
		return Object{}, 0, false
	}
	e := &c.maps[i]
	return e.object, e.at + uint64(off) - e.start, true
}

// mapFile maps a file as e says, which lacks the range.
func (c *Cage) mapFile(off uint32, n uint64, mode MapMode, f *os.File, e interval) (uint32, error) {
	flags := syscall.MAP_PRIVATE
	if e.kind == KindShared {
		flags = syscall.MAP_SHARED
	}
	return c.place(off, n, e.prot, mode, func(start, end uint64) error {
		e.start, e.end = start, end
		return c.set(e, func() error {
			// A file system may refuse to be mapped, and some kernels
			// do so only after what was there is gone. So the file is
			// mapped elsewhere first and then moved (C-RESERVED).
			p, err := mmap(0, end-start, e.prot.bits(), flags|syscall.MAP_NORESERVE, int(f.Fd()), int64(e.at))
			if err != nil {
				return err
			}
			if _, err := mremap(p, end-start, end-start, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, c.base+uintptr(start)); err != nil {
				munmap(p, end-start)
				return err
			}
			return nil
		})
	})
}

// place finds the range for a new mapping and calls do for it, locked.
func (c *Cage) place(off uint32, n uint64, prot Prot, mode MapMode, do func(start, end uint64) error) (uint32, error) {
	if prot&ProtExec != 0 {
		return 0, ErrExec
	}
	if n == 0 || prot&^(ProtRead|ProtWrite) != 0 {
		return 0, ErrInvalid
	}
	if n > Size {
		return 0, ErrNoSpace
	}
	n = roundUp(n)
	start := uint64(off)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, ErrClosed
	}
	switch mode {
	case Hint:
		start &^= PageSize - 1
		if start < userStart || start+n > userEnd || !c.maps.free(start, start+n) {
			var ok bool
			if start, ok = c.maps.gap(userStart, userEnd, n, PageSize); !ok {
				return 0, ErrNoSpace
			}
		}
	case Fixed, FixedNoReplace:
		if start%PageSize != 0 {
			return 0, ErrInvalid
		}
		if start < userStart && start+n > TrampolineStart {
			return 0, ErrText
		}
		if start < userStart || start+n > userEnd {
			return 0, ErrNoSpace
		}
		if mode == FixedNoReplace && !c.maps.free(start, start+n) {
			return 0, ErrExists
		}
		if c.maps.hasCode(start, start+n) {
			return 0, ErrText
		}
	default:
		return 0, ErrInvalid
	}
	if err := do(start, start+n); err != nil {
		return 0, err
	}
	return uint32(start), nil
}

// set replaces a range with e: checks the limits, asks the kernel, and writes
// the map. Called locked.
func (c *Cage) set(e interval, kernel func() error) error {
	memory := c.memory - c.maps.charged(e.start, e.end)
	if e.charged {
		memory += e.len()
	}
	if memory > c.memory && !c.afford(memory) {
		return ErrLimit
	}
	defer c.settle()
	undo, err := c.room(2)
	if err != nil {
		return err
	}
	if kernel != nil {
		if err := kernel(); err != nil {
			c.repair(e.start, e.end)
			undo()
			return fmt.Errorf("cage: map 0x%x bytes at 0x%x: %w", e.len(), e.start, err)
		}
	}
	c.maps.remove(e.start, e.end)
	c.maps.insert(e)
	c.memory = memory
	c.count()
	return nil
}

// room makes sure that the map may grow by n entries, each with a gap
// beside it, and takes the budget for them until count or undo.
func (c *Cage) room(n int) (undo func(), err error) {
	if n > 0 && len(c.maps)+n > c.maxMappings {
		return nil, ErrMappings
	}
	if !takeVMAs(int64(2 * n)) {
		return nil, fmt.Errorf("%w: all sandboxes together use three quarters of vm.max_map_count = %d", ErrMappings, maxMapCount())
	}
	c.vmas += int64(2 * n)
	return c.count, nil
}

// count settles the budget to what the map needs now.
func (c *Cage) count() {
	need := int64(baseVMAs + 2*(len(c.maps)-1) + len(c.dynamic)) // a view for each Dynamic
	takeVMAs(need - c.vmas)
	c.vmas = need
	c.settle()
}

// repair closes a hole that a refused mapping may have left: a kernel that
// replaces a range and then fails has taken the old pages away. If nothing
// was taken, the range is occupied and this does nothing.
func (c *Cage) repair(start, end uint64) {
	if _, err := mmap(c.base+uintptr(start), end-start, 0, anonymous|unix.MAP_FIXED_NOREPLACE, -1, 0); err == nil {
		c.memory -= c.maps.charged(start, end)
		c.maps.remove(start, end)
	}
}

// span checks a guest's range for the calls on what is mapped.
func span(off uint32, n uint64) (start, end uint64, err error) {
	start = uint64(off)
	if start%PageSize != 0 || n > Size {
		return 0, 0, ErrInvalid
	}
	end = start + roundUp(n)
	if end > Size {
		return 0, 0, ErrInvalid
	}
	return start, end, nil
}

// Unmap makes a range inaccessible and its memory free. Gaps are no error.
func (c *Cage) Unmap(off uint32, n uint64) error {
	start, end, err := span(off, n)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrInvalid
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.maps.hasCode(start, end) {
		return ErrText
	}
	return c.drop(start, end)
}

// drop takes a range out of the map and makes it inaccessible.
func (c *Cage) drop(start, end uint64) error {
	over := c.maps.overlapping(start, end)
	need := 0 // a hole in the middle of one entry makes two
	if len(over) == 1 && over[0].start < start && over[0].end > end {
		need = 1
	}
	undo, err := c.room(need)
	if err != nil {
		return err
	}
	for _, e := range over {
		if e.kind == KindReserved {
			continue // nothing is there
		}
		s, t := max(e.start, start), min(e.end, end)
		if _, err := mmap(c.base+uintptr(s), t-s, 0, anonymous|syscall.MAP_FIXED, -1, 0); err != nil {
			c.repair(s, t)
			undo()
			return fmt.Errorf("cage: unmap 0x%x bytes at 0x%x: %w", t-s, s, err)
		}
	}
	c.memory -= c.maps.charged(start, end)
	c.maps.remove(start, end)
	c.count()
	return nil
}

// Protect changes what the guest may do with a range without gaps.
func (c *Cage) Protect(off uint32, n uint64, prot Prot) error {
	start, end, err := span(off, n)
	if err != nil {
		return err
	}
	if prot&ProtExec != 0 {
		return ErrExec
	}
	if prot&^(ProtRead|ProtWrite) != 0 {
		return ErrInvalid
	}
	if n == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.maps.hasCode(start, end) {
		return ErrText
	}
	if !c.maps.covered(start, end) {
		return ErrNotMapped
	}
	memory := c.memory
	if prot&ProtWrite != 0 {
		for _, e := range c.maps.overlapping(start, end) {
			if e.frozen {
				return ErrFrozen
			}
		}
		memory += end - start - c.maps.charged(start, end)
		if memory > c.memory && !c.afford(memory) {
			return ErrLimit
		}
		defer c.settle()
	}
	undo, err := c.room(2)
	if err != nil {
		return err
	}
	if err := mprotect(c.base+uintptr(start), end-start, prot.bits()); err != nil {
		// The kernel may have done a part of it: back to what the map says.
		for _, e := range c.maps.overlapping(start, end) {
			mprotect(c.base+uintptr(e.start), e.len(), e.prot.bits())
		}
		undo()
		return fmt.Errorf("cage: protect 0x%x bytes at 0x%x: %w", end-start, start, err)
	}
	c.maps.update(start, end, func(e *interval) {
		e.prot = prot
		e.charged = e.charged || prot&ProtWrite != 0
		if e.kind == KindReserved && prot != ProtNone {
			e.kind = KindAnon
		}
	})
	c.memory = memory
	c.count()
	return nil
}

// Discard forgets the contents of a range without gaps: anonymous memory
// reads as zero again, private file memory as the file (MADV_DONTNEED).
func (c *Cage) Discard(off uint32, n uint64) error {
	start, end, err := span(off, n)
	if err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.maps.hasCode(start, end) {
		return ErrText
	}
	if !c.maps.covered(start, end) {
		return ErrNotMapped
	}
	if err := madvise(c.base+uintptr(start), end-start, unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("cage: discard 0x%x bytes at 0x%x: %w", end-start, start, err)
	}
	return c.forgetImage(start, end)
}

// forgetImage makes anonymous memory of a range zero that would read as a Snapshot.
func (c *Cage) forgetImage(start, end uint64) error {
	var parts intervals
	for _, e := range c.maps.overlapping(start, end) {
		if e.kind == KindAnon && e.image != 0 {
			e.start, e.end = max(e.start, start), min(e.end, end)
			parts = append(parts, e)
		}
	}
	if parts == nil {
		return nil
	}
	undo, err := c.room(2)
	if err != nil {
		return err
	}
	for _, e := range parts {
		if _, err := mmap(c.base+uintptr(e.start), e.len(), e.prot.bits(), anonymous|syscall.MAP_FIXED, -1, 0); err != nil {
			c.repair(e.start, e.end)
			undo()
			return fmt.Errorf("cage: discard 0x%x bytes at 0x%x: %w", e.len(), e.start, err)
		}
		c.maps.update(e.start, e.end, func(e *interval) { e.image = 0 })
	}
	c.count()
	return nil
}

// Reserve sets n bytes aside for an image, without access. Map and MapFile
// with Fixed, and MapText, fill it.
func (c *Cage) Reserve(n, align uint64) (uint32, error) {
	if align < PageSize {
		align = PageSize
	}
	if n == 0 || n > Size || align > Size || align&(align-1) != 0 {
		return 0, ErrInvalid
	}
	n = roundUp(n)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, ErrClosed
	}
	start, ok := c.maps.gap(userStart, userEnd, n, align)
	if !ok {
		return 0, ErrNoSpace
	}
	return uint32(start), c.set(interval{start: start, end: start + n, kind: KindReserved}, nil)
}

// ReserveAt sets a fixed range aside, which must be free.
func (c *Cage) ReserveAt(off uint32, n uint64) error {
	_, err := c.place(off, n, ProtNone, FixedNoReplace, func(start, end uint64) error {
		return c.set(interval{start: start, end: end, kind: KindReserved}, nil)
	})
	return err
}

// MapText maps validated code at off, which must be the offset it was
// validated for. The range must be free or reserved, or retired from the very
// same code.
func (c *Cage) MapText(off uint32, t *Text) error {
	if t == nil || off != t.at {
		return fmt.Errorf("%w: text for another offset", ErrInvalid)
	}
	start := uint64(off)
	end := start + t.size
	if start < userStart || end > userEnd {
		return ErrNoSpace
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if !t.retain() {
		return fmt.Errorf("%w: the text was released", ErrInvalid)
	}
	old := c.maps.overlapping(start, end)
	for _, e := range old {
		retired := e.kind == KindRetired && e.start == start && e.end == end && e.text.same(t)
		if e.kind != KindReserved && !retired {
			t.release()
			return ErrExists
		}
	}
	var before *Text
	if len(old) == 1 && old[0].kind == KindRetired {
		before = old[0].text
	}
	e := interval{start: start, end: end, prot: ProtRead | ProtExec, kind: KindText, charged: true, text: t, name: t.name}
	err := c.set(e, func() error {
		_, err := mmap(c.base+uintptr(start), t.size, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_SHARED|syscall.MAP_FIXED, t.fd(), 0)
		return err
	})
	if err != nil {
		t.release()
		return err
	}
	if before != nil {
		before.release()
	}
	return nil
}

// UnmapText takes the text at off away. Its range stays out of use, because
// a thread may still return into it: it is a fault until the same code comes
// back, or ReleaseText frees the range.
func (c *Cage) UnmapText(off uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, err := c.textAt(off, KindText)
	if err != nil {
		return err
	}
	if _, err := mmap(c.base+uintptr(e.start), e.len(), 0, anonymous|syscall.MAP_FIXED, -1, 0); err != nil {
		return fmt.Errorf("cage: unmap text at 0x%x: %w", off, err)
	}
	e.kind, e.prot = KindRetired, ProtNone
	return nil
}

// Retire is UnmapText for all texts in a range, and leaves the rest of the range
// reserved. The texts are those at the offsets; other code there is ErrText, and nothing
// is changed, except for what is retired already.
func (c *Cage) Retire(off uint32, n uint64, texts []uint32) error {
	start, end, err := span(off, n)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrInvalid
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	over := c.maps.overlapping(start, end)
	var code intervals
	for _, e := range over {
		switch {
		case !e.kind.code():
			continue
		case e.start < start || e.end > end, e.kind != KindRetired && (e.kind != KindText || !slices.Contains(texts, uint32(e.start))):
			return ErrText
		}
		code = append(code, e)
	}
	undo, err := c.room(len(code) + 3) // what is cut at both ends, and a hole beside each code
	if err != nil {
		return err
	}
	if _, err := mmap(c.base+uintptr(start), end-start, 0, anonymous|syscall.MAP_FIXED, -1, 0); err != nil {
		// If the kernel has taken the old pages away already, the range must not stay free for
		// the host. The map is as before: what is gone faults, and is no place for other code.
		_, _ = mmap(c.base+uintptr(start), end-start, 0, anonymous|unix.MAP_FIXED_NOREPLACE, -1, 0)
		undo()
		return fmt.Errorf("cage: retire 0x%x bytes at 0x%x: %w", end-start, start, err)
	}
	c.memory -= c.maps.charged(start, end)
	c.maps.remove(start, end)
	next := start
	reserve := func(to uint64) {
		if to > next {
			c.maps.insert(interval{start: next, end: to, kind: KindReserved})
		}
	}
	for _, e := range code {
		reserve(e.start)
		e.kind, e.prot = KindRetired, ProtNone
		c.maps.insert(e)
		if e.charged {
			c.memory += e.len()
		}
		next = e.end
	}
	reserve(end)
	c.count()
	return nil
}

// ReleaseText frees a range that UnmapText retired. The caller has proved
// that no control stack and no saved instruction pointer refers to it.
func (c *Cage) ReleaseText(off uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, err := c.textAt(off, KindRetired)
	if err != nil {
		return err
	}
	t := e.text
	c.memory -= c.maps.charged(e.start, e.end)
	c.maps.remove(e.start, e.end)
	c.count()
	t.release()
	return nil
}

func (c *Cage) textAt(off uint32, kind Kind) (*interval, error) {
	if c.closed {
		return nil, ErrClosed
	}
	i := c.maps.search(uint64(off))
	if i == len(c.maps) || c.maps[i].start != uint64(off) || c.maps[i].kind != kind {
		return nil, ErrNotMapped
	}
	return &c.maps[i], nil
}
