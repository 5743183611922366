package ld

import (
	"container/list"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

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
var links = linkCache{entries: map[linkKey]*link{}}

const (
	maxLinks     = 256
	maxLinkBytes = 64 << 20
)

// linkKey is a hash of all that the result depends on.
type linkKey [sha256.Size]byte

// link is the result.
type link struct {
	key   linkKey
	image *loader.Linked
	bound []int // objects that the relocations refer to, as positions in reach
	where *list.Element
}

type linkCache struct {
	mu      sync.Mutex
	entries map[linkKey]*link
	recent  list.List // of *link, most recently used first
	bytes   uint64
}

// get returns what is remembered, with a reference to the image, or nil.
func (c *linkCache) get(key linkKey) *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.entries[key]
	if x != nil {
		c.recent.MoveToFront(x.where)
		x.image.Retain()
	}
	return x
}

// put takes over the reference to the image.
func (c *linkCache) put(x *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[x.key] != nil {
		x.image.Release()
		return
	}
	x.where = c.recent.PushFront(x)
	c.entries[x.key] = x
	c.bytes += x.image.Size()
	for c.recent.Len() > maxLinks || c.bytes > maxLinkBytes {
		c.drop(c.recent.Back().Value.(*link))
	}
}

// drop forgets one. Called locked.
func (c *linkCache) drop(x *link) {
	c.recent.Remove(x.where)
	delete(c.entries, x.key)
	c.bytes -= x.image.Size()
	x.image.Release()
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
func (l *Linker) recallLinks(added []*object) bool {
	keys := l.linkKeys(added)
	if keys == nil {
		return false
	}
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
func (l *Linker) keepLinks(added []*object) {
	if slices.ContainsFunc(added, func(o *object) bool { return o.moody }) {
		return
	}
	keys := l.linkKeys(added)
	for i := range keys {
		o := added[i]
		if o.file.LoadedBytes() > maxLinkBytes/4 {
			return
		}
		x := &link{key: keys[i]}
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
		links.put(x)
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
	c := &links
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.recent.Len() > 0 {
		c.drop(c.recent.Back().Value.(*link))
	}
}
