package ld

import (
	"fmt"
	"math/bits"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
)

// What the guest can read of the linker's data: names and the link_map list.
// The pages are ordinary memory of the guest. It can overwrite them and confuse
// itself; the linker only ever writes them.

// arena hands out small blocks of guest memory.
type arena struct {
	cage *cage.Cage
	mem  safemem.Memory
	next uint32
	left uint32
	free [13][]uint32 // by power of two
}

type block struct {
	addr  uint32
	class int
}

const (
	arenaChunk = 64 << 10
	minClass   = 6  // 64 bytes
	maxClass   = 12 // 4096 bytes
)

// alloc returns a block of at least n bytes. Its contents are undefined.
func (a *arena) alloc(n int) (block, error) {
	class := max(minClass, bits.Len(uint(max(n, 1)-1)))
	if class > maxClass {
		return block{}, fmt.Errorf("ld: %d bytes for the guest in one piece", n)
	}
	if f := a.free[class]; len(f) > 0 {
		addr := f[len(f)-1]
		a.free[class] = f[:len(f)-1]
		return block{addr, class}, nil
	}
	size := uint32(1) << class
	if a.left < size {
		addr, err := a.cage.Map(0, arenaChunk, cage.ProtRead|cage.ProtWrite, cage.Hint)
		if err != nil {
			return block{}, fmt.Errorf("ld: memory for link_map: %w", err)
		}
		a.next, a.left = addr, arenaChunk
	}
	b := block{a.next, class}
	a.next += size
	a.left -= size
	return b, nil
}

func (a *arena) release(b block) { a.free[b.class] = append(a.free[b.class], b.addr) }

// put allocates a block for an object and fills it.
func (l *Linker) put(o *object, data []byte) (uint32, error) {
	b, err := l.guest.alloc(len(data))
	if err != nil {
		return 0, err
	}
	o.blocks = append(o.blocks, b)
	return b.addr, l.mem.Write(b.addr, data)
}

// linkMapSize is that of struct link_map: l_addr, l_name, l_ld, l_next, l_prev.
const linkMapSize = 5 * 8

// maxGuestName bounds names that the guest is shown.
const maxGuestName = 4000

// publish writes what the guest may see of an object, and makes its handle.
func (l *Linker) publish(o *object) error {
	name := o.String()
	var err error
	if o.nameAddr, err = l.put(o, append([]byte(name[:min(len(name), maxGuestName)]), 0)); err != nil {
		return err
	}
	switch {
	case o.file.PhdrAddr != 0:
		o.phdr = o.file.PhdrAddr + o.bias
	case len(o.file.Phdrs) <= 1<<maxClass:
		if o.phdr, err = l.put(o, o.file.Phdrs); err != nil {
			return err
		}
	}
	if o.link, err = l.put(o, make([]byte, linkMapSize)); err != nil {
		return err
	}
	l.handles[o.link] = o
	if o == l.main && o.dyn.Debug != 0 {
		return l.publishDebug(o)
	}
	return nil
}

// States of struct r_debug.
const (
	debugConsistent = iota
	debugAdd
	debugDelete
)

// publishDebug lets DT_DEBUG of the program lead to a struct r_debug, from where debuggers
// find the list of objects.
func (l *Linker) publishDebug(o *object) error {
	addr, err := l.put(o, make([]byte, debugSize))
	if err != nil {
		return err
	}
	if o.image.Set(uint64(o.dyn.Debug), le.AppendUint64(nil, uint64(addr))) {
		l.debug = addr
	} // else the section is read-only: debuggers must do without
	return nil
}

// debugSize is that of struct r_debug: r_version, r_map, r_brk, r_state, r_ldbase.
const debugSize = 5 * 8

// showDebug writes struct r_debug. r_brk is 0: no function of the guest is called when the
// list changes. r_ldbase is 0 too, because there is no linker in the guest.
func (l *Linker) showDebug(state uint32) {
	if l.debug == 0 {
		return
	}
	var b [debugSize]byte
	le.PutUint32(b[0:], 1)
	if len(l.objects) > 0 {
		le.PutUint64(b[8:], uint64(l.objects[0].link))
	}
	le.PutUint32(b[24:], state)
	if err := l.mem.Write(l.debug, b[:]); err != nil {
		l.trace("r_debug: %v", err)
	}
}

// unpublish takes the handle back.
func (l *Linker) unpublish(o *object) {
	if o.link != 0 {
		delete(l.handles, o.link)
	}
	if o == l.main {
		l.debug = 0
	}
	for _, b := range o.blocks {
		l.guest.release(b)
	}
	o.blocks, o.link = nil, 0
}

// chain writes the link_map list anew, which is consistent then.
func (l *Linker) chain() {
	for i, o := range l.objects {
		if o.link == 0 {
			continue
		}
		var m [linkMapSize]byte
		le.PutUint64(m[0:], uint64(o.bias))
		le.PutUint64(m[8:], uint64(o.nameAddr))
		le.PutUint64(m[16:], uint64(o.dyn.Addr+o.bias))
		if i+1 < len(l.objects) {
			le.PutUint64(m[24:], uint64(l.objects[i+1].link))
		}
		if i > 0 {
			le.PutUint64(m[32:], uint64(l.objects[i-1].link))
		}
		if err := l.mem.Write(o.link, m[:]); err != nil {
			// The guest has taken its own list away. Loading goes on without.
			l.trace("%s: link_map: %v", o, err)
		}
	}
	l.showDebug(debugConsistent)
}
