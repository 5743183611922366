package libcshim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/libcshim/namespace"
)

// memoryState is what the process remembers about its address space beyond what
// the cage knows: the break, and where the first stack is.
type memoryState struct {
	mu        sync.Mutex
	brkStart  uint32
	brk       uint32
	stackLow  uint32
	stackSize uint64
}

// start puts the break behind the program.
func (m *memoryState) start(end uint32) {
	m.brkStart = roundUp(end)
	m.brk = m.brkStart
}

// copyFrom is for a copy of the domain. The caller holds the old one's lock.
func (m *memoryState) copyFrom(old *memoryState) {
	m.brkStart, m.brk, m.stackLow, m.stackSize = old.brkStart, old.brk, old.stackLow, old.stackSize
}

func (m *memoryState) stack(low uint32, size uint64) { m.stackLow, m.stackSize = low, size }

func roundUp(v uint32) uint32 { return (v + cage.PageSize - 1) &^ (cage.PageSize - 1) }

// sysBrk moves the break. What lies in its way, or does not fit into the memory
// limit, leaves it where it is: the result is always the break.
func sysBrk(k *task, a *args) (int64, error) {
	m := &k.p.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if a[0] < uint64(m.brkStart) || a[0] > 1<<32-1-cage.TopGuard {
		return int64(m.brk), nil
	}
	want := uint32(a[0])
	c := k.p.dom.Cage()
	old, end := roundUp(m.brk), roundUp(want)
	switch {
	case end > old:
		if _, err := c.Map(old, uint64(end-old), cage.ProtRead|cage.ProtWrite, cage.FixedNoReplace); err != nil {
			return int64(m.brk), nil
		}
	case end < old:
		if err := c.Unmap(end, uint64(old-end)); err != nil {
			return int64(m.brk), nil
		}
	}
	m.brk = want
	return int64(m.brk), nil
}

// protection translates PROT_*. Executable memory comes from dl_open alone.
func protection(prot uint64) (cage.Prot, error) {
	const growsDown, growsUp = 0x01000000, 0x02000000
	if prot&unix.PROT_EXEC != 0 {
		return 0, unix.EPERM
	}
	if prot&^(unix.PROT_READ|unix.PROT_WRITE) != 0 {
		if prot&(growsDown|growsUp) != 0 {
			return 0, unix.EINVAL
		}
		return 0, unix.EINVAL
	}
	var p cage.Prot
	if prot&unix.PROT_READ != 0 {
		p |= cage.ProtRead
	}
	if prot&unix.PROT_WRITE != 0 {
		// The processor has no write-only pages.
		p |= cage.ProtRead | cage.ProtWrite
	}
	return p, nil
}

// guestRange checks an address and a length before they are made smaller types.
func guestRange(addr, n uint64) (uint32, uint64, error) {
	if addr%cage.PageSize != 0 {
		return 0, 0, unix.EINVAL
	}
	if n == 0 || n > cage.Size {
		return 0, 0, unix.EINVAL
	}
	if addr >= cage.Size || addr+n > cage.Size {
		return 0, 0, unix.ENOMEM
	}
	return uint32(addr), (n + cage.PageSize - 1) &^ (cage.PageSize - 1), nil
}

func sysMmap(k *task, a *args) (int64, error) {
	addr, length, flags, off := a[0], a[1], a[3], a[5]
	if length == 0 || off%cage.PageSize != 0 {
		return 0, unix.EINVAL
	}
	if length > cage.Size {
		return 0, unix.ENOMEM
	}
	if a[2] == unix.PROT_READ|unix.PROT_EXEC && flags&unix.MAP_FIXED != 0 && flags&unix.MAP_ANONYMOUS == 0 {
		return sysMmapCode(k, a)
	}
	prot, err := protection(a[2])
	if err != nil {
		return 0, err
	}
	length = (length + cage.PageSize - 1) &^ (cage.PageSize - 1)
	mode := cage.Hint
	switch {
	case flags&unix.MAP_FIXED_NOREPLACE != 0:
		mode = cage.FixedNoReplace
	case flags&unix.MAP_FIXED != 0:
		mode = cage.Fixed
	}
	if mode == cage.Hint {
		addr &^= cage.PageSize - 1
		if addr >= cage.Size || addr+length > cage.Size {
			addr = 0
		}
	} else if _, _, err := guestRange(addr, length); err != nil {
		return 0, err
	}
	kind := flags & unix.MAP_TYPE
	if kind != unix.MAP_PRIVATE && kind != unix.MAP_SHARED && kind != unix.MAP_SHARED_VALIDATE {
		return 0, unix.EINVAL
	}
	shared := kind != unix.MAP_PRIVATE
	c := k.p.dom.Cage()
	if flags&unix.MAP_ANONYMOUS != 0 {
		if shared && k.p.tree.several() {
			at, err := c.MapShared(uint32(addr), length, prot, mode)
			return int64(at), err
		}
		// Otherwise it has nobody to be shared with but the threads here.
		at, err := c.Map(uint32(addr), length, prot, mode)
		return int64(at), err
	}
	return k.withFile(a[4], func(o *openFile) (int64, error) {
		if o.isDir {
			return 0, unix.ENODEV
		}
		if !o.readable() || shared && prot&cage.ProtWrite != 0 && !o.writable() {
			return 0, unix.EACCES
		}
		if int64(off) < 0 {
			return 0, unix.EOVERFLOW
		}
		at, err := k.mapFile(o, uint32(addr), length, prot, mode, int64(off), shared)
		return int64(at), err
	})
}

// sysMmapCode is NaCl's way to map code: whole units of 64 KiB of a file, at an
// address within the region for dynamic code, for good. What is mapped is a copy
// that was validated; elsewhere, code comes from dl_open alone.
func sysMmapCode(k *task, a *args) (int64, error) {
	addr, length, off := a[0], a[1], a[5]
	r, err := k.p.dom.Dyncode()
	if err != nil {
		return 0, unix.EPERM
	}
	start, end := r.Extent()
	if addr < uint64(start) || addr >= uint64(end) {
		return 0, unix.EPERM
	}
	if kind := a[3] & unix.MAP_TYPE; kind != unix.MAP_PRIVATE && kind != unix.MAP_SHARED {
		return 0, unix.EINVAL
	}
	if (addr|length|off)%cage.DynamicUnit != 0 || length > uint64(end)-addr || int64(off) < 0 {
		return 0, unix.EINVAL
	}
	return k.withFile(a[4], func(o *openFile) (int64, error) { return k.mapCode(addr, length, off, o) })
}

// mapCode puts length bytes of a file from off into the region for dynamic code.
//
// Preconditions: addr and length are within it, whole units of 64 KiB.
func (k *task) mapCode(addr, length, off uint64, o *openFile) (int64, error) {
	r, err := k.p.dom.Dyncode()
	if err != nil {
		return 0, unix.EPERM
	}
	if o.isDir {
		return 0, unix.ENODEV
	}
	if !o.readable() {
		return 0, unix.EACCES
	}
	if o.writable() {
		return 0, unix.EINVAL // as in NaCl
	}
	st, err := o.file.Stat()
	if err != nil {
		return 0, err
	}
	if !st.IsRegular() || st.Size < 0 || uint64(st.Size) < off+length {
		return 0, unix.EINVAL
	}
	defer r.Admit(length)()
	if k.t.Exiting() {
		return 0, unix.EINTR // it may have waited for a while
	}
	code := make([]byte, length)
	for n := 0; n < len(code); {
		m, err := o.file.ReadAt(code[n:], int64(off)+int64(n))
		if err != nil && err != io.EOF {
			return 0, err
		}
		if m == 0 {
			return 0, unix.EINVAL // it has become shorter
		}
		n += m
	}
	switch err := r.Map(uint32(addr), code); {
	case errors.Is(err, unix.ENOMEM):
		return 0, unix.ENOMEM
	case err != nil:
		return 0, unix.EINVAL
	}
	return int64(addr), nil
}

// mapFile maps a file of the host as it is, and any other as a copy, which is
// right for private mappings; a shared one that may be written is refused then.
func (k *task) mapFile(o *openFile, addr uint32, n uint64, prot cage.Prot, mode cage.MapMode, off int64, shared bool) (uint32, error) {
	c := k.p.dom.Cage()
	inner := namespace.Unwrap(o.file)
	if _, ok := inner.(*imcMemory); ok {
		switch {
		case !shared:
			return 0, unix.EINVAL // Native Client has no private view of it
		case uint64(off) > math.MaxInt32 || uint64(off)+n > math.MaxInt32:
			return 0, unix.EOVERFLOW // where no shared memory has anything
		}
	}
	if h, ok := inner.(namespace.HostBacked); ok {
		if f := h.HostFile(); f != nil {
			if shared && !o.writable() && !h.Guarded() {
				// The kernel would let the guest make it writable later; a
				// frozen view shows the same file and leaves it alone.
				return c.MapFrozen(addr, n, prot, mode, f, off)
			}
			return c.MapFile(addr, n, prot, mode, f, off, shared)
		}
	}
	st, err := o.file.Stat()
	if err != nil {
		return 0, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFCHR {
		// /dev/zero is anonymous memory.
		if st.Rdev == unix.Mkdev(1, 5) {
			return c.Map(addr, n, prot, mode)
		}
		return 0, unix.ENODEV
	}
	if !st.IsRegular() {
		return 0, unix.ENODEV
	}
	if shared && o.writable() {
		return 0, unix.ENODEV
	}
	at, err := c.Map(addr, n, cage.ProtRead|cage.ProtWrite, mode)
	if err != nil {
		return 0, err
	}
	if err := k.fill(o, at, n, off); err != nil {
		_ = c.Unmap(at, n)
		return 0, err
	}
	if prot != cage.ProtRead|cage.ProtWrite {
		if err := c.Protect(at, n, prot); err != nil {
			_ = c.Unmap(at, n)
			return 0, err
		}
	}
	return at, nil
}

// fill copies a file into fresh memory.
func (k *task) fill(o *openFile, at uint32, n uint64, off int64) error {
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for n > 0 {
		m, err := o.file.ReadAt(buf[:min(n, chunkSize)], off)
		if err != nil {
			return err
		}
		if m == 0 {
			return nil
		}
		if err := k.p.mem.Write(at, buf[:m]); err != nil {
			return err
		}
		at += uint32(m)
		off += int64(m)
		n -= uint64(m)
	}
	return nil
}

func sysMunmap(k *task, a *args) (int64, error) {
	off, n, err := guestRange(a[0], a[1])
	if err != nil {
		return 0, unix.EINVAL
	}
	return 0, k.p.dom.Cage().Unmap(off, n)
}

func sysMprotect(k *task, a *args) (int64, error) {
	prot, err := protection(a[2])
	if err != nil {
		return 0, err
	}
	if a[1] == 0 && a[0]%cage.PageSize == 0 {
		return 0, nil
	}
	off, n, err := guestRange(a[0], a[1])
	if err != nil {
		return 0, err
	}
	return 0, k.p.dom.Cage().Protect(off, n, prot)
}

func sysMremap(k *task, a *args) (int64, error) {
	const mayMove, fixed, dontUnmap = 1, 2, 4
	if a[3]&^mayMove != 0 {
		// To a fixed place: nobody does that but loaders.
		return 0, unix.EINVAL
	}
	off, oldn, err := guestRange(a[0], a[1])
	if err != nil {
		return 0, err
	}
	if a[2] == 0 {
		return 0, unix.EINVAL
	}
	if a[2] > cage.Size {
		return 0, unix.ENOMEM
	}
	newn := (a[2] + cage.PageSize - 1) &^ (cage.PageSize - 1)
	at, err := k.p.dom.Cage().Remap(off, oldn, newn, a[3]&mayMove != 0)
	return int64(at), err
}

func sysMadvise(k *task, a *args) (int64, error) {
	if a[1] == 0 {
		return 0, nil
	}
	off, n, err := guestRange(a[0], a[1])
	if err != nil {
		return 0, err
	}
	switch int32Arg(a[2]) {
	case unix.MADV_DONTNEED:
		return 0, k.p.dom.Cage().Discard(off, n)
	case unix.MADV_NORMAL, unix.MADV_RANDOM, unix.MADV_SEQUENTIAL, unix.MADV_WILLNEED, unix.MADV_FREE,
		unix.MADV_COLD, unix.MADV_PAGEOUT, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_DONTFORK,
		unix.MADV_DOFORK, unix.MADV_MERGEABLE, unix.MADV_UNMERGEABLE, unix.MADV_DONTDUMP, unix.MADV_DODUMP,
		unix.MADV_WIPEONFORK, unix.MADV_KEEPONFORK:
		// Advice may be ignored; MADV_FREE in particular promises nothing.
		return 0, nil
	}
	return 0, unix.EINVAL
}

// sysMsync: shared mappings of host files are the host's page cache, which its
// kernel writes back.
func sysMsync(k *task, a *args) (int64, error) {
	if a[2]&^(unix.MS_ASYNC|unix.MS_INVALIDATE|unix.MS_SYNC) != 0 || a[2]&unix.MS_ASYNC != 0 && a[2]&unix.MS_SYNC != 0 {
		return 0, unix.EINVAL
	}
	if a[1] == 0 {
		return 0, nil
	}
	off, n, err := guestRange(a[0], a[1])
	if err != nil {
		return 0, err
	}
	return 0, k.p.mapped(off, n)
}

// mapped is ENOMEM if a range has a gap.
func (p *Process) mapped(off uint32, n uint64) error {
	next, end := uint64(off), uint64(off)+n
	for _, m := range p.dom.Cage().Mappings() {
		lo, hi := uint64(m.Offset), uint64(m.Offset)+m.Len
		if hi <= next || m.Kind == cage.KindReserved || m.Kind == cage.KindRetired {
			continue
		}
		if lo > next {
			break
		}
		if next = hi; next >= end {
			return nil
		}
	}
	return unix.ENOMEM
}

// sysMincore says that all that is mapped is in memory.
func sysMincore(k *task, a *args) (int64, error) {
	off, n, err := guestRange(a[0], a[1])
	if err != nil {
		return 0, err
	}
	if err := k.p.mapped(off, n); err != nil {
		return 0, err
	}
	at := a[2]
	for pages := n / cage.PageSize; pages > 0; {
		part := min(pages, 4096)
		if err := k.write(at, bytes.Repeat([]byte{1}, int(part))); err != nil {
			return 0, err
		}
		at += part
		pages -= part
	}
	return 0, nil
}

// sysLock stands for mlock and its kin: memory is not swapped by us.
func sysLock(k *task, a *args) (int64, error) { return 0, nil }

// mapsFile is /proc/self/maps.
func (p *Process) mapsFile() []byte {
	var b bytes.Buffer
	for _, m := range p.dom.Cage().Mappings() {
		if m.Kind == cage.KindReserved || m.Kind == cage.KindRetired {
			continue
		}
		share := "p"
		if m.Kind == cage.KindShared {
			share = "s"
		}
		name := m.Name
		switch {
		case m.Kind == cage.KindTrampolines:
			name = "[trampolines]"
		case m.Offset == p.memory.stackLow:
			name = "[stack]"
		case name == "" && m.Offset == p.memory.brkStart:
			name = "[heap]"
		}
		fmt.Fprintf(&b, "%08x-%08x %s%s 00000000 00:00 0 %*s%s\n", m.Offset, uint64(m.Offset)+m.Len, m.Prot, share, 25, "", name)
	}
	return b.Bytes()
}
