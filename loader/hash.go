package loader

// Symbol look-up: GNU and System V hash tables, and the version rules.

type gnuHash struct {
	bloom      []byte // words of 8 bytes, a power of two of them
	bloomMask  uint32
	bloomShift uint32
	buckets    []byte // nil: no table
	chains     []byte
	first      uint32 // index of the first symbol in the table
}

type sysvHash struct {
	buckets []byte // nil: no table
	chains  []byte
}

// Hash is a symbol name with the hash values that tables ask for.
type Hash struct {
	Name string
	GNU  uint32
	sysv uint32
	has  bool
}

// HashOf prepares a name for look-ups.
func HashOf(name string) Hash {
	h := uint32(5381)
	rest := name
	for ; len(rest) >= 4; rest = rest[4:] { // four multiplications at once
		h = h*(33*33*33*33) + uint32(rest[0])*(33*33*33) + uint32(rest[1])*(33*33) + uint32(rest[2])*33 + uint32(rest[3])
	}
	for i := range len(rest) {
		h = h*33 + uint32(rest[i])
	}
	return Hash{Name: name, GNU: h}
}

// SysV is the System V ABI's hash value, computed when first asked for: most
// objects have a GNU table.
func (h *Hash) SysV() uint32 {
	if !h.has {
		h.sysv, h.has = sysvHashOf(h.Name), true
	}
	return h.sysv
}

func sysvHashOf(name string) uint32 {
	var h uint32
	for i := range len(name) {
		h = h<<4 + uint32(name[i])
		g := h & 0xf0000000
		h ^= g >> 24
		h &^= g
	}
	return h
}

func (in *reader) sysvHash(d *Dynamic, addr uint64) error {
	const where = "DT_HASH"
	b, ok := d.file.tail(addr)
	if !ok || len(b) < 8 {
		return in.fail(RuleDynRange, where, "%#x is not inside the file part of a segment", addr)
	}
	nbucket, nchain := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:]))
	if nbucket == 0 {
		return in.fail(RuleHash, where, "no buckets")
	}
	if 8+(nbucket+nchain)*4 > uint64(len(b)) {
		return in.fail(RuleHash, where, "%d buckets and %d symbols do not fit the segment", nbucket, nchain)
	}
	if nchain*symbolSize > uint64(len(d.symtab)) {
		return in.fail(RuleHash, where, "%d symbols, but the symbol table has room for %d", nchain, len(d.symtab)/symbolSize)
	}
	h := sysvHash{buckets: b[8 : 8+nbucket*4], chains: b[8+nbucket*4 : 8+(nbucket+nchain)*4]}
	// Every symbol belongs to one chain at most. So the chains are disjoint,
	// have no loops, and walking all of them is linear.
	seen := make([]bool, nchain)
	for i := uint64(0); i < nbucket; i++ {
		n := 0
		for at := le.Uint32(h.buckets[i*4:]); at != 0; at = le.Uint32(h.chains[at*4:]) {
			if uint64(at) >= nchain {
				return in.fail(RuleHash, where, "bucket %d leads to symbol %d of %d", i, at, nchain)
			}
			if seen[at] {
				return in.fail(RuleHash, where, "bucket %d leads to symbol %d a second time", i, at)
			}
			seen[at] = true
			if n++; n > MaxHashChain {
				return in.fail(RuleHash, where, "more than %d symbols in bucket %d", MaxHashChain, i)
			}
		}
	}
	d.sysv = h
	d.symbols = max(d.symbols, int(nchain))
	return nil
}

func (in *reader) gnuHash(d *Dynamic, addr uint64) error {
	const where = "DT_GNU_HASH"
	b, ok := d.file.tail(addr)
	if !ok || len(b) < 16 {
		return in.fail(RuleDynRange, where, "%#x is not inside the file part of a segment", addr)
	}
	nbucket, first := uint64(le.Uint32(b)), le.Uint32(b[4:])
	nbloom, shift := uint64(le.Uint32(b[8:])), le.Uint32(b[12:])
	if nbucket == 0 {
		return in.fail(RuleHash, where, "no buckets")
	}
	if nbloom == 0 || nbloom&(nbloom-1) != 0 {
		return in.fail(RuleHash, where, "%d words of filter, which is no power of two", nbloom)
	}
	if shift > 31 {
		return in.fail(RuleHash, where, "filter shift %d", shift)
	}
	if 16+nbloom*8+nbucket*4 > uint64(len(b)) {
		return in.fail(RuleHash, where, "%d filter words and %d buckets do not fit the segment", nbloom, nbucket)
	}
	h := gnuHash{
		bloom: b[16 : 16+nbloom*8], bloomMask: uint32(nbloom - 1), bloomShift: shift,
		buckets: b[16+nbloom*8 : 16+nbloom*8+nbucket*4], first: first,
	}
	chains := b[16+nbloom*8+nbucket*4:]
	symbols := uint64(len(d.symtab) / symbolSize)
	// Chains are runs in one array. They must be disjoint, and each must end:
	// then walking all of them is linear.
	end := uint64(first)
	seen := make([]bool, symbols)
	for i := uint64(0); i < nbucket; i++ {
		at := le.Uint32(h.buckets[i*4:])
		if at == 0 {
			continue
		}
		if at < first {
			return in.fail(RuleHash, where, "bucket %d leads to symbol %d, the first is %d", i, at, first)
		}
		n := uint64(at)
		for {
			k := (n - uint64(first)) * 4
			if n >= symbols || k+4 > uint64(len(chains)) {
				return in.fail(RuleHash, where, "the chain of bucket %d does not end inside the symbol table (%d symbols)", i, symbols)
			}
			if seen[n] {
				return in.fail(RuleHash, where, "the chain of bucket %d shares symbol %d with another", i, n)
			}
			seen[n] = true
			if n-uint64(at) >= MaxHashChain {
				return in.fail(RuleHash, where, "more than %d symbols in bucket %d", MaxHashChain, i)
			}
			n++
			if le.Uint32(chains[k:])&1 != 0 {
				break
			}
		}
		end = max(end, n)
	}
	if end > symbols {
		// An empty table may claim any first symbol.
		end = 0
	}
	if end > uint64(first) {
		h.chains = chains[:(end-uint64(first))*4]
	}
	d.gnu = h
	d.symbols = max(d.symbols, int(end))
	return nil
}

// Filter tells quickly that an object does not define a name. The zero value
// never does.
type Filter struct {
	words []byte
	mask  uint32
	shift uint32
}

// Filter returns the object's filter.
func (d *Dynamic) Filter() Filter {
	return Filter{d.gnu.bloom, d.gnu.bloomMask, d.gnu.bloomShift}
}

// May is false when the object does not define a name with this GNU hash.
func (f *Filter) May(hash uint32) bool {
	at := hash / 64 & f.mask * 8
	if uint64(at)+8 > uint64(len(f.words)) {
		return true
	}
	word := le.Uint64(f.words[at : at+8])
	return word>>(hash&63)&(word>>(hash>>(f.shift&31)&63))&1 != 0
}

// HashedSymbols is the number of symbols in the GNU hash table.
func (d *Dynamic) HashedSymbols() int { return len(d.gnu.chains) / 4 }

// EachHash calls fn with the index and the GNU hash of every symbol in that table, in
// its order. The lowest bit is not part of the hash.
func (d *Dynamic) EachHash(fn func(index, hash uint32)) {
	for i := 0; i+4 <= len(d.gnu.chains); i += 4 {
		fn(d.gnu.first+uint32(i/4), le.Uint32(d.gnu.chains[i:]))
	}
}

// Want says what a look-up is for.
type Want struct {
	// Version is the version that the reference asks for, nil when it asks for
	// none.
	Version *Version
	// Newest makes an unversioned look-up take the default version as dlsym
	// does; a relocation of an object without versions takes the oldest.
	Newest bool
	// Address: an undefined function with a value (the canonical PLT entry of a
	// program that is not position-independent) counts as a definition.
	Address bool
}

// Lookup finds the definition of a name. work is reduced by the cost of the
// search.
//
// The version rules are those of the GNU C library. A reference with a version
// takes the definition of that version, or one from an object without versions,
// or an unversioned one. A reference without takes the base or first version of
// a name, or its only visible one.
func (d *Dynamic) Lookup(h *Hash, want Want, work *int64) (index uint32, ok bool) {
	if g := &d.gnu; g.buckets != nil {
		*work--
		if f := (Filter{g.bloom, g.bloomMask, g.bloomShift}); !f.May(h.GNU) {
			return 0, false
		}
		n := le.Uint32(g.buckets[h.GNU%uint32(len(g.buckets)/4)*4:])
		if n == 0 {
			return 0, false
		}
		var m Matcher
		for k := n - g.first; uint64(k)*4 < uint64(len(g.chains)); k++ {
			*work--
			v := le.Uint32(g.chains[k*4:])
			if (v^h.GNU)>>1 == 0 {
				if m.Match(d, g.first+k, h.Name, &want, work) {
					return g.first + k, true
				}
			}
			if v&1 != 0 {
				break
			}
		}
		return m.Only()
	}
	if t := &d.sysv; t.buckets != nil {
		var m Matcher
		for i := le.Uint32(t.buckets[h.SysV()%uint32(len(t.buckets)/4)*4:]); i != 0; i = le.Uint32(t.chains[i*4:]) {
			*work--
			if m.Match(d, i, h.Name, &want, work) {
				return i, true
			}
		}
		return m.Only()
	}
	return 0, false
}

// A Matcher decides whether candidates of one object match a reference, and
// remembers the one visible version that an unversioned reference may fall back
// to.
type Matcher struct {
	index   uint32
	visible int
}

// Only is that one, when no candidate matched.
func (m *Matcher) Only() (index uint32, ok bool) {
	return m.index, m.visible == 1
}

// Match tells whether symbol i is it. work is reduced by the cost.
func (m *Matcher) Match(d *Dynamic, i uint32, name string, want *Want, work *int64) bool {
	var s Symbol
	if !d.ReadSymbol(i, &s) || !s.defines(want.Address) || !d.named(&s, name) {
		return false
	}
	*work -= int64(len(name) / 16)
	if d.versym == nil {
		return true
	}
	v, hidden := d.versionIndex(i)
	if w := want.Version; w != nil {
		def := d.versionOf(v)
		if def != nil && def.Hash == w.Hash && def.Name == w.Name {
			return true
		}
		return def == nil && !hidden && !w.Hidden
	}
	oldest := uint16(3)
	if want.Newest {
		oldest = 2
	}
	if v < oldest {
		return true
	}
	if !hidden {
		if m.visible++; m.visible == 1 {
			m.index = i
		}
	}
	return false
}

// defines tells whether a symbol of the table is one that others can bind to.
func (s *Symbol) defines(address bool) bool {
	switch s.Bind() {
	case BindGlobal, BindWeak, BindUnique:
	default:
		return false
	}
	typ := s.Type()
	switch typ {
	case SymNone, SymObject, SymFunc, SymCommon, SymTLS, SymIFunc:
	default:
		return false
	}
	if v := s.Visibility(); v == VisHidden || v == VisInternal {
		return false
	}
	if s.Section == ShnUndef {
		return address && s.Value != 0 && typ == SymFunc
	}
	return s.Value != 0 || typ == SymTLS || s.Section == ShnAbs
}
