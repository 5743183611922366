package cage

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Snapshot is the map and the contents of a cage at one moment. The cages that are
// made from it share its pages until they write to them.
//
// Its methods may be called from any goroutine.
type Snapshot struct {
	guard uint64
	maps  intervals // what a new cage has, the trampolines first
	file  *os.File  // what is not zero, one range after the other; sealed
	bytes uint64    // of the file
	total uint64    // charged
	code  []snapshotCode
	refs  atomic.Int64
}

// snapshotCode is what a Dynamic was.
type snapshotCode struct {
	at   uint32
	size uint64
	open []bool
	file *os.File // of which there is no writable view any more
}

const (
	// A gap of so many untouched pages makes two ranges, each with a mapping of the
	// kernel's; a smaller one is in the file, and zero.
	snapshotGap = 32 * PageSize
	// imageStart is where the file begins to hold something: an offset of 0 says
	// that there is no image.
	imageStart = PageSize
)

// Snapshot makes one. Shared memory can't be in it (ErrShared). Dynamic code can, and
// does not change in this cage any more (ErrSnapshot). Nobody may run inside meanwhile.
func (c *Cage) Snapshot() (*Snapshot, error) {
	c.mu.Lock()
	dynamic := slices.Clone(c.dynamic)
	c.mu.Unlock()
	for _, d := range dynamic {
		d.mu.Lock()
		defer d.mu.Unlock()
		if err := d.ready(); err != nil && err != ErrSnapshot {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, ErrClosed
	case len(c.dynamic) != len(dynamic):
		return nil, ErrDynamic // somebody is about to write there
	case len(c.maps) == 0 || c.maps[0].kind != KindTrampolines:
		return nil, ErrInvalid
	}
	f, err := newMemfd("halite-snapshot", unix.MFD_NOEXEC_SEAL)
	if err != nil {
		return nil, fmt.Errorf("cage: snapshot: %w", err)
	}
	s := &Snapshot{guard: c.guard, file: f, bytes: imageStart}
	s.refs.Store(1)
	for _, d := range dynamic {
		if err := s.addCode(d); err != nil {
			s.Close()
			return nil, err
		}
	}
	if err := s.fill(c); err != nil {
		s.Close()
		return nil, err
	}
	for _, d := range dynamic {
		d.frozen = true
		d.dropView()
	}
	return s, nil
}

// addCode shares the pages of a Dynamic, which is locked.
func (s *Snapshot) addCode(d *Dynamic) error {
	fd, err := unix.FcntlInt(d.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cage: dynamic code of a snapshot: %w", err)
	}
	s.code = append(s.code, snapshotCode{d.at, d.size, slices.Clone(d.open), os.NewFile(uintptr(fd), "halite-dynamic")})
	return nil
}

// addOpen adds what the guest sees of dynamic code, which may be that of two Dynamics
// side by side.
func (s *Snapshot) addOpen(e interval) {
	for e.start < e.end {
		x := s.codeOf(&e)
		part := e
		part.end = min(e.end, uint64(x.at)+x.size)
		part.image = imageStart + e.start - uint64(x.at)
		s.maps = append(s.maps, part)
		e.start = part.end
	}
}

// codeOf is the code that a mapping of KindDynamic is a part of.
func (s *Snapshot) codeOf(e *interval) *snapshotCode {
	for i := range s.code {
		if x := &s.code[i]; e.start >= uint64(x.at) && e.start < uint64(x.at)+x.size {
			return x
		}
	}
	return nil
}

func (s *Snapshot) fill(c *Cage) error {
	cp := newCopier(c)
	defer cp.done()
	for _, e := range c.maps {
		switch e.kind {
		case KindShared:
			return ErrShared
		case KindAnon, KindFile:
			if err := s.contents(cp, e); err != nil {
				return fmt.Errorf("cage: snapshot of 0x%x bytes at 0x%x: %w", e.len(), e.start, err)
			}
		default:
			if e.text != nil && !e.text.retain() {
				return fmt.Errorf("%w: the text was released", ErrInvalid)
			}
			if e.kind == KindDynamic && e.prot != ProtNone {
				s.addOpen(e)
			} else {
				s.maps = append(s.maps, e)
			}
		}
		if e.charged {
			s.total += e.len()
		}
	}
	if err := seal(s.file); err != nil {
		return fmt.Errorf("cage: snapshot: %w", err)
	}
	return nil
}

// contents writes what a mapping holds to the file and adds its parts to the map: those
// with an image and those without.
func (s *Snapshot) contents(cp *copier, e interval) error {
	e.image = 0 // the image of another snapshot, if there is one, is copied
	var ranges [][2]uint64
	old, _ := cp.from.entry(e.start)
	err := cp.touched(&old, func(start, end uint64) error {
		// What was only read is zero still.
		return cp.look(&old, start, end, func(start, end uint64) error {
			if n := len(ranges); n > 0 && start-ranges[n-1][1] < snapshotGap {
				ranges[n-1][1] = end
			} else {
				ranges = append(ranges, [2]uint64{start, end})
			}
			return nil
		})
	})
	defer cp.close(&old)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if r[0]-e.start < snapshotGap || e.kind == KindFile {
			r[0] = e.start
		}
		if e.end-r[1] < snapshotGap || e.kind == KindFile {
			r[1] = e.end
		}
		if e.start < r[0] {
			before := e
			before.end = r[0]
			s.maps = append(s.maps, before)
		}
		part := e
		part.start, part.end, part.image = r[0], r[1], s.bytes
		if err := cp.open(&old); err != nil {
			return err
		}
		if err := s.write(cp, &part); err != nil {
			return err
		}
		s.maps = append(s.maps, part)
		if e.start = r[1]; e.start == e.end {
			return nil
		}
	}
	s.maps = append(s.maps, e)
	return nil
}

// write adds the contents of a range to the file. A page that can't be read, because
// its file has become shorter, is zero.
func (s *Snapshot) write(cp *copier, e *interval) error {
	const piece = 64 * PageSize
	buf := make([]byte, min(e.len(), piece))
	for at := e.start; at < e.end; at += piece {
		b := buf[:min(e.end-at, piece)]
		if cp.mem.Read(uint32(at), b) != nil {
			for i := 0; i < len(b); i += PageSize {
				if page := b[i : i+PageSize]; cp.mem.Read(uint32(at)+uint32(i), page) != nil {
					clear(page)
				}
			}
		}
		if _, err := s.file.WriteAt(b, int64(s.bytes)); err != nil {
			return err
		}
		s.bytes += uint64(len(b))
	}
	return nil
}

// entry is the one that begins at off.
func (c *Cage) entry(off uint64) (interval, bool) {
	if i := c.maps.search(off); i < len(c.maps) && c.maps[i].start == off {
		return c.maps[i], true
	}
	return interval{}, false
}

// Size returns the bytes that the contents take up, once for all cages.
func (s *Snapshot) Size() uint64 { return s.bytes - imageStart }

// New makes a cage with the snapshot's map and contents. Of conf, Trampolines and
// Guard are the snapshot's.
func (s *Snapshot) New(conf Config) (*Cage, error) {
	if !s.retain() {
		return nil, ErrClosed
	}
	defer s.Close()
	conf.Trampolines, conf.Guard = s.maps[0].text, s.guard
	c, err := New(conf)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	err = c.adoptSnapshot(s)
	c.mu.Unlock()
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Reset makes the cage what New would return, at less cost the less has changed. After
// an error nothing but Close is possible. Nobody may run inside or access the
// memory meanwhile. Dynamics that it has are closed. The memory counts against budget
// from now on.
func (c *Cage) Reset(s *Snapshot, budget *Budget) error {
	if !s.retain() {
		return ErrClosed
	}
	defer s.Close()
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	dynamic := c.dynamic
	c.dynamic = nil
	c.mu.Unlock()
	for _, d := range dynamic {
		d.close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case len(c.dynamic) > 0:
		return ErrDynamic // somebody is about to write there
	case c.guard != s.guard || c.maps[0] != s.maps[0]:
		return ErrInvalid
	}
	for _, e := range slices.Clone(c.maps[1:]) {
		if i := s.maps.search(e.start); i < len(s.maps) && s.maps[i] == e {
			continue
		}
		if e.kind != KindReserved {
			if _, err := mmap(c.base+uintptr(e.start), e.len(), 0, anonymous|syscall.MAP_FIXED, -1, 0); err != nil {
				return fmt.Errorf("cage: reset 0x%x bytes at 0x%x: %w", e.len(), e.start, err)
			}
		}
		if e.text != nil {
			e.text.release()
		}
		if e.charged {
			c.memory -= e.len()
		}
		c.maps.remove(e.start, e.end)
	}
	// What stays gets its contents back: one call for what lies close together.
	for i := 1; i < len(c.maps); {
		if c.maps[i].kind != KindAnon && c.maps[i].kind != KindFile {
			i++
			continue
		}
		start, end := c.maps[i].start, c.maps[i].end
		for i++; i < len(c.maps) && c.maps[i].text == nil; i++ {
			end = c.maps[i].end
		}
		if err := madvise(c.base+uintptr(start), end-start, unix.MADV_DONTNEED); err != nil {
			return fmt.Errorf("cage: reset 0x%x bytes at 0x%x: %w", end-start, start, err)
		}
	}
	if !c.moveTo(budget) {
		return ErrLimit
	}
	return c.adoptSnapshot(s)
}

// Adopt gives a cage that was Reset another limit and another budget, both as in Config.
// After an error nothing but Close is possible.
func (c *Cage) Adopt(maxMemory uint64, budget *Budget) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.setLimit(maxMemory)
	if !c.moveTo(budget) {
		return ErrLimit
	}
	return nil
}

// adoptSnapshot maps what of a snapshot is not there. What is there is as it should
// be. Called locked.
func (c *Cage) adoptSnapshot(s *Snapshot) error {
	if !c.afford(s.total) {
		return ErrLimit
	}
	defer c.settle()
	undo, err := c.room(len(s.maps) - len(c.maps))
	if err != nil {
		return err
	}
	defer undo()
	maps := make(intervals, 0, len(s.maps)+2)
	i := 0
	for _, e := range s.maps {
		if i < len(c.maps) && c.maps[i].start == e.start {
			i++
			maps = append(maps, e)
			continue
		}
		if err := c.mapImage(s, &e); err != nil {
			c.maps = append(maps, c.maps[i:]...)
			return fmt.Errorf("cage: map 0x%x bytes of a snapshot at 0x%x: %w", e.len(), e.start, err)
		}
		if e.text != nil {
			e.text.refs.Add(1) // the snapshot has one
		}
		maps = append(maps, e)
	}
	c.maps, c.memory = maps, s.total
	for i := range s.code {
		x := &s.code[i]
		c.dynamic = append(c.dynamic, &Dynamic{c: c, at: x.at, size: x.size, open: x.open})
	}
	return nil
}

func (c *Cage) mapImage(s *Snapshot, e *interval) error {
	prot, flags, fd := e.prot.bits(), anonymous|syscall.MAP_FIXED, -1
	switch {
	case e.kind == KindReserved || e.kind == KindRetired || e.image == 0 && e.prot == ProtNone && (e.kind == KindAnon || e.kind == KindDynamic):
		return nil // it is inaccessible already
	case e.kind == KindDynamic:
		_, err := mmap(c.base+uintptr(e.start), e.len(), syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_SHARED|syscall.MAP_FIXED,
			int(s.codeOf(e).file.Fd()), int64(e.image-imageStart))
		return err
	case e.kind == KindText:
		prot, flags, fd = syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_SHARED|syscall.MAP_FIXED, e.text.fd()
	case e.image != 0:
		flags, fd = syscall.MAP_PRIVATE|syscall.MAP_NORESERVE|syscall.MAP_FIXED, int(s.file.Fd())
	}
	_, err := mmap(c.base+uintptr(e.start), e.len(), prot, flags, fd, int64(e.image))
	return err
}

func (s *Snapshot) retain() bool {
	for {
		n := s.refs.Load()
		if n <= 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Close gives the snapshot up. Cages made from it keep what they have.
func (s *Snapshot) Close() {
	if s.refs.Add(-1) != 0 {
		return
	}
	for _, e := range s.maps {
		if e.text != nil {
			e.text.release()
		}
	}
	for _, x := range s.code {
		x.file.Close()
	}
	s.file.Close()
}
