package ld

import "github.com/halite-run/halite/loader"

// retired is the place of an unloaded library. It is kept for the same file,
// which may come back without further ado; once the proof has begun that no
// thread holds a return address into it, it is kept for nothing, and given back
// when the proof is complete.
type retired struct {
	place  *loader.Retired
	proofs []func() bool // of those ranges of its code that are not proved yet
}

// How many places, and how much address space, are kept for their files.
const (
	keepPlaces = 16
	keepBytes  = 256 << 20
)

func (l *Linker) tooManyRetired() bool {
	var bytes uint64
	for _, r := range l.retired {
		_, n := r.place.Extent()
		bytes += n
	}
	return len(l.retired) > l.keep || bytes > keepBytes
}

// release begins the proof for every place, asks those that have begun how far
// they are, and frees what is proved. Threads answer on their own goroutines, so
// that a place may take until the next call.
func (l *Linker) release() {
	if l.cfg.Retire == nil {
		return
	}
	l.retired = keep(l.retired, func(r *retired) bool {
		if r.proofs == nil {
			r.proofs = []func() bool{}
			for _, c := range r.place.Code() {
				r.proofs = append(r.proofs, l.cfg.Retire(c.Addr, c.Addr+c.Size))
			}
		}
		r.proofs = keep(r.proofs, func(proof func() bool) bool { return !proof() })
		if len(r.proofs) > 0 {
			return true
		}
		at, n := r.place.Extent()
		if err := r.place.Release(); err != nil {
			l.warn("giving back %#x bytes at %#x: %v", n, at, err)
		} else {
			l.trace("%#x bytes at %#x are free again", n, at)
		}
		return false
	})
}
