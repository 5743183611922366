package ld

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/halite-run/halite/loader"
)

// Closure is what a program or library needs: the answer of `halite ldd`.
type Closure struct {
	Name    string
	Static  bool // no dynamic section, or no interpreter and nothing needed
	Objects []ClosureObject
	Missing []*NotFoundError

	// Undefined are symbols that nobody defines; weak ones are left out.
	Undefined []*UndefinedError

	// Problems are versions that the objects they are required of lack, files
	// that cannot be used, and relocations that are refused.
	Problems []error
}

// ClosureObject is one object, in load order. The first is the file itself.
type ClosureObject struct {
	Name     string // as DT_NEEDED has it
	Path     string
	SoName   string
	NeededBy string // the first object that needs it
	Needs    []string
	Versions []VersionNeed
	Size     uint64 // of address space
}

// VersionNeed are the versions that an object requires of another.
type VersionNeed struct {
	File     string
	Path     string // of the object that the name came to; "" when missing
	Versions []string
	Missing  []string // those of Versions that it does not define
}

// OK tells whether the program would start.
func (c *Closure) OK() bool {
	return len(c.Missing) == 0 && len(c.Undefined) == 0 && len(c.Problems) == 0
}

// CloseOver collects everything that a program or a library needs, and looks up
// all its symbols, without loading anything. cfg needs no cage. It does not
// close f. err tells that the file itself cannot be read.
func CloseOver(cfg Config, name string, f File, size int64) (*Closure, error) {
	cfg.Cage = nil
	l := New(cfg)
	file, err := loader.ReadELF(f, size, name)
	if err != nil {
		return nil, err
	}
	c := &Closure{Name: name}
	if file.Dynamic == nil || file.Type == loader.TypeProgram && file.Interp == "" {
		c.Static = true
	} else if file.Entry != 0 && file.Interp == "" && len(file.Dynamic.Needed) == 0 {
		c.Static = true
	}
	g := l.newGraph()
	g.missing = func(o *object, name string, err error) error {
		var missing *NotFoundError
		if errors.As(err, &missing) {
			c.Missing = append(c.Missing, missing)
		} else {
			c.Problems = append(c.Problems, err)
		}
		return nil
	}
	main := g.add(name, name, identity(f), file, nil)
	l.main = main
	for _, name := range cfg.Preload {
		o, err := g.need(name, nil)
		if err != nil {
			g.missing(nil, name, err)
		} else if o != main {
			main.deps = append(main.deps, o)
		}
	}
	if err := g.complete(); err != nil {
		return nil, err
	}
	l.setGlobal(main.closure)
	for _, o := range g.added {
		o.initial, o.scope = true, main.closure
	}
	g.checkVersions(func(err error) { c.Problems = append(c.Problems, err) })
	work := int64(maxWork)
	for _, o := range g.added {
		c.Objects = append(c.Objects, g.describe(o))
		if o.dyn != nil {
			l.checkSymbols(c, o, &work)
		}
	}
	return c, nil
}

func (g *graph) describe(o *object) ClosureObject {
	_, size := o.file.Extent()
	x := ClosureObject{Name: o.name, Path: o.path, Size: size}
	if o.parent != nil {
		x.NeededBy = o.parent.String()
	}
	if o.dyn == nil {
		return x
	}
	x.SoName, x.Needs = o.dyn.SoName, o.dyn.Needed
	for i := range o.dyn.Verneed {
		if g.work < 0 {
			break // told already
		}
		need := &o.dyn.Verneed[i]
		v := VersionNeed{File: need.File}
		dep := g.byName(need.File)
		if dep != nil {
			v.Path = dep.path
		}
		for _, n := range need.Versions {
			v.Versions = append(v.Versions, n.Name)
			if dep != nil && dep.dyn != nil && len(dep.dyn.Verdef) > 0 && !dep.dyn.DefinesVersion(n.Name) {
				v.Missing = append(v.Missing, n.Name)
			}
		}
		x.Versions = append(x.Versions, v)
	}
	return x
}

// checkSymbols looks up every symbol that the relocations of an object name.
func (l *Linker) checkSymbols(c *Closure, o *object, work *int64) {
	seen := map[uint32]bool{}
	types := map[uint32]bool{}
	for _, table := range []loader.RelaTable{o.dyn.Rela, o.dyn.JmpRel} {
		for i := range table.Len() {
			r := table.At(i)
			if (r.Type == relTLSDesc || r.Type == relIRelative) && !types[r.Type] {
				types[r.Type] = true
				c.Problems = append(c.Problems, l.relocateOne(o, nil, &r, work))
			}
			if r.Symbol == 0 || r.Type == relRelative || seen[r.Symbol] {
				continue
			}
			seen[r.Symbol] = true
			kind := classData
			switch r.Type {
			case relJumpSlot:
				kind = classCall
			case relCopy:
				kind = classCopy
			}
			_, err := l.resolve(o, r.Symbol, kind, work)
			var undef *UndefinedError
			switch {
			case errors.As(err, &undef):
				c.Undefined = append(c.Undefined, undef)
			case err != nil:
				c.Problems = append(c.Problems, err)
			}
		}
	}
}

// String is the closure as ldd prints it: one line for each library, then what
// is missing.
func (c *Closure) String() string {
	var b strings.Builder
	if c.Static && len(c.Objects) <= 1 {
		b.WriteString("\tstatically linked\n")
	}
	for _, o := range c.Objects[min(1, len(c.Objects)):] {
		switch {
		case o.Name == o.Path:
			fmt.Fprintf(&b, "\t%s\n", o.Path)
		default:
			fmt.Fprintf(&b, "\t%s => %s\n", o.Name, o.Path)
		}
	}
	for _, m := range c.Missing {
		fmt.Fprintf(&b, "\t%v\n", m)
	}
	for _, u := range c.Undefined {
		fmt.Fprintf(&b, "\t%v\n", u)
	}
	for _, p := range c.Problems {
		fmt.Fprintf(&b, "\t%v\n", p)
	}
	return b.String()
}

// VersionReport lists which versions each object requires of which other, as
// ldd -v prints them.
func (c *Closure) VersionReport() string {
	var b strings.Builder
	for _, o := range c.Objects {
		if len(o.Versions) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\t%s:\n", o.Path)
		for _, v := range o.Versions {
			at := v.Path
			if at == "" {
				at = "not found"
			}
			for _, n := range v.Versions {
				note := ""
				if slices.Contains(v.Missing, n) {
					note = " (missing)"
				}
				fmt.Fprintf(&b, "\t\t%s (%s) => %s%s\n", v.File, n, at, note)
			}
		}
	}
	return b.String()
}
