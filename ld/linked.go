package ld

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"github.com/halite-run/halite/internal/lru"
	"github.com/halite-run/halite/loader"
)

// What relocation makes of an object's data depends on nothing but files and places: of
// the object itself, and of those in its scopes. Addresses are offsets in the sandbox, so
// it comes out the same in every domain where all these are the same. links remembers it
// for the process: a program that is started again, and a library that is opened
// again, are not relocated but mapped.
//
// It is remembered for files alone that the linker has met before (loader.ReadShared),
// and not when STB_GNU_UNIQUE symbols make it depend on what was loaded when, or
// when somebody wants to be told of each binding.
var links = newLinkCache()

const (
	maxLinks     = 256
	maxLinkBytes = 64 << 20
)

// linkKey is a hash of all that the result depends on.
type linkKey [sha256.Size]byte

// link is the result.
type link struct {
	image *loader.Linked
	bound []int // objects that the relocations refer to, as positions in reach
}

type linkCache struct {
	mu sync.Mutex
	m  *lru.Map[linkKey, *link]
}

func newLinkCache() *linkCache {
	return &linkCache{m: lru.New[linkKey](maxLinks, maxLinkBytes, func(x *link) { x.image.Release() })}
}

// get returns what is remembered, with a reference to the image, or nil.
func (c *linkCache) get(key linkKey) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.m.Get(key)
	if ok {
		x.image.Retain()
	}
	return x
}

// put takes over the reference to the image. What is there already stays.
func (c *linkCache) put(key linkKey, x *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.m.Get(key); ok {
		x.image.Release()
		return
	}
	c.m.Put(key, x, x.image.Size())
}

// reach is where relocations of an object may find something outside of it.
func (l *Linker) reach(o *object) []*object {
	if o.initial {
		return l.global
	}
	return slices.Concat(l.global, o.scope)
}

// sum appends what relocations that reach an object depend on.
func (o *object) sum(b []byte) []byte {
	b = le.AppendUint64(b, o.file.Serial())
	if o.initial { // else it has to be kept from being unloaded
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = le.AppendUint32(b, o.bias)
	b = le.AppendUint32(b, uint32(o.tlsID))
	return le.AppendUint32(b, o.tlsOffset)
}

// linkKeys are the keys of objects that have their places, or nil if one has none.
func (l *Linker) linkKeys(added []*object) []linkKey {
	if l.cfg.Trace != nil {
		return nil
	}
	var b []byte
	known := func(list []*object) bool {
		for _, o := range list {
			if o.dyn == nil {
				return false
			}
			b = o.sum(b)
		}
		return true
	}
	if l.scopeSum == nil {
		if !known(l.global) {
			return nil
		}
		sum := sha256.Sum256(b)
		l.scopeSum = &sum
	}
	keys := make([]linkKey, len(added))
	for i, o := range added {
		b = append(append(b[:0], l.scopeSum[:]...), l.hostSum[:]...)
		if o.deep {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		if !o.file.Shared() || !known(added[i:i+1]) || !o.initial && !known(o.scope) {
			return nil
		}
		keys[i] = sha256.Sum256(b)
	}
	return keys
}

// recallLinks has objects that have their places take their data from links. It is all or
// nothing, because a copy relocation reads what another object's relocations have made.
func (l *Linker) recallLinks(added []*object, keys []linkKey) bool {
	list := make([]*link, 0, len(added))
	for _, k := range keys {
		x := links.get(k)
		if x == nil {
			for _, x := range list {
				x.image.Release()
			}
			return false
		}
		list = append(list, x)
	}
	for i, o := range added {
		o.image.Use(list[i].image)
		if len(list[i].bound) == 0 {
			continue
		}
		reach := l.reach(o)
		for _, p := range list[i].bound {
			l.bind(o, reach[p])
		}
	}
	return true
}

// keepLinks remembers what was made of objects that are not committed yet.
func (l *Linker) keepLinks(added []*object, keys []linkKey) {
	if slices.ContainsFunc(added, func(o *object) bool { return o.moody }) {
		return
	}
	for i := range keys {
		o := added[i]
		if o.file.LoadedBytes() > maxLinkBytes/4 {
			return
		}
		x := &link{}
		if len(o.bound) > 0 {
			reach := l.reach(o)
			for d := range o.bound {
				p := slices.Index(reach, d)
				if p < 0 {
					return
				}
				x.bound = append(x.bound, p)
			}
		}
		var err error
		if x.image, err = o.image.Link(); err != nil {
			return // there are no descriptors to spare, or no memory: then without
		}
		links.put(keys[i], x)
	}
}

// sumHostSymbols is a hash of what the host offers.
func sumHostSymbols(m map[string]uint32) [sha256.Size]byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(m)) {
		b = append(append(b, name...), 0)
		b = le.AppendUint32(b, m[name])
	}
	return sha256.Sum256(b)
}

// FlushLinks forgets all results. Objects that are loaded stay as they are.
func FlushLinks() {
	links.mu.Lock()
	defer links.mu.Unlock()
	links.m.Flush()
}
