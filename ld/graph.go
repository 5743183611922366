package ld

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/loader"
)

// graph is one loading operation: the objects that it adds to the linker's. They
// become visible when it succeeds.
type graph struct {
	l       *Linker
	added   []*object
	work    int64                              // what may still be done; see spend
	bytes   uint64                             // of the files' contents, which are all held until the end
	missing func(*object, string, error) error // what to do about a missing library; nil: fail
}

func (l *Linker) newGraph() *graph { return &graph{l: l, work: maxGraphWork} }

// maxGraphWork bounds what it costs to find the objects of one loading operation, in
// comparisons of names: a second or so. A thousand libraries that need twenty each take a
// third. Files made for the purpose could multiply objects, dependencies, directories and
// versions with each other.
const maxGraphWork = 1 << 27

// What a directory to look into, and a dependency to follow, count for.
const (
	workPlace = 64
	workEdge  = 4
)

// maxGraphBytes bounds the files of one loading operation together: they are read before
// the domain's own limit of memory sees them.
const maxGraphBytes = 1 << 30

// spend takes from what may be done for an object.
func (g *graph) spend(n int, o *object) error {
	if g.work -= int64(n); g.work >= 0 {
		return nil
	}
	name := "the library"
	if o != nil {
		name = o.String()
	}
	return fmt.Errorf("%s: finding what it needs takes too long: refused", name)
}

// add makes an object of a file.
func (g *graph) add(name, at string, id any, file *loader.File, parent *object) *object {
	g.l.serial++
	o := &object{
		name: name, path: at, id: id, file: file, dyn: file.Dynamic, parent: parent,
		serial: g.l.serial, ready: make(chan struct{}), names: []string{name},
	}
	if file.Dynamic != nil {
		o.needed = file.Dynamic.Needed
	}
	if strings.Contains(at, "/") {
		o.origin = path.Dir(at)
	}
	g.added = append(g.added, o)
	return o
}

// all calls fn for every object that can be found, until it returns true.
func (g *graph) all(fn func(*object) bool) *object {
	for _, list := range [][]*object{g.l.objects, g.added} {
		for _, o := range list {
			if o.state < stateClosing && fn(o) {
				return o
			}
		}
	}
	return nil
}

// byName finds an object that a name means: one that was asked for by it before,
// or whose DT_SONAME it is, or whose path.
func (g *graph) byName(name string) *object {
	o := g.all(func(o *object) bool {
		for _, n := range o.names {
			if n == name {
				return true
			}
		}
		return o.path == name && strings.Contains(name, "/")
	})
	if o != nil || strings.Contains(name, "/") {
		return o
	}
	o = g.all(func(o *object) bool { return o.dyn != nil && o.dyn.SoName == name })
	if o != nil {
		o.alias(name)
	}
	return o
}

// maxNames bounds the names that an object is remembered by: a guest can think
// of any number of paths to one file.
const maxNames = 16

// alias remembers a name that an object was found by.
func (o *object) alias(name string) {
	if len(o.names) < maxNames {
		o.names = append(o.names, name)
	}
}

// byFile finds an object that was read from the same file.
func (g *graph) byFile(path string, id any) *object {
	return g.all(func(o *object) bool {
		return id != nil && o.id == id || id == nil && o.id == nil && o.path == path
	})
}

// need returns the object that a name means for from, reading it if necessary.
func (g *graph) need(name string, from *object) (*object, error) {
	if err := g.spend(len(g.l.objects)+len(g.added), from); err != nil {
		return nil, err
	}
	if o := g.byName(name); o != nil {
		return o, nil
	}
	c, err := g.find(name, from)
	if err != nil {
		return nil, err
	}
	if c.object != nil {
		c.object.alias(name)
		return c.object, nil
	}
	if c.file.Dynamic == nil {
		return nil, fmt.Errorf("%s: not a shared library: it has no dynamic section", c.path)
	}
	if c.file.Type == loader.TypeProgram || c.file.Dynamic.Flags1&loader.DF1PIE != 0 {
		return nil, fmt.Errorf("%s: a program cannot be loaded as a library", c.path)
	}
	if n := len(g.l.objects) + len(g.added); n >= g.l.cfg.MaxObjects {
		return nil, fmt.Errorf("%s: more than %d objects", c.path, g.l.cfg.MaxObjects)
	}
	if g.bytes += c.file.LoadedBytes(); g.bytes > g.l.maxBytes {
		return nil, fmt.Errorf("%s: with it, more than %d bytes would be loaded at once", c.path, g.l.maxBytes)
	}
	if err := g.l.checkForeign(c.file); err != nil {
		return nil, err
	}
	return g.add(name, c.path, c.id, c.file, from), nil
}

// checkForeign validates the code of a file that does not say that it was built
// for the sandbox before anything else is done with it: the user shall learn
// that, and not which of the host's libraries are missing.
func (l *Linker) checkForeign(file *loader.File) error {
	if file.HaliteABI != 0 || l.cfg.Cage == nil || l.withoutText {
		return nil
	}
	m := l.loader.Stage(l.cfg.Cage, file)
	if err := m.Place(loader.Anywhere); err != nil {
		return err
	}
	err := m.CheckText()
	if _, e := m.Discard(); e != nil {
		l.warn("%s: %v", file.Name, e)
	}
	return err
}

// complete adds everything that the added objects need, breadth first.
func (g *graph) complete() error {
	for i := 0; i < len(g.added); i++ {
		o := g.added[i]
		if o.dyn == nil {
			continue
		}
		for _, name := range o.needed {
			dep, err := g.need(name, o)
			if err != nil {
				if g.missing != nil {
					err = g.missing(o, name, err)
				}
				if err != nil {
					return err
				}
				continue
			}
			o.deps = append(o.deps, dep)
		}
	}
	for _, o := range g.added {
		var err error
		if o.closure, err = g.closureOf(o); err != nil {
			return err
		}
	}
	return nil
}

// closureOf lists an object and all that it needs, breadth first.
func (g *graph) closureOf(root *object) ([]*object, error) {
	list := []*object{root}
	seen := map[*object]bool{root: true}
	for i := 0; i < len(list); i++ {
		if err := g.spend(workEdge*len(list[i].deps), root); err != nil {
			return nil, err
		}
		for _, d := range list[i].deps {
			if !seen[d] {
				seen[d] = true
				list = append(list, d)
			}
		}
	}
	return list, nil
}

// checkVersions makes sure that every version that an added object requires is
// defined by the object that it is required of.
func (g *graph) checkVersions(report func(error)) {
	for _, o := range g.added {
		if o.dyn == nil {
			continue
		}
		for i := range o.dyn.Verneed {
			need := &o.dyn.Verneed[i]
			if err := g.spend(len(g.l.objects)+len(g.added)+len(need.Versions), o); err != nil {
				report(err)
				return
			}
			dep := g.byName(need.File)
			if dep == nil || dep.dyn == nil {
				continue
			}
			if len(dep.dyn.Verdef) == 0 {
				g.l.trace("%s: no version information, required by %s", dep, o)
				continue
			}
			for _, v := range need.Versions {
				if dep.dyn.DefinesVersion(v.Name) {
					continue
				}
				if v.Weak {
					g.l.warn("%s: weak version %s not defined, needed by %s", dep, v.Name, o)
					continue
				}
				report(fmt.Errorf("%s: version %s not defined, needed by %s", dep, v.Name, o))
			}
		}
	}
}

// loadInitial loads a dynamic program.
func (l *Linker) loadInitial(g *graph, main *object) error {
	main.initial = true
	for _, name := range l.cfg.Preload {
		o, err := g.need(name, nil)
		if err != nil {
			l.warn("LD_PRELOAD: %v: ignored", err)
			continue
		}
		if o != main {
			main.deps = append(main.deps, o)
		}
	}
	if err := g.complete(); err != nil {
		return err
	}
	l.setGlobal(main.closure)
	for _, o := range g.added {
		o.initial, o.global, o.scope = true, true, main.closure
	}
	if err := l.install(g); err != nil {
		return err
	}
	l.start = &batch{list: initOrder(main), preinit: main}
	return nil
}

// install gives the added objects their places, validates, relocates and maps
// them, and makes them visible.
func (l *Linker) install(g *graph) error {
	var err error
	g.checkVersions(func(e error) {
		if err == nil {
			err = e
		}
	})
	if err != nil {
		return err
	}
	for _, o := range g.added {
		if err := l.prepare(o); err != nil {
			return err
		}
		l.trace("%s: at %#x", o, o.bias)
	}
	// Code and data have nothing to do with each other yet. What is wrong with the
	// code is told first.
	var keys []linkKey
	if err = l.placeTLS(g.added); err == nil {
		keys = l.linkKeys(g.added)
	}
	if keys != nil && l.recallLinks(g.added, keys) {
		err = l.checkTexts(g.added)
	} else {
		texts := make(chan error, 1)
		go func() { texts <- l.checkTexts(g.added) }()
		if err == nil {
			err = l.relocateAll(g.added)
		}
		if err = cmp.Or(<-texts, err); err == nil {
			l.keepLinks(g.added, keys)
		}
	}
	if err != nil {
		return err
	}
	for _, o := range g.added {
		if err := l.publish(o); err != nil {
			return err
		}
	}
	for _, o := range g.added {
		if err := o.image.Commit(true); err != nil {
			return err
		}
	}
	// From here on the guest's other threads can see what is being loaded, if
	// they guess where it is.
	for _, o := range g.added {
		if err := o.image.InstallText(); err != nil {
			return err
		}
	}
	l.showDebug(debugAdd)
	l.objects = append(l.objects, g.added...)
	l.chain()
	for _, o := range g.added {
		if l.started && o.tlsOffset != 0 {
			l.tlsAdded = append(l.tlsAdded, o)
		}
		o.file.ReleaseContents()
		o.resolved = nil
		o.state = stateLive
		o.nodelete = o.nodelete || o.dyn.Flags1&loader.DF1NoDelete != 0
	}
	l.adds += uint64(len(g.added))
	return nil
}

// prepare finds a place for an object: one that the same file left behind, or
// a new one.
func (l *Linker) prepare(o *object) error {
	m := l.loader.Stage(l.cfg.Cage, o.file)
	for i, r := range l.retired {
		if r.proofs == nil && m.PlaceAgain(r.place) {
			l.retired = append(l.retired[:i], l.retired[i+1:]...)
			o.image, o.bias = m, m.Bias
			return nil
		}
	}
	err := m.Place(loader.Anywhere)
	for try := 0; try < 2 && errors.Is(err, cage.ErrNoSpace) && len(l.retired) > 0; try++ {
		l.release() // asks
		l.release() // and hears of those who had nothing to look at
		err = m.Place(loader.Anywhere)
	}
	if err != nil {
		return err
	}
	o.image, o.bias = m, m.Bias
	return nil
}

// checkTexts validates the code of several objects at once. The first object's
// error wins, whatever the order of the work.
func (l *Linker) checkTexts(list []*object) error {
	if l.withoutText {
		return nil
	}
	// What was validated before takes no time worth sharing.
	list = keep(list, func(o *object) bool { return !o.image.RecallText() })
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0].image.CheckText()
	}
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	gate := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, o := range list {
		wg.Add(1)
		gate <- struct{}{}
		go func() {
			defer func() { <-gate; wg.Done() }()
			errs[i] = o.image.CheckText()
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// rollback undoes a loading operation that failed.
func (l *Linker) rollback(g *graph) {
	for i := len(g.added) - 1; i >= 0; i-- {
		o := g.added[i]
		l.unpublish(o)
		l.releaseTLS(o)
		if o.image != nil {
			place, err := o.image.Discard()
			if err != nil {
				l.warn("%s: after a failed load: %v", o, err)
			}
			if place != nil {
				l.retired = append(l.retired, &retired{place: place})
			}
			o.image = nil
		}
		o.state = stateGone
		for name, b := range l.unique {
			if b.object == o {
				delete(l.unique, name)
			}
		}
	}
	l.objects = keep(l.objects, func(o *object) bool { return o.state != stateGone })
	l.setGlobal(keep(l.global, func(o *object) bool { return o.state != stateGone }))
	l.chain()
}

// setGlobal replaces the global scope, unless it is the same.
func (l *Linker) setGlobal(list []*object) {
	if slices.Equal(list, l.global) {
		return
	}
	l.global = list
	l.index = globalIndex{}
	l.scopeSum = nil
}

func keep[T any](list []T, ok func(T) bool) []T {
	var out []T
	for _, o := range list {
		if ok(o) {
			out = append(out, o)
		}
	}
	return out
}
