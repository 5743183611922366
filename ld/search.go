package ld

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/loader"
)

// NotFoundError says that a library is missing, who wants it, and where it was
// looked for.
type NotFoundError struct {
	Name     string
	NeededBy string // "" when dlopen was asked for it directly
	Searched []string
	Cause    error // of the last file that was there but could not be used
}

func (e *NotFoundError) Error() string {
	var b strings.Builder
	b.WriteString(e.Name)
	b.WriteString(": not found")
	if e.NeededBy != "" {
		b.WriteString(", needed by ")
		b.WriteString(e.NeededBy)
	}
	if len(e.Searched) > 0 {
		b.WriteString("; searched: ")
		b.WriteString(strings.Join(e.Searched, ", "))
	}
	if e.Cause != nil {
		b.WriteString(" (")
		b.WriteString(e.Cause.Error())
		b.WriteString(")")
	}
	return b.String()
}

// by is who wants the library.
func (e *NotFoundError) by() string {
	if e.NeededBy != "" {
		return e.NeededBy
	}
	return "dlopen"
}

func (e *NotFoundError) Unwrap() error { return e.Cause }

// place is one directory of a search, and why it is searched.
type place struct {
	dir string
	why string
}

// places lists where a library is searched that from needs, in order:
//
//  1. DT_RPATH of the object that needs it, of the object that needed that one,
//     and so on up to the program; only if the first has no DT_RUNPATH, and
//     skipping those that have one,
//  2. LD_LIBRARY_PATH,
//  3. DT_RUNPATH of the object that needs it,
//  4. the default path, unless that object says DF_1_NODEFLIB.
//
// There are one more than maxPlaces at most.
func (l *Linker) places(from *object) []place {
	var list []place
	add := func(dirs []string, o *object, why string) {
		for _, d := range dirs {
			if len(list) > maxPlaces {
				return
			}
			if o != nil {
				var ok bool
				if d, ok = expand(d, o); !ok {
					continue
				}
			}
			if d == "" {
				d = "."
			}
			list = append(list, place{d, why})
		}
	}
	has := func(o *object) bool { return o != nil && o.dyn != nil }
	if !has(from) || from.dyn.RunPath == "" {
		main := false
		for o := from; o != nil; o = o.parent {
			main = main || o == l.main
			if has(o) && o.dyn.RPath != "" && o.dyn.RunPath == "" {
				add(strings.Split(o.dyn.RPath, ":"), o, "RPATH of "+path.Base(o.String()))
			}
		}
		if o := l.main; !main && has(o) && o.dyn.RPath != "" && o.dyn.RunPath == "" {
			add(strings.Split(o.dyn.RPath, ":"), o, "RPATH of "+path.Base(o.String()))
		}
	}
	add(l.cfg.LibraryPath, l.main, "LD_LIBRARY_PATH")
	if has(from) && from.dyn.RunPath != "" {
		add(strings.Split(from.dyn.RunPath, ":"), from, "RUNPATH of "+path.Base(from.String()))
	}
	if !has(from) || from.dyn.Flags1&loader.DF1NoDefLib == 0 {
		add(l.cfg.DefaultPath, nil, "")
	}
	return list
}

// maxPlaces bounds the directories of one search.
const maxPlaces = 1024

// expand replaces $ORIGIN, $LIB and $PLATFORM, with or without braces. ok is
// false when the origin is needed but not known, or the result is no possible path.
func expand(dir string, o *object) (s string, ok bool) {
	if !strings.Contains(dir, "$") {
		return dir, true
	}
	for _, x := range []struct{ name, value string }{
		{"ORIGIN", o.origin}, {"LIB", "lib"}, {"PLATFORM", "x86_64"},
	} {
		for _, token := range []string{"${" + x.name + "}", "$" + x.name} {
			n := strings.Count(dir, token)
			if n == 0 {
				continue
			}
			if x.value == "" || len(dir)+n*len(x.value) > loader.MaxFileName {
				return "", false
			}
			dir = strings.ReplaceAll(dir, token, x.value)
		}
	}
	return dir, true
}

// candidate is what a search found: an object that is loaded already, or a file.
type candidate struct {
	object *object
	file   *loader.File
	path   string
	id     any
}

// find finds and reads the library that from needs (nil: the host asks).
func (g *graph) find(name string, from *object) (*candidate, error) {
	l := g.l
	fail := &NotFoundError{Name: name}
	if from != nil {
		fail.NeededBy = from.String()
	}
	if strings.Contains(name, "/") {
		if from != nil {
			var ok bool
			if name, ok = expand(name, from); !ok {
				return nil, fail
			}
		}
		c, err := g.open(name)
		if errors.Is(err, errOpen) {
			if !errors.Is(err, fs.ErrNotExist) {
				fail.Cause = err
			}
			return nil, fail
		}
		return c, err
	}
	l.trace("%s: searching", name)
	tried := map[string]bool{}
	places := l.places(from)
	if len(places) > maxPlaces {
		return nil, fmt.Errorf("%s: more than %d directories to search for %s", fail.by(), maxPlaces, name)
	}
	if err := g.spend(workPlace*len(places), from); err != nil {
		return nil, err
	}
	for _, p := range places {
		if tried[p.dir] {
			continue
		}
		tried[p.dir] = true
		where := p.dir
		if p.why != "" {
			where = fmt.Sprintf("%s (%s)", p.dir, p.why)
		}
		c, err := g.open(path.Join(p.dir, name))
		var format *loader.FormatError
		switch {
		case err == nil:
			l.trace("%s: found in %s", name, where)
			return c, nil
		case errors.Is(err, errOpen):
			if !errors.Is(err, fs.ErrNotExist) {
				fail.Cause = err
			}
		case errors.As(err, &format) && foreign[format.Rule]:
			// A library for another machine on the path: look further.
			fail.Cause = err
		default:
			return nil, err
		}
		l.trace("%s: not in %s", name, where)
		fail.Searched = append(fail.Searched, where)
	}
	return nil, fail
}

// foreign are the rules that files for other machines break.
var foreign = map[loader.Rule]bool{
	loader.RuleMagic: true, loader.RuleClass: true, loader.RuleMachine: true, loader.RuleOSABI: true,
}

var errOpen = errors.New("cannot be opened")

// open opens and reads one file, unless it is loaded already.
func (g *graph) open(name string) (*candidate, error) {
	f, size, err := g.l.cfg.Open(name)
	if err != nil {
		return nil, &openError{err}
	}
	defer f.Close()
	id := identity(f)
	if o := g.byFile(name, id); o != nil {
		return &candidate{object: o, path: name, id: id}, nil
	}
	file, err := read(f, size, name)
	if err != nil {
		return nil, err
	}
	return &candidate{file: file, path: name, id: id}, nil
}

// read reads a file, or recalls it if it can be known to be the same as before.
func read(f File, size int64, name string) (*loader.File, error) {
	revision := func() (loader.Revision, bool) { return loader.Revision{}, false }
	switch f := f.(type) {
	case Revisioner:
		revision = f.Revision
	case *os.File:
		revision = func() (loader.Revision, bool) {
			var st unix.Stat_t
			if unix.Fstat(int(f.Fd()), &st) != nil {
				return loader.Revision{}, false
			}
			return loader.RevisionOf(&st)
		}
	}
	return loader.ReadShared(revision, f, size, name)
}

// openError is what Config.Open said, recognisable as errOpen.
type openError struct{ err error }

func (e *openError) Error() string   { return e.err.Error() }
func (e *openError) Unwrap() []error { return []error{errOpen, e.err} }
