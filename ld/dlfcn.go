package ld

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/halite-run/halite/loader"
)

// Flags of dlopen.
const (
	RTLDLazy     = 1 // means the same as RTLDNow
	RTLDNow      = 2
	RTLDNoLoad   = 4
	RTLDDeepBind = 8
	RTLDGlobal   = 0x100
	RTLDNoDelete = 0x1000
)

// Handles with a meaning of their own in Sym.
const (
	HandleDefault = 0
	HandleNext    = 0xffffffff
)

// ErrStatic is returned to programs that were linked statically.
var ErrStatic = errors.New("the program is statically linked: dynamic loading is not available to it")

// Open is dlopen: it loads a library and everything it needs, and returns a
// handle, which is the address of its link_map. path "" means the program. caller
// is an address in the code that calls, for its search path; 0 when not known.
// The thread must then call NextInit until it returns 0.
func (l *Linker) Open(t Thread, path string, flags int, caller uint32) (handle uint32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.main == nil || l.main.link == 0 {
		return 0, ErrStatic
	}
	if path == "" {
		l.main.refs++
		return l.main.link, nil
	}
	if flags&(RTLDLazy|RTLDNow) == 0 {
		return 0, fmt.Errorf("%s: dlopen needs RTLD_NOW or RTLD_LAZY", path)
	}
	if len(l.batches[t.ID]) >= maxBatches {
		return 0, fmt.Errorf("%s: more than %d dlopen calls inside each other's constructors", path, maxBatches)
	}
	from := l.containing(caller)
	if from == nil {
		from = l.main
	}
	l.changes++
	g := l.newGraph()
	o := g.byName(path)
	if o == nil && flags&RTLDNoLoad != 0 {
		if o = l.loadedFile(g, path, from); o == nil {
			return 0, fmt.Errorf("%s: not loaded", path)
		}
	}
	if o == nil {
		if o, err = l.open(g, path, flags, from); err != nil {
			l.rollback(g)
			return 0, err
		}
	}
	if o.dyn.Flags1&loader.DF1NoOpen != 0 && !o.initial {
		if len(g.added) > 0 {
			l.rollback(g)
		}
		return 0, fmt.Errorf("%s: says that it cannot be opened by dlopen (DF_1_NOOPEN)", o)
	}
	if flags&RTLDNoDelete != 0 {
		o.nodelete = true
	}
	if (flags&RTLDGlobal != 0 || o.dyn.Flags1&loader.DF1Global != 0) && !o.initial {
		l.makeGlobal(o)
	}
	o.refs++
	l.pushBatch(t.ID, o)
	return o.link, nil
}

// loadedFile finds an object that is loaded under another name.
func (l *Linker) loadedFile(g *graph, path string, from *object) *object {
	if c, err := g.find(path, from); err == nil {
		return c.object
	}
	return nil
}

// open loads an object that is not there yet.
func (l *Linker) open(g *graph, path string, flags int, from *object) (*object, error) {
	o, err := g.need(path, from)
	if err != nil {
		var missing *NotFoundError
		if errors.As(err, &missing) && missing.Name == path {
			missing.NeededBy = "" // the message names what dlopen was asked for
		}
		return nil, err
	}
	if len(g.added) == 0 {
		return o, nil
	}
	if err := g.complete(); err != nil {
		return nil, err
	}
	if o.dyn.Flags1&loader.DF1NoOpen != 0 {
		return o, nil // refused by the caller, nothing is installed
	}
	for _, x := range g.added {
		x.scope = o.closure
		x.deep = flags&RTLDDeepBind != 0
	}
	if flags&RTLDGlobal != 0 {
		// Its own relocations see the wider scope already.
		before := slices.Clone(l.global)
		l.makeGlobal(o)
		if err := l.install(g); err != nil {
			for _, x := range l.global[len(before):] {
				x.global = false
			}
			l.setGlobal(before)
			return nil, err
		}
		return o, nil
	}
	return o, l.install(g)
}

// makeGlobal appends an object and all that it needs to the global scope.
func (l *Linker) makeGlobal(o *object) {
	list := l.global
	for _, x := range o.closure {
		if !x.global {
			x.global = true
			list = append(list, x)
		}
	}
	l.setGlobal(list)
}

// pushBatch notes which constructors the thread has to run.
func (l *Linker) pushBatch(thread int, o *object) {
	order := initOrder(o)
	if slices.ContainsFunc(order, func(x *object) bool { return x.init != initDone }) {
		l.batches[thread] = append(l.batches[thread], &batch{handle: o.link, list: order})
	}
}

// containing returns the object in one of whose segments an address lies.
func (l *Linker) containing(addr uint32) *object {
	if addr == 0 {
		return nil
	}
	for _, o := range l.objects {
		if o.image != nil && o.image.Contains(addr) {
			return o
		}
	}
	return nil
}

// Address is what Sym found: an address, or a place in thread-local storage.
type Address struct {
	Addr      uint32
	TLSModule int // not 0: the symbol is thread-local
	TLSOffset uint32
	Function  bool // the symbol says so
}

// Sym is dlsym, or dlvsym with a version.
func (l *Linker) Sym(handle uint32, name, version string, caller uint32) (Address, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.main == nil || l.main.link == 0 {
		return Address{}, ErrStatic
	}
	h := loader.HashOf(name)
	want := loader.Want{Newest: true, Address: true}
	if version != "" {
		want.Version = loader.NewVersion(version)
	}
	work := int64(maxWork)
	var (
		b    binding
		ok   bool
		from *object // who asks, where that matters
	)
	switch handle {
	case HandleDefault:
		from = l.containing(caller)
		if ok = l.lookupGlobal(&b, &h, want, &work); !ok && from != nil && !from.initial {
			ok = lookup(&b, from.scope, nil, &h, want, &work)
		}
	case HandleNext:
		from = l.containing(caller)
		if from == nil {
			return Address{}, errors.New("RTLD_NEXT used in code that was not loaded")
		}
		scope := from.scope
		if i := slices.Index(l.global, from); i >= 0 {
			scope = l.global[i+1:]
		} else if i := slices.Index(scope, from); i >= 0 {
			scope = scope[i+1:]
		}
		ok = lookup(&b, scope, nil, &h, want, &work)
	default:
		o, err := l.byHandle(handle)
		if err != nil {
			return Address{}, err
		}
		if o == l.main {
			ok = l.lookupGlobal(&b, &h, want, &work)
		} else {
			ok = lookup(&b, o.closure, nil, &h, want, &work)
		}
	}
	if !ok {
		return Address{}, &UndefinedError{Symbol: name, Version: version}
	}
	if err := l.checkDefinition(&b, l.main); err != nil {
		return Address{}, err
	}
	if from != nil {
		// No handle keeps the definition: the caller does, as in glibc.
		l.bind(from, b.object)
	}
	a := Address{Addr: uint32(b.value()), Function: b.symbol.Type() == loader.SymFunc}
	if b.symbol.Type() == loader.SymTLS {
		a = Address{TLSModule: b.object.tlsID, TLSOffset: uint32(b.symbol.Value)}
	}
	if version == "" && len(name) <= maxRemembered {
		l.remember(handle, name, caller, a)
	}
	return a, nil
}

func (l *Linker) byHandle(handle uint32) (*object, error) {
	o := l.handles[handle]
	if o == nil || o.state != stateLive || o.refs == 0 && o != l.main {
		return nil, fmt.Errorf("%#x is not a handle of dlopen", handle)
	}
	return o, nil
}

// Close is dlclose. A token other than 0 says that objects are about to be
// unloaded: the thread must call NextFini(token) until it returns 0, and then
// Unload.
func (l *Linker) Close(handle uint32) (token uint32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.main == nil || l.main.link == 0 {
		return 0, ErrStatic
	}
	o, err := l.byHandle(handle)
	if err != nil {
		return 0, err
	}
	l.changes++
	if o.refs > 0 {
		o.refs--
	}
	if o.refs > 0 || o.initial || o.nodelete || l.exiting != nil {
		// While the program ends, nothing is unloaded any more: destructors of
		// everything are on their way.
		return 0, nil
	}
	dead := l.unreachable()
	if len(dead) == 0 {
		return 0, nil
	}
	f := &finalizer{list: l.finiList(func(o *object) bool { return dead[o] })}
	for _, o := range l.objects {
		if dead[o] {
			o.state = stateClosing
			if o.tlsID != 0 {
				f.tls = append(f.tls, o.tlsID)
			}
			l.trace("%s: no longer used", o)
		}
	}
	l.setGlobal(keep(l.global, func(o *object) bool { return !dead[o] }))
	l.finis = keep(l.finis, func(o *object) bool { return !dead[o] })
	for l.token++; l.token == 0 || l.token > 1<<30 || l.closing[l.token] != nil; l.token++ {
		if l.token > 1<<30 {
			l.token = 0
		}
	}
	f.dead = dead
	l.closing[l.token] = f
	return l.token, nil
}

// unreachable finds the objects that nothing holds any more.
func (l *Linker) unreachable() map[*object]bool {
	seen := map[*object]bool{}
	var stack []*object
	visit := func(o *object) {
		if !seen[o] {
			seen[o] = true
			stack = append(stack, o)
		}
	}
	for _, o := range l.objects {
		if o.initial || o.nodelete || o.refs > 0 || o.state == stateClosing || o.init == initRunning {
			visit(o)
		}
	}
	for _, list := range l.batches {
		for _, b := range list {
			for _, o := range b.list {
				visit(o)
			}
		}
	}
	for len(stack) > 0 {
		o := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, d := range o.deps {
			visit(d)
		}
		for d := range o.bound {
			visit(d)
		}
	}
	dead := map[*object]bool{}
	for _, o := range l.objects {
		if !seen[o] {
			dead[o] = true
		}
	}
	return dead
}

// Unload removes the objects that a token stands for.
func (l *Linker) Unload(token uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.closing[token]
	if f == nil {
		return fmt.Errorf("%d is not a token of dlclose", token)
	}
	delete(l.closing, token)
	l.changes++
	l.showDebug(debugDelete)
	var errs []error
	for o := range f.dead {
		place, err := o.image.Unload()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o, err))
		}
		if place != nil {
			l.retired = append(l.retired, &retired{place: place})
		}
		l.unpublish(o)
		l.releaseTLS(o)
		o.state = stateGone
		o.image = nil
		l.subs++
		l.trace("%s: unloaded", o)
	}
	l.objects = keep(l.objects, func(o *object) bool { return o.state != stateGone })
	l.chain()
	if l.tooManyRetired() {
		l.release()
	}
	return errors.Join(errs...)
}

// SymbolInfo is what AddrInfo found out about an address.
type SymbolInfo struct {
	Object   string // path of the object
	NameAddr uint32 // the same in the guest's memory
	Base     uint32 // where the object is loaded
	Symbol   string // "" when no symbol covers the address
	SymAddr  uint32
	SymName  uint32 // the symbol's name in the guest's memory
}

// AddrInfo is dladdr.
func (l *Linker) AddrInfo(addr uint32) (info SymbolInfo, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.containing(addr)
	if o == nil || o.dyn == nil {
		return SymbolInfo{}, false
	}
	lo, _ := o.image.Extent()
	info = SymbolInfo{Object: o.String(), NameAddr: o.nameAddr, Base: lo}
	if _, s, ok := o.dyn.Nearest(addr-o.bias, loader.SymNone); ok {
		info.Symbol = o.dyn.Name(s)
		info.SymAddr = uint32(s.Value) + o.bias
		info.SymName = o.dyn.StrTabAddr + s.NameOffset + o.bias
	}
	return info, true
}

// Symbolize names a code address for backtraces: the object, and the function
// with the distance from its start, if known. It looks at the file again for the
// full symbol table, the first time an object is asked for.
func (l *Linker) Symbolize(addr uint32) (object, symbol string, delta uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.containing(addr)
	if o == nil {
		return "", "", 0, false
	}
	at := addr - o.bias
	if !o.symbolsRead && l.symbolBytes < maxSymbolBytes {
		o.symbolsRead = true
		o.symbols = l.readSymbols(o)
		l.symbolBytes += o.symbols.Size()
	}
	if name, start, ok := o.symbols.Nearest(at); ok {
		return o.String(), name, at - start, true
	}
	if o.dyn != nil {
		if _, s, ok := o.dyn.Nearest(at, loader.SymFunc); ok {
			return o.String(), o.dyn.Name(s), at - uint32(s.Value), true
		}
	}
	return o.String(), "", at, true
}

// maxSymbolBytes is where no more full symbol tables are read. A backtrace can lead through
// many objects, and their files can have any size.
const maxSymbolBytes = 256 << 20

// readSymbols reads the full symbol table of an object, if it still can.
func (l *Linker) readSymbols(o *object) *loader.SymbolTable {
	if l.cfg.Open == nil || o.path == "" {
		return nil
	}
	f, size, err := l.cfg.Open(o.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if id := identity(f); id != nil && id != o.id {
		return nil // another file by now
	}
	t, err := loader.ReadSymbols(f, size, o.path)
	if err != nil {
		return nil
	}
	return t
}

// ObjectInfo is one object, as dl_iterate_phdr shows it.
type ObjectInfo struct {
	Name      string
	NameAddr  uint32
	Bias      uint32
	Phdr      uint32
	Phnum     int
	TLSModule int
	TLSOffset uint32 // 0: allocated on demand
	Link      uint32
}

func (o *object) info() ObjectInfo {
	return ObjectInfo{
		Name: o.String(), NameAddr: o.nameAddr, Bias: o.bias, Phdr: o.phdr, Phnum: o.file.PhdrNum,
		TLSModule: o.tlsID, TLSOffset: o.tlsOffset, Link: o.link,
	}
}

// Object returns object i in load order, the program being 0, and how many were
// loaded and unloaded so far.
func (l *Linker) Object(i int) (info ObjectInfo, adds, subs uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i < 0 || i >= len(l.objects) || l.main == nil || l.main.link == 0 {
		return ObjectInfo{}, l.adds, l.subs, false
	}
	return l.objects[i].info(), l.adds, l.subs, true
}

// errno is what a system call answers for an error.
func errno(err error) syscall.Errno {
	var (
		missing *NotFoundError
		undef   *UndefinedError
		e       syscall.Errno
	)
	switch {
	case errors.As(err, &missing), errors.As(err, &undef):
		return syscall.ENOENT
	case errors.Is(err, ErrStatic):
		return syscall.ENOSYS
	case errors.Is(err, ErrInterrupted):
		return syscall.EINTR
	case errors.As(err, &e):
		return e
	}
	return syscall.EINVAL
}
