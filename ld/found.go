package ld

// Programs ask for the same symbols again and again. What Sym has found is remembered
// until something is loaded, closed or unloaded.

const (
	// maxRemembered bounds the names that are remembered.
	maxRemembered = 64
	// foundPlaces is how many there are; each name has one place. A power of two.
	foundPlaces = 1024
)

// found is a symbol that Sym has found.
type found struct {
	name           string
	handle, caller uint32
	since          uint64 // Linker.changes then, and 1; 0: nothing is here
	address        Address
}

// foundPlace is where a question has its place. Only the handles with a meaning of their
// own depend on who asks.
func foundPlace[T string | []byte](handle uint32, name T, caller uint32) uint32 {
	h := uint64(handle)<<32 | uint64(caller)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return uint32(h*0x9e3779b97f4a7c15>>32) % foundPlaces
}

func askedBy(handle, caller uint32) uint32 {
	if handle == HandleDefault || handle == HandleNext {
		return caller
	}
	return 0
}

// foundBefore is what Sym would find for a name without a version, if that is known.
func (l *Linker) foundBefore(handle uint32, name []byte, caller uint32) (Address, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == nil {
		return Address{}, false
	}
	caller = askedBy(handle, caller)
	f := &l.found[foundPlace(handle, name, caller)]
	if f.since != l.changes+1 || f.name != string(name) || f.handle != handle || f.caller != caller {
		return Address{}, false
	}
	return f.address, true
}

// remember keeps what Sym found. Called locked.
func (l *Linker) remember(handle uint32, name string, caller uint32, a Address) {
	if l.found == nil {
		l.found = new([foundPlaces]found)
	}
	caller = askedBy(handle, caller)
	l.found[foundPlace(handle, name, caller)] = found{name, handle, caller, l.changes + 1, a}
}
