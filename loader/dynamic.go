package loader

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// Dynamic is a parsed dynamic section with the tables that it points to. All
// tables are the reader's own copies: what a guest does to its memory later
// changes nothing here.
type Dynamic struct {
	Addr uint32 // of the section
	Size uint32

	Needed  []string
	SoName  string
	RPath   string // DT_RPATH; ignored by linkers when there is a RUNPATH
	RunPath string
	Flags   uint64 // DT_FLAGS
	Flags1  uint64 // DT_FLAGS_1
	Debug   uint32 // address of DT_DEBUG's value, 0 without one

	Symbolic bool

	Init, Fini   uint32 // 0: none
	InitArray    Range
	FiniArray    Range
	PreinitArray Range
	Rela, JmpRel RelaTable
	Relr         []byte
	StrTabAddr   uint32
	Verneed      []Verneed
	Verdef       []string            // names of the versions defined here, without the base definition
	defined      map[string]struct{} // the same
	versions     []version
	versym       []byte // 2 bytes a symbol; nil without versions
	symtab       []byte
	strtab       string
	gnu          gnuHash
	sysv         sysvHash
	symbols      int // symbols that the hash tables know of
	file         *File
	asked        atomic.Uint32 // how often Nearest was
	sorting      sync.Once
	sorted       []uint32 // see byValue
}

// RelaTable is a table of relocations with addend.
type RelaTable []byte

// Rela is one relocation.
type Rela struct {
	Offset uint64
	Type   uint32
	Symbol uint32
	Addend int64
}

// Len is the number of relocations.
func (t RelaTable) Len() int { return len(t) / relaSize }

// At returns the i-th relocation.
//
// Preconditions: 0 <= i < t.Len().
func (t RelaTable) At(i int) Rela {
	b := t[i*relaSize : i*relaSize+relaSize]
	info := le.Uint64(b[8:])
	return Rela{
		Offset: le.Uint64(b),
		Type:   uint32(info),
		Symbol: uint32(info >> 32),
		Addend: int64(le.Uint64(b[16:])),
	}
}

// dynamic parses PT_DYNAMIC.
func (in *reader) dynamic(f *File, p *phdr) (*Dynamic, error) {
	const where = "dynamic section"
	if p.filesz > MaxDynamic*dynSize {
		return nil, in.fail(RuleDyn, where, "%d bytes, at most %d are read", p.filesz, MaxDynamic*dynSize)
	}
	raw, ok := f.Bytes(p.vaddr, p.filesz)
	if !ok {
		return nil, in.fail(RuleDynRange, where, "%#x..%#x is not inside the file part of one segment", p.vaddr, p.vaddr+p.filesz)
	}
	if s := f.segmentAt(p.vaddr, p.filesz); s != nil && s.Flags&FlagExec != 0 {
		return nil, in.fail(RuleDynRange, where, "lies in executable segment %d", s.Index)
	}
	d := &Dynamic{Addr: uint32(p.vaddr), Size: uint32(p.filesz), file: f}

	// Values of tags that may occur once, collected first because they refer to
	// each other in any order.
	var (
		value  = map[uint64]uint64{}
		needed []uint64
		ended  bool
	)
	for at := 0; at+dynSize <= len(raw); at += dynSize {
		tag, v := le.Uint64(raw[at:]), le.Uint64(raw[at+8:])
		if tag == dtNull {
			ended = true
			break
		}
		switch tag {
		case dtNeeded:
			if needed = append(needed, v); len(needed) > MaxNeeded {
				return nil, in.fail(RuleDyn, where, "more than %d DT_NEEDED", MaxNeeded)
			}
			continue
		case dtDebug:
			d.Debug = uint32(p.vaddr) + uint32(at) + 8
		case dtTextRel:
			return nil, in.fail(RuleDynTextrel, where, "DT_TEXTREL: code is never relocated; compile with -fPIC")
		case dtRel, dtRelSz, dtAndroidRel, dtAndroidRela, dtAndroidRelr:
			return nil, in.fail(RuleDynRel, where, "tag %#x: only RELA and RELR relocations are known on x86-64", tag)
		case dtInit, dtFini, dtSymTab, dtStrTab, dtStrSz, dtRela, dtRelaSz, dtJmpRel, dtPltRelSz,
			dtHash, dtGNUHash, dtVerSym, dtVerNeed, dtVerDef, dtVerNeedNum, dtVerDefNum, dtRelr, dtRelrSz,
			dtInitArray, dtInitArraySz, dtFiniArray, dtFiniArraySz, dtPreinitArr, dtPreinitArrSz, dtSoName,
			dtRPath, dtRunPath, dtFlags, dtFlags1:
			if old, dup := value[tag]; dup && old != v {
				return nil, in.fail(RuleDyn, where, "tag %#x occurs twice with different values", tag)
			}
		}
		value[tag] = v
	}
	if !ended {
		return nil, in.fail(RuleDyn, where, "no DT_NULL at the end")
	}
	d.Flags, d.Flags1 = value[dtFlags], value[dtFlags1]
	if d.Flags&DFTextRel != 0 {
		return nil, in.fail(RuleDynTextrel, where, "DF_TEXTREL: code is never relocated; compile with -fPIC")
	}
	_, d.Symbolic = value[dtSymbolic]
	d.Symbolic = d.Symbolic || d.Flags&DFSymbolic != 0

	if err := in.dynStrings(d, value, needed); err != nil {
		return nil, err
	}
	if err := in.dynSymbols(d, value); err != nil {
		return nil, err
	}
	if err := in.dynRelocations(d, value); err != nil {
		return nil, err
	}
	if err := in.dynFunctions(d, value); err != nil {
		return nil, err
	}
	if err := in.dynVersions(d, value); err != nil {
		return nil, err
	}
	return d, nil
}

func (in *reader) dynStrings(d *Dynamic, value map[uint64]uint64, needed []uint64) error {
	const where = "dynamic section"
	addr, has := value[dtStrTab]
	size := value[dtStrSz]
	if !has {
		if len(needed) > 0 || value[dtSoName] != 0 {
			return in.fail(RuleDynString, where, "names but no string table")
		}
		return nil
	}
	b, ok := d.file.Bytes(addr, size)
	if !ok {
		return in.fail(RuleDynRange, where, "the string table %#x+%#x is not inside the file part of one segment", addr, size)
	}
	if len(b) == 0 || b[len(b)-1] != 0 {
		return in.fail(RuleDynString, where, "the string table is not terminated")
	}
	d.strtab = string(b)
	d.StrTabAddr = uint32(addr)
	for _, off := range needed {
		s, err := in.dynString(d, off, MaxFileName, where, "DT_NEEDED")
		if err != nil {
			return err
		}
		if s == "" {
			return in.fail(RuleDynString, where, "DT_NEEDED is empty")
		}
		d.Needed = append(d.Needed, s)
	}
	for _, x := range []struct {
		tag  uint64
		max  int
		what string
		to   *string
	}{
		{dtSoName, MaxFileName, "DT_SONAME", &d.SoName},
		{dtRPath, MaxSearchPath, "DT_RPATH", &d.RPath}, {dtRunPath, MaxSearchPath, "DT_RUNPATH", &d.RunPath},
	} {
		off, has := value[x.tag]
		if !has {
			continue
		}
		s, err := in.dynString(d, off, x.max, where, x.what)
		if err != nil {
			return err
		}
		*x.to = s
	}
	return nil
}

// dynString is a string that has a purpose, and so a limit: the strings of a table can
// overlap, so that many long ones cost nothing in the file.
func (in *reader) dynString(d *Dynamic, off uint64, limit int, where, what string) (string, error) {
	if off >= uint64(len(d.strtab)) {
		return "", in.fail(RuleDynString, where, "%s: string offset %#x is beyond the string table (%#x bytes)", what, off, len(d.strtab))
	}
	s, ok := d.String(off)
	if !ok || len(s) > limit {
		return "", in.fail(RuleDynString, where, "%s: the string at offset %#x has more than %d bytes", what, off, limit)
	}
	return s, nil
}

func (in *reader) dynSymbols(d *Dynamic, value map[uint64]uint64) error {
	const where = "dynamic section"
	addr, has := value[dtSymTab]
	if !has {
		return nil
	}
	if n, has := value[dtSymEnt]; has && n != symbolSize {
		return in.fail(RuleDyn, where, "DT_SYMENT is %d, want %d", n, symbolSize)
	}
	b, ok := d.file.tail(addr)
	if !ok {
		return in.fail(RuleDynRange, where, "the symbol table at %#x is not inside the file part of a segment", addr)
	}
	if addr%8 != 0 {
		return in.fail(RuleDyn, where, "the symbol table stands at odd address %#x", addr)
	}
	// No tag tells the length of the symbol table. It ends before the segment's
	// file part does, and before the next table.
	for _, tag := range []uint64{dtStrTab, dtHash, dtGNUHash, dtVerSym, dtVerNeed, dtVerDef, dtRela, dtJmpRel, dtRelr} {
		if next := value[tag]; next > addr && next-addr < uint64(len(b)) {
			b = b[:next-addr]
		}
	}
	b = b[:len(b)/symbolSize*symbolSize]
	d.symtab = b
	if at, has := value[dtHash]; has {
		if err := in.sysvHash(d, at); err != nil {
			return err
		}
	}
	if at, has := value[dtGNUHash]; has {
		if err := in.gnuHash(d, at); err != nil {
			return err
		}
	}
	if d.gnu.buckets == nil && d.sysv.buckets == nil {
		return in.fail(RuleHash, where, "a symbol table, but neither DT_GNU_HASH nor DT_HASH")
	}
	return nil
}

func (in *reader) dynRelocations(d *Dynamic, value map[uint64]uint64) error {
	const where = "dynamic section"
	table := func(addrTag, sizeTag, entry uint64, what string) ([]byte, error) {
		addr, has := value[addrTag]
		size := value[sizeTag]
		if !has || size == 0 {
			return nil, nil
		}
		if size%entry != 0 {
			return nil, in.fail(RuleDynRel, where, "%s: %#x bytes are no multiple of %d", what, size, entry)
		}
		b, ok := d.file.Bytes(addr, size)
		if !ok {
			return nil, in.fail(RuleDynRange, where, "%s: %#x+%#x is not inside the file part of one segment", what, addr, size)
		}
		return b, nil
	}
	if n, has := value[dtRelaEnt]; has && n != relaSize {
		return in.fail(RuleDynRel, where, "DT_RELAENT is %d, want %d", n, relaSize)
	}
	if n, has := value[dtPltRel]; has && n != dtRela {
		return in.fail(RuleDynRel, where, "DT_PLTREL is %d, want %d (RELA)", n, dtRela)
	}
	if n, has := value[dtRelrEnt]; has && n != 8 {
		return in.fail(RuleRelr, where, "DT_RELRENT is %d, want 8", n)
	}
	var err error
	var rela, jmprel []byte
	if rela, err = table(dtRela, dtRelaSz, relaSize, "DT_RELA"); err != nil {
		return err
	}
	if jmprel, err = table(dtJmpRel, dtPltRelSz, relaSize, "DT_JMPREL"); err != nil {
		return err
	}
	if d.Relr, err = table(dtRelr, dtRelrSz, 8, "DT_RELR"); err != nil {
		return err
	}
	d.Rela, d.JmpRel = rela, jmprel
	return in.checkRelr(d.Relr)
}

// checkRelr makes sure that every word is relocated at most once: a table that
// goes back could relocate few words very many times.
func (in *reader) checkRelr(table []byte) error {
	var next uint64
	first := true
	for at := 0; at+8 <= len(table); at += 8 {
		e := le.Uint64(table[at:])
		if e&1 == 0 {
			if !first && e < next {
				return in.fail(RuleRelr, "DT_RELR", "entry %d: address %#x is below %#x", at/8, e, next)
			}
			if e >= imageEnd {
				return in.fail(RuleRelr, "DT_RELR", "entry %d: address %#x lies outside the sandbox", at/8, e)
			}
			next, first = e+8, false
			continue
		}
		if first {
			return in.fail(RuleRelr, "DT_RELR", "begins with a bitmap")
		}
		next += 63 * 8
	}
	return nil
}

// EachRelr calls fn with the address of every word that DT_RELR relocates,
// ascending, until fn returns false.
func (d *Dynamic) EachRelr(fn func(addr uint64) bool) {
	var base uint64
	for at := 0; at+8 <= len(d.Relr); at += 8 {
		e := le.Uint64(d.Relr[at:])
		if e&1 == 0 {
			if !fn(e) {
				return
			}
			base = e + 8
			continue
		}
		for i, bits := uint64(0), e>>1; bits != 0; i, bits = i+1, bits>>1 {
			if bits&1 != 0 && !fn(base+i*8) {
				return
			}
		}
		base += 63 * 8
	}
}

func (in *reader) dynFunctions(d *Dynamic, value map[uint64]uint64) error {
	const where = "dynamic section"
	for _, x := range []struct {
		tag  uint64
		what string
		to   *uint32
	}{{dtInit, "DT_INIT", &d.Init}, {dtFini, "DT_FINI", &d.Fini}} {
		v, has := value[x.tag]
		if !has || v == 0 {
			continue
		}
		if s := d.file.segmentAt(v, 1); s == nil || s.Flags&FlagExec == 0 {
			return in.fail(RuleDynRange, where, "%s %#x lies in no executable segment", x.what, v)
		}
		*x.to = uint32(v)
	}
	for _, x := range []struct {
		tag, size uint64
		what      string
		to        *Range
	}{
		{dtInitArray, dtInitArraySz, "DT_INIT_ARRAY", &d.InitArray},
		{dtFiniArray, dtFiniArraySz, "DT_FINI_ARRAY", &d.FiniArray},
		{dtPreinitArr, dtPreinitArrSz, "DT_PREINIT_ARRAY", &d.PreinitArray},
	} {
		addr, has := value[x.tag]
		size := value[x.size]
		if !has || size == 0 {
			continue
		}
		if size%8 != 0 || addr%8 != 0 {
			return in.fail(RuleDyn, where, "%s: %#x+%#x is not made of 8-byte words", x.what, addr, size)
		}
		if s := d.file.segmentAt(addr, size); s == nil || s.Flags&FlagExec != 0 {
			return in.fail(RuleDynRange, where, "%s: %#x+%#x is not inside one data segment", x.what, addr, size)
		}
		*x.to = Range{uint32(addr), uint32(size)}
	}
	return nil
}

// String returns the string at an offset of the dynamic string table. ok is false when
// the offset is not in the table, or the string has more than MaxName bytes.
func (d *Dynamic) String(off uint64) (string, bool) {
	if off >= uint64(len(d.strtab)) {
		return "", false
	}
	s := d.strtab[off:]
	n := strings.IndexByte(s[:min(len(s), MaxName+1)], 0)
	if n < 0 {
		return "", false
	}
	return s[:n], true
}

// Symbol is an entry of the dynamic symbol table.
type Symbol struct {
	NameOffset uint32
	Info       uint8
	Other      uint8
	Section    uint16
	Value      uint64
	Size       uint64
}

// Bind is the symbol's binding.
func (s Symbol) Bind() uint8 { return s.Info >> 4 }

// Type is the symbol's type.
func (s Symbol) Type() uint8 { return s.Info & 15 }

// Visibility is the symbol's visibility.
func (s Symbol) Visibility() uint8 { return s.Other & 3 }

// Symbols is the number of symbols that the hash tables tell of: all defined
// ones. Symbol may know more.
func (d *Dynamic) Symbols() int { return d.symbols }

// Symbol returns entry i of the symbol table; ok is false when the table does
// not reach so far.
func (d *Dynamic) Symbol(i uint32) (s Symbol, ok bool) {
	ok = d.ReadSymbol(i, &s)
	return s, ok
}

// ReadSymbol is Symbol where many are read: what has been written word by word and is
// then copied as a whole has the processor wait.
func (d *Dynamic) ReadSymbol(i uint32, s *Symbol) bool {
	at := uint64(i) * symbolSize
	if at+symbolSize > uint64(len(d.symtab)) {
		return false
	}
	b := d.symtab[at : at+symbolSize]
	s.NameOffset, s.Info, s.Other, s.Section = le.Uint32(b), b[4], b[5], le.Uint16(b[6:])
	s.Value, s.Size = le.Uint64(b[8:]), le.Uint64(b[16:])
	return true
}

// Has tells whether the symbol table reaches as far as entry i.
func (d *Dynamic) Has(i uint32) bool { return uint64(i) < uint64(len(d.symtab))/symbolSize }

// Name returns the name of a symbol, "" when its offset is not in the table.
func (d *Dynamic) Name(s Symbol) string {
	name, _ := d.String(uint64(s.NameOffset))
	return name
}

// named tells whether the symbol has that name.
func (d *Dynamic) named(s *Symbol, name string) bool {
	at := uint64(s.NameOffset)
	end := at + uint64(len(name))
	return end < uint64(len(d.strtab)) && d.strtab[end] == 0 && d.strtab[at:end] == name
}

// Nearest returns the symbol that covers an address: of those of one type (or
// any type, when typ is SymNone) the one with the highest value not above it,
// unless the address is beyond the symbol's size.
func (d *Dynamic) Nearest(addr uint32, typ uint8) (index uint32, best Symbol, ok bool) {
	covers := func(s *Symbol) bool {
		return s.Value <= uint64(addr) && (typ == SymNone || s.Type() == typ) && (s.Size == 0 || uint64(addr)-s.Value < s.Size)
	}
	if d.asked.Add(1) <= fewQuestions {
		for i := range uint32(d.symbols) {
			s, in := d.Symbol(i)
			if !in {
				break
			}
			if (!ok || s.Value > best.Value) && covers(&s) && d.nameable(&s) {
				index, best, ok = i, s, true
			}
		}
		return index, best, ok
	}
	list := d.byValue()
	n := sort.Search(len(list), func(i int) bool { return d.valueOf(list[i]) > uint64(addr) })
	for _, i := range slices.Backward(list[:n]) {
		if s, _ := d.Symbol(i); covers(&s) {
			return i, s, true
		}
	}
	return 0, Symbol{}, false
}

// fewQuestions is how often Nearest looks at all symbols before it sorts them: most
// programs never ask more, and the C library asks for itself at its start.
const fewQuestions = 4

// nameable tells whether Nearest may return a symbol.
func (d *Dynamic) nameable(s *Symbol) bool {
	return s.Section != ShnUndef && s.Section != ShnAbs && s.Type() != SymTLS && s.Bind() != BindLocal &&
		uint64(s.NameOffset) < uint64(len(d.strtab)) && d.strtab[s.NameOffset] != 0
}

// byValue lists the nameable symbols by ascending value, of equal ones the
// first last.
func (d *Dynamic) byValue() []uint32 {
	d.sorting.Do(func() {
		for i := range uint32(d.symbols) {
			s, in := d.Symbol(i)
			if !in {
				break
			}
			if d.nameable(&s) {
				d.sorted = append(d.sorted, i)
			}
		}
		slices.SortFunc(d.sorted, func(i, j uint32) int {
			return cmp.Or(cmp.Compare(d.valueOf(i), d.valueOf(j)), cmp.Compare(j, i))
		})
	})
	return d.sorted
}

// valueOf is the value of a symbol that exists.
func (d *Dynamic) valueOf(i uint32) uint64 { return le.Uint64(d.symtab[uint64(i)*symbolSize+8:]) }
