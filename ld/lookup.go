package ld

import (
	"fmt"
	"math"

	"github.com/halite-run/halite/loader"
)

// binding is what a symbol reference came to.
type binding struct {
	object *object // nil: undefined (and weak)
	index  uint32
	symbol loader.Symbol
	class  class
}

// class distinguishes look-ups that may give different answers for one symbol.
type class uint8

const (
	classNone class = iota // not looked up yet
	classData              // a canonical PLT entry of the program counts
	classCall              // it does not
	classCopy              // nor does the object that asks
)

// value is the address of the symbol in the sandbox.
func (b *binding) value() uint64 {
	if b.object == nil {
		return 0
	}
	if b.symbol.Section == loader.ShnAbs {
		return b.symbol.Value
	}
	return b.symbol.Value + uint64(b.object.bias)
}

// maxWork bounds the cost of all symbol look-ups of one loading operation, in
// comparisons and characters: a few seconds. A program of a hundred libraries
// with a million references needs a tenth; it is reached only by tables made for
// the purpose.
const maxWork = 1 << 30

// define makes b symbol i of an object.
func (b *binding) define(o *object, i uint32) bool {
	b.object, b.index = o, i
	return o.dyn.ReadSymbol(i, &b.symbol)
}

// lookup searches the objects of a scope in their order. What is found goes into b; like
// all that look for a symbol, it writes there once, in place.
func lookup(b *binding, scope []*object, skip *object, h *loader.Hash, want loader.Want, work *int64) bool {
	address := want.Address
	for _, o := range scope {
		if o == skip || o.dyn == nil || o.state >= stateClosing {
			continue
		}
		want.Address = address && o.file.Type == loader.TypeProgram
		if i, ok := o.dyn.Lookup(h, want, work); ok {
			return b.define(o, i)
		}
	}
	return false
}

// globalIndex finds the symbols of the global scope that may define a name. A
// few objects are asked one by one, through filters that lie side by side; for
// many there is a table of all their symbols. The scope's order is kept either
// way. An object without a GNU hash table may define anything.
type globalIndex struct {
	objects int             // of the scope, when the index was made
	filters []loader.Filter // one for each object
	table   []entry         // open addressing, a power of two, at most half full; nil for few objects
	ask     []uint32        // positions of objects that the table does not know
}

// entry is a symbol of the object at a position of the scope, less one, and a part of
// its GNU hash. Position 0 is a free place.
type entry struct {
	symbol   uint32
	position uint16
	tag      uint16
}

// spread is where the table is looked into for a hash, and the tag. Hashes of similar
// names are close to each other.
func spread(hash uint32) (at uint32, tag uint16) {
	x := uint64(hash|1) * 0x9e3779b97f4a7c15
	return uint32(x >> 32), uint16(x >> 16)
}

// fewObjects is where asking all of them is no longer faster.
const fewObjects = 8

// maxIndexed bounds the table.
const maxIndexed = 8 << 20

func (x *globalIndex) build(scope []*object) {
	*x = globalIndex{objects: len(scope), filters: make([]loader.Filter, len(scope))}
	n := 0
	for i, o := range scope {
		if o.dyn != nil {
			x.filters[i] = o.dyn.Filter()
			n += o.dyn.HashedSymbols()
		}
	}
	if len(scope) <= fewObjects || len(scope) >= math.MaxUint16 || n > maxIndexed {
		return
	}
	size := 1024
	for size < 2*n {
		size *= 2
	}
	x.table = make([]entry, size)
	mask := uint32(size - 1)
	steps := 0
	for i, o := range scope {
		if o.dyn == nil {
			continue
		}
		if o.dyn.HashedSymbols() == 0 {
			x.ask = append(x.ask, uint32(i))
			continue
		}
		o.dyn.EachHash(func(symbol, h uint32) {
			at, tag := spread(h)
			for at &= mask; x.table[at].position != 0; at = (at + 1) & mask {
				if steps++; steps > 16*size {
					return
				}
			}
			// What is inserted later is met later: the order of the scope.
			x.table[at] = entry{symbol, uint16(i) + 1, tag}
		})
	}
	if steps > 16*size {
		// Hash values made to collide: the table would take for ever.
		x.table, x.ask = nil, nil
	}
}

// lookupGlobal is lookup in the global scope. When buildIndex was called, several
// goroutines may do it.
func (l *Linker) lookupGlobal(b *binding, h *loader.Hash, want loader.Want, work *int64) bool {
	l.buildIndex()
	x := &l.index
	try := func(i uint32) bool { return lookup(b, l.global[i:i+1], nil, h, want, work) }
	if x.table == nil {
		*work -= int64(len(x.filters))
		for i := range x.filters {
			if x.filters[i].May(h.GNU) && try(uint32(i)) {
				return true
			}
		}
		return false
	}
	ask := x.ask
	mask := uint32(len(x.table) - 1)
	start, tag := spread(h.GNU)
	var m loader.Matcher // of the object whose candidates are being looked at
	var o *object
	position, w := uint16(0), want
	for at := start & mask; x.table[at].position != 0; at = (at + 1) & mask {
		*work--
		e := x.table[at]
		if e.tag != tag {
			continue
		}
		if e.position != position {
			if i, ok := m.Only(); ok {
				return b.define(o, i)
			}
			for len(ask) > 0 && ask[0] < uint32(e.position)-1 {
				if try(ask[0]) {
					return true
				}
				ask = ask[1:]
			}
			position, m = e.position, loader.Matcher{}
			o = l.global[position-1]
			w.Address = want.Address && o.file.Type == loader.TypeProgram
		}
		if o.state >= stateClosing {
			continue
		}
		if m.Match(o.dyn, e.symbol, h.Name, &w, work) {
			return b.define(o, e.symbol)
		}
	}
	if i, ok := m.Only(); ok {
		return b.define(o, i)
	}
	for _, i := range ask {
		if try(i) {
			return true
		}
	}
	return false
}

func (l *Linker) buildIndex() {
	if x := &l.index; x.objects != len(l.global) {
		x.build(l.global)
	}
}

// resolve finds what entry i of o's symbol table refers to. The result is not to be
// changed.
func (l *Linker) resolve(o *object, i uint32, c class, work *int64) (*binding, error) {
	if int(i) < len(o.resolved) && o.resolved[i].class == c {
		return &o.resolved[i], nil
	}
	if !o.dyn.Has(i) {
		return nil, fmt.Errorf("%s: symbol %d is beyond the symbol table", o, i)
	}
	if n := len(o.resolved); int(i) >= n {
		o.resolved = append(o.resolved, make([]binding, max(int(i)+1, o.dyn.Symbols(), 2*n)-n)...)
	}
	b := &o.resolved[i]
	b.class = classNone
	if err := l.resolveSlow(b, o, i, c, work); err != nil {
		return nil, err
	}
	b.class = c
	return b, nil
}

func (l *Linker) resolveSlow(b *binding, o *object, i uint32, c class, work *int64) error {
	b.define(o, i)
	sym := &b.symbol
	switch {
	case i == 0:
		// The null symbol: a relocation against the object itself.
		*sym = loader.Symbol{Section: loader.ShnAbs}
		return nil
	case sym.Bind() == loader.BindLocal, sym.Visibility() != loader.VisDefault && sym.Section != loader.ShnUndef:
		if c != classCopy {
			return l.checkDefinition(b, o)
		}
	}
	name, ok := o.dyn.String(uint64(sym.NameOffset))
	if !ok {
		return fmt.Errorf("%s: the name of symbol %d is not in the string table, or has more than %d bytes", o, i, loader.MaxName)
	}
	weak := sym.Bind() == loader.BindWeak
	*work -= int64(len(name))
	h := loader.HashOf(name)
	want := loader.Want{Version: o.dyn.RequiredVersion(i), Address: c == classData}
	found := l.search(b, o, &h, want, c, work)
	if *work < 0 {
		return fmt.Errorf("%s: looking up its symbols takes too long: refused", o)
	}
	if !found {
		if addr, ok := l.cfg.HostSymbols[name]; ok && c != classCopy {
			l.trace("%s: %s binds to the host", o, name)
			*b = binding{object: hostObject, symbol: loader.Symbol{Section: loader.ShnAbs, Value: uint64(addr)}}
			return nil
		}
		if weak {
			l.trace("%s: %s: undefined and weak", o, name)
			*b = binding{}
			return nil
		}
		return &UndefinedError{Symbol: name, Version: versionName(want.Version), NeededBy: o.String()}
	}
	if b.symbol.Bind() == loader.BindUnique {
		// One definition for the whole domain, whatever the scopes say.
		o.moody = true
		l.uniqueMu.Lock()
		if first, ok := l.unique[name]; ok && first.object.state < stateClosing {
			*b = first
		} else {
			l.unique[name] = *b
			b.object.nodelete = true
		}
		l.uniqueMu.Unlock()
	}
	if l.cfg.Trace != nil {
		l.trace("%s: %s binds to %s", o, name, b.object)
	}
	return l.checkDefinition(b, o)
}

func versionName(v *loader.Version) string {
	if v == nil {
		return ""
	}
	return v.Name
}

// search looks through the scopes of o in their order.
func (l *Linker) search(b *binding, o *object, h *loader.Hash, want loader.Want, c class, work *int64) bool {
	if c == classCopy {
		// The program's own copy is what is being filled.
		return lookup(b, l.global, o, h, want, work)
	}
	if o.dyn.Symbolic && lookup(b, []*object{o}, nil, h, want, work) {
		return true
	}
	if o.deep && lookup(b, o.scope, nil, h, want, work) {
		return true
	}
	if l.lookupGlobal(b, h, want, work) {
		return true
	}
	if o.initial || o.deep {
		return false
	}
	return lookup(b, o.scope, nil, h, want, work)
}

// checkDefinition refuses definitions that cannot be bound to.
func (l *Linker) checkDefinition(b *binding, by *object) error {
	d := b.object
	name := func() string {
		if n := d.dyn.Name(b.symbol); n != "" {
			return n
		}
		return fmt.Sprintf("symbol %d", b.index)
	}
	switch {
	case b.symbol.Type() == loader.SymIFunc:
		return fmt.Errorf("%s: %s is an indirect function (IFUNC), needed by %s: they are not offered", d, name(), by)
	case b.symbol.Type() == loader.SymTLS:
		if t := d.file.TLS; t == nil || b.symbol.Value > uint64(t.MemSize) {
			return fmt.Errorf("%s: %s is a thread-local symbol outside the object's thread-local storage", d, name())
		}
	case b.symbol.Section == loader.ShnAbs, b.symbol.Section == loader.ShnUndef && b.symbol.Value == 0:
	case !d.file.Holds(b.symbol.Value):
		return fmt.Errorf("%s: %s: value %#x lies outside the object", d, name(), b.symbol.Value)
	}
	return nil
}

// UndefinedError says that nobody defines a symbol.
type UndefinedError struct {
	Symbol   string
	Version  string
	NeededBy string // "" for dlsym
}

func (e *UndefinedError) Error() string {
	s := "undefined symbol: " + e.Symbol
	if e.Version != "" {
		s += ", version " + e.Version
	}
	if e.NeededBy != "" {
		s += ", needed by " + e.NeededBy
	}
	return s
}
