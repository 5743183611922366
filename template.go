package halite

import (
	"errors"
	"fmt"

	"github.com/halite-run/halite/libcshim"
)

// A Template is a library that was loaded and made ready, and that others are copied
// from: a sandbox for each request, thrown away or reset after it, at the cost of the
// memory that the request writes to.
//
//	lib, err := halite.Load(ctx, config)
//	// … call what has to be called once …
//	t, err := lib.Template()
//	defer t.Close()
//	for r := range requests {
//		lib, err := t.New()
//		// … serve r …
//		lib.Close()
//	}
//
// All copies share the template's memory until they write to it, and its code. They
// share nothing else that a guest could write: each has limits, descriptors and file
// systems in memory of its own, those empty; what Config grants (Mounts of the host,
// Descriptors, Functions) is granted to each of them. What the C library and the
// library itself have drawn from a source of random numbers before, they have in
// common.
//
// The sandboxes of copies that were closed, as many as GOMAXPROCS says, are kept for the
// next ones, with nothing of what was in them.
//
// Methods are safe for use from several goroutines.
type Template struct {
	t            *libcshim.Template
	malloc, free uint32
}

// ErrTemplate is wrapped by the error of Library.Template.
var ErrTemplate = libcshim.ErrTemplate

// Template makes the library one. It can't be called any more; to Close it is to close
// the template. No call may be in progress, and with Config.Callers above 1 none may
// have been made. A library that has threads of its own, open files, shared
// memory or processes can't be a template: the error says what it is, and the library is
// as it was.
//
// Callbacks of the library are callable in all copies. A program that waits for messages
// (Config.Invocable), of either ABI, becomes a template by Process.Template.
func (l *Library) Template() (*Template, error) {
	t, err := l.p.Template()
	if err != nil {
		return nil, fmt.Errorf("halite: %w", err)
	}
	return &Template{t, l.malloc, l.free}, nil
}

// New makes a library that stands where the template does. The caller must Close it.
func (t *Template) New() (*Library, error) {
	p, err := t.t.NewProcess()
	if err != nil {
		return nil, fmt.Errorf("halite: %w", err)
	}
	return &Library{p: p, d: p.Domain(), malloc: t.malloc, free: t.free, from: t}, nil
}

// Size returns the bytes of memory that the copies share.
func (t *Template) Size() uint64 { return t.t.Size() }

// Close gives the template up. Its copies go on; with the last of them goes what they
// share.
func (t *Template) Close() error { return t.t.Close() }

// Reset puts a library that Template.New made back where the template stands, also after
// a fault or a deadline ended it. It costs about what Close and New do. Its Funcs remain
// usable, its Callbacks, pointers and arenas don't. No call may be in progress. After
// an error the library is closed.
func (l *Library) Reset() error {
	if l.from == nil {
		return errors.New("halite: reset of a library that was not made from a template")
	}
	p, err := l.from.t.Reset(l.p)
	if err != nil {
		return fmt.Errorf("halite: %w", err)
	}
	l.p, l.d = p, p.Domain()
	return nil
}
