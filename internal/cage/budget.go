package cage

import "sync/atomic"

// A Budget bounds the memory of several cages together: what counts against
// Config.MaxMemory of each.
type Budget struct {
	limit uint64
	used  atomic.Uint64
}

// NewBudget makes a budget of so many bytes.
func NewBudget(limit uint64) *Budget { return &Budget{limit: limit} }

// Used returns the bytes that are in use.
func (b *Budget) Used() uint64 { return b.used.Load() }

// take takes n bytes more, if there are so many left.
func (b *Budget) take(n uint64) bool {
	for {
		used := b.used.Load()
		if used > b.limit || n > b.limit-used {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// afford reports whether the cage may have so many charged bytes, and takes what
// is missing from the budget until settle. Called locked.
func (c *Cage) afford(memory uint64) bool {
	if memory > c.maxMemory {
		return false
	}
	if c.budget == nil || memory <= c.taken {
		return true
	}
	if !c.budget.take(memory - c.taken) {
		return false
	}
	c.taken = memory
	return true
}

// settle gives back what afford took and nothing came of. Called locked.
func (c *Cage) settle() {
	if c.budget == nil || c.taken == c.memory {
		return
	}
	c.budget.used.Add(c.memory - c.taken) // modulo 2^64: mostly less
	c.taken = c.memory
}

// moveTo makes the memory count against another budget than it did, or against none if
// that can't afford it. Called locked.
func (c *Cage) moveTo(b *Budget) bool {
	memory := c.memory
	c.memory = 0
	c.settle()
	c.budget = b
	ok := c.afford(memory)
	if !ok {
		c.budget = nil
	}
	c.memory = memory
	return ok
}
