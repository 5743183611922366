package libcshim

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/runtime"
)

// Memory of the classic ABI: pages of 64 KiB, no way to anything below the end of
// the code.

func init() {
	for slot, c := range map[uint32]*call{
		20: {"brk", classicBrk, list(aPtr), rHex},
		21: {"mmap", classicMmap, list(aPtr, aSize, aProt, aHex, aMapFD, aPtr), rHex},
		22: {"munmap", classicMunmap, list(aPtr, aSize), rInt},
		24: {"mprotect", classicMprotect, list(aPtr, aSize, aProt), rInt},
		25: {"list_mappings", classicListMappings, list(aPtr, aInt), rInt},
	} {
		classicCalls[slot] = c
	}
}

// classicBrk moves the break: what lies in its way or does not fit the limits leaves
// it where it is. It shrinks without giving memory back.
func classicBrk(k *task, a *args) (int64, error) {
	m := k.p.classic
	m.brkMu.Lock()
	defer m.brkMu.Unlock()
	want := a[0]
	if want < uint64(m.file.DataEnd) || want > loader.ClassicStackTop {
		return int64(m.brk), nil
	}
	mapped := m.brkEnd
	if end := loader.ClassicRound(want); end > mapped {
		if _, err := k.p.dom.Cage().Map(uint32(mapped), end-mapped, cage.ProtRead|cage.ProtWrite, cage.FixedNoReplace); err != nil {
			return int64(m.brk), nil
		}
		m.brkEnd = end
	}
	// What was mapped before may have been used.
	var zero [chunkSize]byte
	for at, end := uint64(m.brk), min(want, mapped); at < end; {
		n := min(end-at, chunkSize)
		if k.p.mem.Write(uint32(at), zero[:n]) != nil || k.t.Exiting() {
			return int64(m.brk), nil
		}
		at += n
	}
	m.brk = uint32(want)
	return int64(m.brk), nil
}

// Flags of NaCl's mmap that count.
const classicMapFlags = unix.MAP_SHARED | unix.MAP_PRIVATE | unix.MAP_FIXED | unix.MAP_ANONYMOUS

// classicMmap checks in NaCl's order.
func classicMmap(k *task, a *args) (int64, error) {
	off, err := k.p.mem.Load64(uint32(a[5]))
	if err != nil {
		return 0, err
	}
	return k.classicMap(a[0], a[1], a[2], a[3], a[4], int64(off))
}

func (k *task) classicMap(addr, length, prot, flags, fd uint64, off int64) (int64, error) {
	flags &= classicMapFlags
	if flags&unix.MAP_ANONYMOUS != 0 {
		return k.classicPlace(addr, length, prot, flags, nil, off)
	}
	return k.withFile(fd, func(o *openFile) (int64, error) {
		return k.classicPlace(addr, length, prot, flags, o, off)
	})
}

// classicPlace maps a file, or anonymous memory if o is nil.
func (k *task) classicPlace(addr, length, prot, flags uint64, o *openFile, off int64) (int64, error) {
	f := k.p.classic.file
	n := loader.ClassicRound(length)
	fixed := flags&unix.MAP_FIXED != 0
	shared := flags&unix.MAP_SHARED != 0
	one := shared != (flags&unix.MAP_PRIVATE != 0)
	if prot&unix.PROT_EXEC != 0 {
		switch {
		case !fixed, o == nil, prot&unix.PROT_WRITE != 0, addr < uint64(f.TextEnd), addr+n > uint64(f.DynamicEnd),
			(addr|length)%loader.ClassicPage != 0, n == 0, off < 0, off%loader.ClassicPage != 0, !one:
			return 0, unix.EINVAL
		}
		return k.mapCode(addr, length, uint64(off), o)
	}
	switch {
	case addr%loader.ClassicPage != 0 && fixed:
		return 0, unix.EINVAL
	case off < 0 || off%loader.ClassicPage != 0:
		return 0, unix.EINVAL
	case n == 0 || n >= cage.Size:
		return 0, unix.EINVAL
	}
	addr &^= loader.ClassicPage - 1
	there := uint64(0) // bytes of the file that can be mapped
	if o != nil {
		st, err := o.file.Stat()
		if err != nil {
			return 0, err
		}
		_, shm := namespace.Unwrap(o.file).(*imcMemory)
		switch {
		case o.isDir || !st.IsRegular() && !shm:
			return 0, unix.ENODEV
		case st.Size < off:
			return 0, unix.EINVAL
		}
		there = min(n, (uint64(st.Size-off)+cage.PageSize-1)&^(cage.PageSize-1))
	}
	if fixed {
		switch {
		case addr+n > cage.Size, addr < uint64(f.DynamicEnd):
			return 0, unix.EINVAL
		}
	}
	if !one {
		return 0, unix.EINVAL
	}
	p := cage.Prot(prot & (unix.PROT_READ | unix.PROT_WRITE))
	if o == nil {
		return k.classicFind(addr, n, p, fixed)
	}
	if !o.readable() || shared && p&cage.ProtWrite != 0 && !o.writable() {
		return 0, unix.EACCES
	}
	at, err := k.classicFind(addr, n, cage.ProtNone, fixed)
	if err != nil {
		return 0, err
	}
	c := k.p.dom.Cage()
	if there > 0 {
		if _, err := k.mapFile(o, uint32(at), there, p, cage.Fixed, off, shared); err != nil {
			_ = c.Unmap(uint32(at), n)
			return 0, err
		}
	}
	// The pages behind the end of the file are taken, and nothing can be done with
	// them. If another thread is faster, it has mapped something there itself.
	if tail := uint32(uint64(at) + there); there < n && c.Unmap(tail, n-there) == nil {
		_ = c.ReserveAt(tail, n-there)
	}
	return at, nil
}

// classicFind maps anonymous memory at addr, or in the lowest gap above it, or, for 0
// and where there is none, in the highest one of all.
func (k *task) classicFind(addr, n uint64, p cage.Prot, fixed bool) (int64, error) {
	c := k.p.dom.Cage()
	if fixed {
		at, err := c.Map(uint32(addr), n, p, cage.Fixed)
		return int64(at), err
	}
	for range 100 { // another thread may be faster
		at, ok := k.classicGap(addr, n)
		if !ok {
			return 0, unix.ENOMEM
		}
		_, err := c.Map(uint32(at), n, p, cage.FixedNoReplace)
		if !errors.Is(err, cage.ErrExists) {
			return int64(at), err
		}
	}
	return 0, unix.ENOMEM
}

// classicGap looks for n free bytes.
func (k *task) classicGap(hint, n uint64) (uint64, bool) {
	low := max(uint64(k.p.classic.file.DynamicEnd), uint64(k.p.classic.file.TextEnd))
	var best, above uint64
	found, foundAbove := false, false
	next := low
	look := func(end uint64) {
		start := loader.ClassicRound(next)
		end &^= loader.ClassicPage - 1
		if end > start && end-start >= n {
			best, found = end-n, true
		}
		if start = max(start, hint); hint != 0 && !foundAbove && end > start && end-start >= n {
			above, foundAbove = start, true
		}
	}
	for _, m := range k.p.dom.Cage().Mappings() {
		if uint64(m.Offset) > next {
			look(uint64(m.Offset))
		}
		next = max(next, uint64(m.Offset)+m.Len)
	}
	look(loader.ClassicStackTop)
	if foundAbove {
		return above, true
	}
	return best, found
}

func classicMunmap(k *task, a *args) (int64, error) {
	addr, n := a[0], loader.ClassicRound(a[1])
	switch {
	case addr%loader.ClassicPage != 0, n == 0, n >= cage.Size:
		return 0, unix.EINVAL
	case !runtime.InSandbox(addr, n):
		return 0, unix.EFAULT
	case addr < uint64(k.p.classic.file.DynamicEnd):
		return 0, unix.EINVAL
	}
	return 0, k.p.dom.Cage().Unmap(uint32(addr), n)
}

func classicMprotect(k *task, a *args) (int64, error) {
	addr, n, prot := a[0], loader.ClassicRound(a[1]), a[2]
	switch {
	case addr%loader.ClassicPage != 0:
		return 0, unix.EINVAL
	case !runtime.InSandbox(addr, n):
		return 0, unix.EFAULT
	case prot&^(unix.PROT_READ|unix.PROT_WRITE) != 0, addr < uint64(k.p.classic.file.DynamicEnd):
		return 0, unix.EACCES
	}
	if n == 0 {
		return 0, nil
	}
	// What is behind the end of a file stays as it is.
	c := k.p.dom.Cage()
	at, end := addr, addr+n
	var pieces [][2]uint64
	for _, m := range c.Mappings() {
		lo, hi := uint64(m.Offset), min(uint64(m.Offset)+m.Len, end)
		if hi <= at {
			continue
		}
		if lo > at {
			break
		}
		if m.Kind != cage.KindReserved {
			if last := len(pieces) - 1; last >= 0 && pieces[last][1] == at {
				pieces[last][1] = hi
			} else {
				pieces = append(pieces, [2]uint64{at, hi})
			}
		}
		if at = hi; at == end {
			break
		}
	}
	if at < end {
		return 0, unix.EACCES
	}
	for _, piece := range pieces {
		err := c.Protect(uint32(piece[0]), piece[1]-piece[0], cage.Prot(prot))
		if errors.Is(err, cage.ErrNotMapped) {
			return 0, unix.EACCES
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// classicListMappings copies as many entries as there is room for, and tells how
// many there are.
func classicListMappings(k *task, a *args) (int64, error) {
	const size = 20 // u32 start, size, prot, prot that it may get, kind
	if !runtime.InSandbox(a[0], a[1]*size) {
		return 0, unix.EFAULT
	}
	var b []byte
	total := uint64(0)
	for _, m := range k.p.dom.Cage().Mappings() {
		if m.Kind == cage.KindDynamic && m.Prot == 0 {
			continue // no code is there
		}
		if total++; total > a[1] {
			continue
		}
		most, backed := uint32(unix.PROT_READ|unix.PROT_WRITE), uint32(0)
		switch m.Kind {
		case cage.KindText, cage.KindTrampolines, cage.KindDynamic:
			most = unix.PROT_READ | unix.PROT_EXEC
		case cage.KindFile, cage.KindShared:
			backed = 1
		}
		for _, v := range []uint32{m.Offset, uint32(m.Len), uint32(m.Prot), most, backed} {
			b = le.AppendUint32(b, v)
		}
	}
	return int64(total), k.write(a[0], b)
}
