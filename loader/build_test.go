package loader

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// testFile is a small shared object made by hand: every table that the reader
// knows, each at a place that the tests can find again to damage it.
//
//	0x0000 r--  headers, tables
//	0x1000 r-x  code
//	0x2000 rw-  dynamic section, arrays, data, thread-local image
type testFile struct {
	b    []byte
	at   map[string]int // file offset of each piece
	syms []string       // names, by symbol index
}

type testSymbol struct {
	name    string
	info    byte
	other   byte
	shndx   uint16
	value   uint64
	size    uint64
	version uint16
}

var testSymbols = []testSymbol{
	{},
	{name: "needed_fn", info: BindGlobal<<4 | SymFunc, version: 3},
	{name: "weak_fn", info: BindWeak << 4, version: 1},
	// From here on defined; the GNU table wants them sorted by bucket.
	{name: "alpha", info: BindGlobal<<4 | SymFunc, shndx: 5, value: 0x1000, size: 32, version: 1},
	{name: "beta", info: BindGlobal<<4 | SymObject, shndx: 6, value: 0x2400, size: 8, version: 2},
	{name: "beta", info: BindGlobal<<4 | SymObject, shndx: 6, value: 0x2408, size: 8, version: 0x8004},
	{name: "tls_var", info: BindGlobal<<4 | SymTLS, shndx: 7, value: 0, size: 4, version: 1},
	{name: "hidden", info: BindGlobal<<4 | SymObject, other: VisHidden, shndx: 6, value: 0x2410, size: 8, version: 1},
	{name: "gamma", info: BindWeak<<4 | SymFunc, shndx: 5, value: 0x1020, size: 32, version: 1},
}

const testFirstDefined = 3

func newTestFile() *testFile {
	t := &testFile{at: map[string]int{}}
	put := func(name string, align int, b []byte) int {
		for len(t.b)%align != 0 {
			t.b = append(t.b, 0)
		}
		t.at[name] = len(t.b)
		t.b = append(t.b, b...)
		return t.at[name]
	}
	enc := func(v ...any) []byte {
		var w bytes.Buffer
		for _, x := range v {
			if err := binary.Write(&w, binary.LittleEndian, x); err != nil {
				panic(err)
			}
		}
		return w.Bytes()
	}
	// Strings.
	str := []byte{0}
	off := map[string]uint32{"": 0}
	s := func(name string) uint32 {
		if o, ok := off[name]; ok {
			return o
		}
		o := uint32(len(str))
		off[name] = o
		str = append(append(str, name...), 0)
		return o
	}
	put("ehdr", 1, make([]byte, elfHeaderSize))
	const phnum = 9
	put("phdr", 8, make([]byte, phnum*phdrSize))
	put("interp", 1, []byte("/lib/ld-halite.so.1\x00"))
	put("note", 4, enc(uint32(7), uint32(8), uint32(noteHaliteType), []byte("halite\x00\x00"), uint32(noteHaliteABI), uint32(0)))

	var symtab []byte
	for _, y := range testSymbols {
		symtab = append(symtab, enc(s(y.name), y.info, y.other, y.shndx, y.value, y.size)...)
		t.syms = append(t.syms, y.name)
	}
	put("symtab", 8, symtab)

	var versym []byte
	for _, y := range testSymbols {
		versym = append(versym, enc(y.version)...)
	}
	put("versym", 2, versym)
	put("verneed", 4, enc(
		uint16(1), uint16(1), s("libdep.so"), uint32(16), uint32(0),
		sysvHashOf("DEP_1"), uint16(0), uint16(3), s("DEP_1"), uint32(0)))
	put("verdef", 4, enc(
		uint16(1), uint16(1), uint16(1), uint16(1), sysvHashOf("libtest.so"), uint32(20), uint32(28), s("libtest.so"), uint32(0),
		uint16(1), uint16(0), uint16(2), uint16(1), sysvHashOf("T_2"), uint32(20), uint32(28), s("T_2"), uint32(0),
		uint16(1), uint16(0), uint16(4), uint16(1), sysvHashOf("T_1"), uint32(20), uint32(0), s("T_1"), uint32(0)))

	// One bucket holds all, so that any order of the symbols will do.
	n := len(testSymbols)
	bloom := uint64(0)
	var chain []byte
	for i := testFirstDefined; i < n; i++ {
		h := HashOf(testSymbols[i].name).GNU
		bloom |= 1<<(h%64) | 1<<(h>>5%64)
		h &^= 1
		if i == n-1 {
			h |= 1
		}
		chain = append(chain, enc(h)...)
	}
	put("gnuhash", 8, append(enc(uint32(1), uint32(testFirstDefined), uint32(1), uint32(5), bloom, uint32(testFirstDefined)), chain...))

	const nbucket = 3
	buckets, chains := make([]uint32, nbucket), make([]uint32, n)
	for i := n - 1; i >= 1; i-- {
		h := sysvHashOf(testSymbols[i].name) % nbucket
		chains[i] = buckets[h]
		buckets[h] = uint32(i)
	}
	put("hash", 4, enc(uint32(nbucket), uint32(n), buckets, chains))

	put("rela", 8, enc(
		uint64(0x2400), uint64(8), int64(0x1000), // RELATIVE
		uint64(0x2408), uint64(3)<<32|1, int64(4))) // 64 against alpha
	put("jmprel", 8, enc(uint64(0x2418), uint64(1)<<32|7, int64(0)))
	put("relr", 8, enc(uint64(0x2420), uint64(1|1<<1|1<<3)))
	soname, needed, runpath := s("libtest.so"), s("libdep.so"), s("$ORIGIN/../lib")
	put("strtab", 1, str)
	if len(t.b) > 0x1000 {
		panic("tables too large")
	}
	t.b = append(t.b, make([]byte, 0x1000-len(t.b))...)

	put("text", 4096, bytes.Repeat([]byte{hlt}, 64))
	t.b = append(t.b, make([]byte, 0x2000-len(t.b))...)

	a := func(name string) uint64 { return uint64(t.at[name]) }
	dyn := []uint64{
		dtNeeded, uint64(needed),
		dtSoName, uint64(soname),
		dtRunPath, uint64(runpath),
		dtStrTab, a("strtab"), dtStrSz, uint64(len(str)),
		dtSymTab, a("symtab"), dtSymEnt, symbolSize,
		dtHash, a("hash"), dtGNUHash, a("gnuhash"),
		dtVerSym, a("versym"),
		dtVerNeed, a("verneed"), dtVerNeedNum, 1,
		dtVerDef, a("verdef"), dtVerDefNum, 3,
		dtRela, a("rela"), dtRelaSz, 48, dtRelaEnt, relaSize,
		dtJmpRel, a("jmprel"), dtPltRelSz, 24, dtPltRel, dtRela,
		dtRelr, a("relr"), dtRelrSz, 16, dtRelrEnt, 8,
		dtInit, 0x1000, dtFini, 0x1020,
		dtInitArray, 0x2420, dtInitArraySz, 16,
		dtFiniArray, 0x2428, dtFiniArraySz, 8,
		dtFlags, DFBindNow, dtFlags1, DF1Now,
		dtDebug, 0,
		dtNull, 0,
	}
	put("dynamic", 4096, enc(dyn))
	for i := 0; i < len(dyn); i += 2 {
		t.at[fmt.Sprintf("dt%#x", dyn[i])] = t.at["dynamic"] + i*8
	}
	dynLen := len(dyn) * 8
	if dynLen > 0x400 {
		panic("dynamic section too large")
	}
	t.b = append(t.b, make([]byte, 0x2500-len(t.b))...)
	put("tls", 16, []byte("\x2a\x00\x00\x00thread"))
	fileEnd := uint64(len(t.b))

	copy(t.b[t.at["ehdr"]:], enc([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), uint16(3), uint16(62), uint32(1),
		uint64(0x1000), a("phdr"), uint64(0), uint32(0), uint16(64), uint16(56), uint16(phnum), uint16(0), uint16(0), uint16(0)))
	ph := [][8]uint64{ // type, flags, off, vaddr, filesz, memsz, align
		{ptLoad, 4, 0, 0, a("strtab") + uint64(len(str)), a("strtab") + uint64(len(str)), 4096},
		{ptLoad, 5, 0x1000, 0x1000, 64, 64, 4096},
		{ptLoad, 6, 0x2000, 0x2000, fileEnd - 0x2000, 0x3000, 4096},
		{ptDynamic, 6, 0x2000, 0x2000, uint64(dynLen), uint64(dynLen), 8},
		{ptInterp, 4, a("interp"), a("interp"), 20, 20, 1},
		{ptTLS, 4, a("tls"), a("tls"), 10, 32, 16},
		{ptRelro, 4, 0x2000, 0x2000, 0x1000, 0x1000, 1},
		{ptNote, 4, a("note"), a("note"), 28, 28, 4},
		{ptGNUStack, 6, 0, 0, 0, 0, 0},
	}
	for i, p := range ph {
		at := t.at["phdr"] + i*phdrSize
		t.at[fmt.Sprintf("ph%d", i)] = at
		copy(t.b[at:], enc(uint32(p[0]), uint32(p[1]), p[2], p[3], p[3], p[4], p[5], p[6]))
	}
	return t
}

// Offsets of the fields of a program header.
const (
	phType   = 0
	phFlags  = 4
	phOff    = 8
	phAddr   = 16
	phFileSz = 32
	phMemSz  = 40
	phAlign  = 48
)

func (t *testFile) u16(name string, off int, v uint16) { le.PutUint16(t.b[t.at[name]+off:], v) }
func (t *testFile) u32(name string, off int, v uint32) { le.PutUint32(t.b[t.at[name]+off:], v) }
func (t *testFile) u64(name string, off int, v uint64) { le.PutUint64(t.b[t.at[name]+off:], v) }

// dyn changes the value of a dynamic tag.
func (t *testFile) dyn(tag int, v uint64) { t.u64(fmt.Sprintf("dt%#x", tag), 8, v) }

// retag replaces a dynamic tag.
func (t *testFile) retag(tag int, with uint64) { t.u64(fmt.Sprintf("dt%#x", tag), 0, with) }

func (t *testFile) read() (*File, error) {
	return ReadELF(bytes.NewReader(t.b), int64(len(t.b)), "test.so")
}

// grow puts bytes behind the file, on a page of the writable segment, and returns their
// address, which is their offset too.
func (t *testFile) grow(b []byte) uint64 {
	at := (len(t.b) + 0xfff) &^ 0xfff
	t.b = append(append(t.b, make([]byte, at-len(t.b))...), b...)
	t.u64("ph2", phFileSz, uint64(len(t.b)-0x2000))
	t.u64("ph2", phMemSz, max(0x3000, uint64(len(t.b)-0x2000)))
	return uint64(at)
}

// longString moves the string table and puts a string of n bytes at its end, whose offset
// it returns.
func (t *testFile) longString(n int) uint64 {
	old := bytes.Clone(t.b[t.at["strtab"] : t.at["strtab"]+t.strLen()])
	long := append(bytes.Repeat([]byte{'x'}, n), 0)
	t.dyn(dtStrTab, t.grow(append(bytes.Clone(old), long...)))
	t.dyn(dtStrSz, uint64(len(old)+len(long)))
	return uint64(len(old))
}

// longChain makes a symbol table with n definitions in one bucket of a hash table.
func (t *testFile) longChain(n int, table int) {
	b := make([]byte, (n+1)*symbolSize)
	for i := 1; i <= n; i++ {
		b[i*symbolSize+4] = BindGlobal<<4 | SymObject
	}
	hash := uint64(len(b))
	word := func(v uint32) { b = le.AppendUint32(b, v) }
	if table == dtGNUHash {
		for _, v := range []uint32{1, 1, 1, 5, ^uint32(0), ^uint32(0), 1} {
			word(v)
		}
		for i := range n {
			word(uint32(i+1) / uint32(n)) // the last one ends the chain
		}
	} else {
		for _, v := range []uint32{1, uint32(n + 1), 1, 0} {
			word(v)
		}
		for i := 1; i <= n; i++ {
			word(uint32((i + 1) % (n + 1)))
		}
	}
	at := t.grow(b)
	t.dyn(dtSymTab, at)
	t.dyn(table, at+hash)
	other := dtHash
	if table == dtHash {
		other = dtGNUHash
	}
	t.retag(other, 0x70000000)
}

// manyVersions makes a version table with more entries than there are indices.
func (t *testFile) manyVersions(table int) {
	var b []byte
	half := func(v uint16) { b = le.AppendUint16(b, v) }
	word := func(v uint32) { b = le.AppendUint32(b, v) }
	if table == dtVerDef {
		for i := range MaxVersions + 1 {
			half(1)
			half(0)
			half(uint16(i))
			half(1)
			word(0)
			word(20)
			word(28)
			word(1)
			word(0)
		}
		t.dyn(dtVerDefNum, MaxVersions+1)
	} else {
		half(1)
		half(MaxVersions)
		word(1)
		word(16)
		word(0)
		for i := range MaxVersions {
			word(0)
			half(0)
			half(uint16(i))
			word(1)
			word(16)
		}
		t.retag(dtVerDef, 0x70000000)
	}
	t.dyn(table, t.grow(b))
}
