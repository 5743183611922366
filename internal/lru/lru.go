// Package lru has a map that gives up what was not asked for longest when it holds too
// many values, or too large ones. It has no lock: its owner's is held around each call.
package lru

import (
	"container/list"
	"iter"
)

// Map remembers values by key.
type Map[K comparable, V any] struct {
	maxLen   int
	maxBytes uint64
	drop     func(V)
	entries  map[K]*list.Element
	recent   list.List // of *entry, most recently used first
	bytes    uint64
}

type entry[K comparable, V any] struct {
	key   K
	value V
	size  uint64
}

// New makes one that holds at most so many values, and so many bytes together. drop,
// which may be nil, is told of each value that is given up.
func New[K comparable, V any](maxLen int, maxBytes uint64, drop func(V)) *Map[K, V] {
	return &Map[K, V]{maxLen: maxLen, maxBytes: maxBytes, drop: drop, entries: map[K]*list.Element{}}
}

// Get returns a value, which is the most recently used one then.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	e := m.entries[key]
	if e == nil {
		return value, false
	}
	m.recent.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

// Put keeps a value of so many bytes, in place of an older one of the key.
func (m *Map[K, V]) Put(key K, value V, size uint64) {
	if e := m.entries[key]; e != nil {
		m.remove(e)
	}
	m.entries[key] = m.recent.PushFront(&entry[K, V]{key, value, size})
	m.bytes += size
	for m.recent.Len() > m.maxLen || m.bytes > m.maxBytes {
		m.remove(m.recent.Back())
	}
}

func (m *Map[K, V]) remove(e *list.Element) {
	x := m.recent.Remove(e).(*entry[K, V])
	delete(m.entries, x.key)
	m.bytes -= x.size
	if m.drop != nil {
		m.drop(x.value)
	}
}

// Flush gives up all values.
func (m *Map[K, V]) Flush() {
	for m.recent.Len() > 0 {
		m.remove(m.recent.Back())
	}
}

// All returns the values, the most recently used one first.
func (m *Map[K, V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		for e := m.recent.Front(); e != nil && yield(e.Value.(*entry[K, V]).value); e = e.Next() {
		}
	}
}

// Len is how many values there are, Bytes their sizes together.
func (m *Map[K, V]) Len() int      { return len(m.entries) }
func (m *Map[K, V]) Bytes() uint64 { return m.bytes }
