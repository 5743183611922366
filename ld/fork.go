package ld

import "slices"

// Fork makes a linker for a copy of the domain. copyDomain makes that copy, while
// nothing is loaded or unloaded, and changes what the new linker works with: Cage,
// Open and Retire are the copy's. Of the threads only one goes on there: from, under the
// number to. Constructors that others were running count as done in the copy.
func (l *Linker) Fork(from, to int, copyDomain func(*Config) error) (*Linker, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cfg := l.cfg
	if err := copyDomain(&cfg); err != nil {
		return nil, err
	}
	n := New(cfg)
	n.loader, n.withoutText, n.keep, n.maxBytes = l.loader, l.withoutText, l.keep, l.maxBytes
	f := forking{to: n, objects: map[*object]*object{nil: nil, hostObject: hostObject}}
	n.main = f.object(l.main)
	n.objects = f.list(l.objects)
	n.global = f.list(l.global)
	n.tls = f.list(l.tls)
	n.finis = f.list(l.finis)
	for link, o := range l.handles {
		n.handles[link] = f.object(o)
	}
	for name, b := range l.unique {
		b.object = f.object(b.object)
		n.unique[name] = b
	}
	for _, r := range l.retired {
		n.retired = append(n.retired, &retired{place: r.place.In(cfg.Cage)})
	}
	n.adds, n.subs, n.serial, n.token, n.debug = l.adds, l.subs, l.serial, l.token, l.debug
	n.symbolBytes = l.symbolBytes // the tables are shared; the copy counts them too
	n.tlsInitial, n.tlsEnd, n.tlsMax, n.started = l.tlsInitial, l.tlsEnd, l.tlsMax, l.started
	n.tlsSpare, n.tlsTold, n.tlsAdded = l.tlsSpare, l.tlsTold, f.list(l.tlsAdded)
	n.guest.next, n.guest.left = l.guest.next, l.guest.left
	for class, blocks := range l.guest.free {
		n.guest.free[class] = slices.Clone(blocks)
	}
	n.start = f.batch(l.start)
	for thread, stack := range l.batches {
		if thread != from {
			for _, b := range stack {
				if b.current != nil {
					n.initialised(f.object(b.current))
				}
			}
			continue
		}
		for _, b := range stack {
			n.batches[to] = append(n.batches[to], f.batch(b))
		}
	}
	n.exiting = f.finalizer(l.exiting)
	for token, c := range l.closing {
		n.closing[token] = f.finalizer(c)
	}
	for _, o := range f.objects {
		if o != nil && o.initBy == from {
			o.initBy = to
		}
	}
	if msg, ok := l.errors[from]; ok {
		n.errors[to] = msg
	}
	return n, nil
}

// forking copies the graph: each object once.
type forking struct {
	to      *Linker
	objects map[*object]*object
}

func (f *forking) object(o *object) *object {
	if c, ok := f.objects[o]; ok {
		return c
	}
	c := new(object)
	*c = *o
	f.objects[o] = c // before what it refers to: the graph has cycles
	c.names = slices.Clone(o.names)
	c.image = o.image.In(f.to.cfg.Cage)
	c.parent = f.object(o.parent)
	c.deps = f.list(o.deps)
	c.closure = f.list(o.closure)
	c.scope = f.list(o.scope)
	c.blocks = slices.Clone(o.blocks)
	c.resolved = nil
	if o.bound != nil {
		c.bound = make(map[*object]struct{}, len(o.bound))
		for b := range o.bound {
			c.bound[f.object(b)] = struct{}{}
		}
	}
	c.ready = make(chan struct{})
	if o.init == initDone {
		close(c.ready)
	}
	return c
}

func (f *forking) list(list []*object) []*object {
	if list == nil {
		return nil
	}
	c := make([]*object, len(list))
	for i, o := range list {
		c[i] = f.object(o)
	}
	return c
}

func (f *forking) batch(b *batch) *batch {
	if b == nil {
		return nil
	}
	c := *b
	c.list = f.list(b.list)
	c.preinit, c.current = f.object(b.preinit), f.object(b.current)
	return &c
}

func (f *forking) finalizer(z *finalizer) *finalizer {
	if z == nil {
		return nil
	}
	c := &finalizer{list: f.list(z.list), at: z.at, step: z.step, tls: z.tls}
	if z.dead != nil {
		c.dead = make(map[*object]bool, len(z.dead))
		for o, dead := range z.dead {
			c.dead[f.object(o)] = dead
		}
	}
	return c
}
