package loader

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestReadGoodFile(t *testing.T) {
	f, err := newTestFile().read()
	if err != nil {
		t.Fatal(err)
	}
	d := f.Dynamic
	if len(f.Segments) != 3 || f.Entry != 0x1000 || f.Interp != "/lib/ld-halite.so.1" || f.HaliteABI != 1 {
		t.Errorf("read %+v", f)
	}
	if f.PhdrAddr != 64 || f.TLS == nil || f.TLS.MemSize != 32 || f.TLS.Align != 16 || f.Relro != (Range{0x2000, 0x1000}) {
		t.Errorf("phdr %#x, TLS %+v, relro %+v", f.PhdrAddr, f.TLS, f.Relro)
	}
	if d.SoName != "libtest.so" || d.RunPath != "$ORIGIN/../lib" || len(d.Needed) != 1 || d.Needed[0] != "libdep.so" {
		t.Errorf("names %q %q %q", d.SoName, d.RunPath, d.Needed)
	}
	if d.Rela.Len() != 2 || d.JmpRel.Len() != 1 || d.Symbols() != len(testSymbols) {
		t.Errorf("%d + %d relocations, %d symbols", d.Rela.Len(), d.JmpRel.Len(), d.Symbols())
	}
	if r := d.Rela.At(1); r != (Rela{Offset: 0x2408, Type: 1, Symbol: 3, Addend: 4}) {
		t.Errorf("relocation %+v", r)
	}
	var relr []uint64
	d.EachRelr(func(a uint64) bool { relr = append(relr, a); return true })
	if want := []uint64{0x2420, 0x2428, 0x2438}; len(relr) != 3 || relr[0] != want[0] || relr[1] != want[1] || relr[2] != want[2] {
		t.Errorf("RELR %#x", relr)
	}
	if d.Init != 0x1000 || d.Fini != 0x1020 || d.InitArray != (Range{0x2420, 16}) || d.FiniArray != (Range{0x2428, 8}) {
		t.Errorf("functions %+v", d)
	}
	if v := d.RequiredVersion(1); v == nil || v.Name != "DEP_1" || v.File != "libdep.so" {
		t.Errorf("version of symbol 1: %+v", v)
	}
	if len(d.Verdef) != 2 || !d.DefinesVersion("T_1") || d.DefinesVersion("T_3") {
		t.Errorf("versions %q", d.Verdef)
	}
}

// TestDamaged is the table of corruptions: what is changed, and what the reader
// says to it.
//
// Attack: images that overlap or lie.
func TestDamaged(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*testFile)
		want string
	}{
		{"empty", func(f *testFile) { f.b = nil }, "header: L-EHDR-MAGIC: 0 bytes are too few"},
		{"63 bytes", func(f *testFile) { f.b = f.b[:63] }, "L-EHDR-MAGIC: 63 bytes are too few"},
		{"magic", func(f *testFile) { f.b[1] = 'X' }, "L-EHDR-MAGIC: not an ELF file"},
		{"script", func(f *testFile) { copy(f.b, "#!/bin/sh") }, "not an ELF file: this is a script"},
		{"archive", func(f *testFile) { copy(f.b, "!<arch>\n") }, "this is an archive of objects"},
		{"class 32", func(f *testFile) { f.b[4] = 1 }, "L-EHDR-CLASS: a 32-bit (ILP32) file"},
		{"i386", func(f *testFile) { f.b[4] = 1; f.u16("ehdr", 18, 3) }, "L-EHDR-CLASS: a 32-bit x86 file"},
		{"class 9", func(f *testFile) { f.b[4] = 9 }, "class 9 is neither"},
		{"big-endian", func(f *testFile) { f.b[5] = 2 }, "not little-endian"},
		{"version", func(f *testFile) { f.b[6] = 2 }, "ELF version is not 1"},
		{"machine", func(f *testFile) { f.u16("ehdr", 18, 183) }, "L-EHDR-MACH: machine 183, want 62"},
		{"NaCl", func(f *testFile) { f.b[7] = 123 }, "L-EHDR-OSABI: a file of the classic NaCl ABI"},
		{"OS ABI", func(f *testFile) { f.b[7] = 9 }, "L-EHDR-OSABI: OS ABI 9"},
		{"object", func(f *testFile) { f.u16("ehdr", 16, 1) }, "L-EHDR-TYPE: an object file"},
		{"core", func(f *testFile) { f.u16("ehdr", 16, 4) }, "L-EHDR-TYPE: file type 4"},
		{"ehsize", func(f *testFile) { f.u16("ehdr", 52, 65) }, "e_ehsize is 65"},
		{"phentsize", func(f *testFile) { f.u16("ehdr", 54, 32) }, "L-PHDR: e_phentsize is 32"},
		{"no phdrs", func(f *testFile) { f.u16("ehdr", 56, 0) }, "no program headers"},
		{"129 phdrs", func(f *testFile) { f.u16("ehdr", 56, 129) }, "129 program headers, at most 128"},
		{"phoff far", func(f *testFile) { f.u64("ehdr", 32, 1<<63) }, "L-READ: bytes 0x8000000000000000"},
		{"phoff wraps", func(f *testFile) { f.u64("ehdr", 32, ^uint64(7)) }, "L-READ"},
		{"phoff odd", func(f *testFile) { f.u64("ehdr", 32, 65) }, "odd offset 0x41"},
		{"entry outside", func(f *testFile) { f.u64("ehdr", 24, 0x2000) }, "L-EHDR-ENTRY: entry point 0x2000 lies in no executable segment"},
		{"entry far", func(f *testFile) { f.u64("ehdr", 24, 1<<32|0x1000) }, "L-EHDR-ENTRY"},

		{"W+X", func(f *testFile) { f.u32("ph2", phFlags, 7) }, "segment 2: L-SEG-WX: writable and executable at once"},
		{"flags", func(f *testFile) { f.u32("ph2", phFlags, 0x16) }, "unknown access flags 0x16"},
		{"filesz > memsz", func(f *testFile) { f.u64("ph2", phMemSz, 1) }, "segment 2: L-SEG-RANGE: 0x50a bytes in the file but 0x1 in memory"},
		{"beyond file", func(f *testFile) { f.u64("ph2", phOff, 0x3000) }, "L-SEG-RANGE: file bytes"},
		{"offset wraps", func(f *testFile) { f.u64("ph2", phOff, ^uint64(0xfff)) }, "L-SEG-RANGE"},
		{"filesz huge", func(f *testFile) { f.u64("ph2", phFileSz, 1<<63); f.u64("ph2", phMemSz, 1<<63) }, "L-SEG-RANGE"},
		{"memsz huge", func(f *testFile) { f.u64("ph2", phMemSz, ^uint64(0)) }, "outside the sandbox"},
		{"address high", func(f *testFile) { f.u64("ph2", phAddr, 0xffff0000) }, "outside the sandbox"},
		{"address 2^32", func(f *testFile) { f.u64("ph2", phAddr, 1<<32) }, "outside the sandbox"},
		{"end wraps", func(f *testFile) { f.u64("ph2", phAddr, ^uint64(0xfff)) }, "outside the sandbox"},
		{"program in trampolines", func(f *testFile) { f.u16("ehdr", 16, 2) }, "segment 0: L-SEG-RANGE: address 0x0 is below 0x20000"},
		{"alignment 3", func(f *testFile) { f.u64("ph2", phAlign, 3) }, "L-SEG-ALIGN: alignment 0x3 is not a power of two"},
		{"alignment 1<<40", func(f *testFile) { f.u64("ph2", phAlign, 1<<40) }, "alignment 0x10000000000, at most"},
		{"not congruent", func(f *testFile) { f.u64("ph2", phAddr, 0x2008) }, "L-SEG-ALIGN: offset 0x2000 and address 0x2008 disagree"},
		{"descending", func(f *testFile) { f.u64("ph1", phAddr, 0x6000) }, "segment 2: L-SEG-ORDER: address 0x2000 is below segment 1"},
		{"overlap", func(f *testFile) { f.u64("ph1", phAddr, 0x2000) }, "segment 2: L-SEG-ORDER: overlaps segment 1"},
		{"data over text", func(f *testFile) { f.u64("ph2", phAddr, 0x1000) }, "overlaps segment 1"},
		{"shared page", func(f *testFile) {
			f.u64("ph1", phAddr, 0x400)
			f.u64("ph1", phAlign, 1)
			f.u64("ph0", phFileSz, 0x300)
			f.u64("ph0", phMemSz, 0x300)
		},
			"segment 1: L-SEG-ORDER: shares the page at 0x0 with segment 0"},
		{"code unaligned", func(f *testFile) { f.u64("ph1", phAddr, 0x1010); f.u64("ph1", phAlign, 16) }, "L-SEG-TEXT: code begins at 0x1010"},
		{"code with bss", func(f *testFile) { f.u64("ph1", phMemSz, 65) }, "L-SEG-TEXT: code of 0x41 bytes with 0x40 in the file"},
		{"no segments", func(f *testFile) { f.u32("ph0", 0, 0); f.u32("ph1", 0, 0); f.u32("ph2", 0, 0) }, "no loadable segment"},
		{"65535 phdrs", func(f *testFile) { f.u16("ehdr", 56, 0xffff) }, "65535 program headers, at most 128"},
		{"segment behind the sandbox", func(f *testFile) { f.u64("ph2", phAddr, 1<<32-0x1000) }, "segment 2: L-SEG-RANGE: addresses 0xfffff000"},
		{"negative hole", func(f *testFile) { f.u64("ph1", phAddr, 0x5000); f.u64("ph2", phAddr, 0x1000) }, "segment 2: L-SEG-ORDER: address 0x1000 is below segment 1 at 0x5000"},
		{"same segment twice", func(f *testFile) { copy(f.b[f.at["ph8"]:], f.b[f.at["ph2"]:f.at["ph2"]+phdrSize]) }, "segment 8: L-SEG-ORDER: overlaps segment 2"},
		{"two interpreters", func(f *testFile) { f.u32("ph8", 0, ptInterp) }, "L-PHDR-DUP: a second PT_INTERP"},
		{"two RELRO", func(f *testFile) { f.u32("ph8", 0, ptRelro) }, "L-PHDR-DUP: a second PT_GNU_RELRO"},
		{"two dynamic", func(f *testFile) { f.u32("ph8", 0, ptDynamic) }, "L-PHDR-DUP: a second PT_DYNAMIC"},
		{"two TLS", func(f *testFile) { f.u32("ph8", 0, ptTLS) }, "a second PT_TLS"},
		{"shlib", func(f *testFile) { f.u32("ph8", 0, ptShlib) }, "PT_SHLIB"},
		{"interp empty", func(f *testFile) { f.u64("ph4", phFileSz, 1) }, "L-INTERP: an interpreter path of 1 bytes"},
		{"interp far", func(f *testFile) { f.u64("ph4", phOff, ^uint64(0)) }, "segment 4: L-READ"},
		{"interp unterminated", func(f *testFile) { f.u64("ph4", phFileSz, 19) }, "L-INTERP: the interpreter path is not one terminated"},
		{"interp long", func(f *testFile) { f.u64("ph4", phFileSz, 1<<40) }, "L-INTERP: an interpreter path of"},
		{"interp inner NUL", func(f *testFile) { f.b[f.at["interp"]+3] = 0 }, "L-INTERP"},
		{"interp without dynamic", func(f *testFile) { f.u32("ph3", 0, 0) }, "an interpreter but no dynamic section"},
		{"TLS alignment", func(f *testFile) { f.u64("ph5", phAlign, 48) }, "L-TLS: alignment 0x30"},
		{"TLS alignment large", func(f *testFile) { f.u64("ph5", phAlign, 1<<20) }, "L-TLS: alignment 0x100000"},
		{"TLS alignment absurd", func(f *testFile) { f.u64("ph5", phAlign, 1<<63) }, "L-TLS: alignment 0x8000000000000000"},
		{"TLS far", func(f *testFile) { f.u64("ph5", phAddr, 1<<40) }, "L-TLS: address 0x10000000000 lies outside the sandbox"},
		{"TLS image wraps", func(f *testFile) {
			f.u64("ph5", phAddr, 0x2fff)
			f.u64("ph5", phFileSz, 1<<25)
			f.u64("ph5", phMemSz, 1<<25)
		}, "L-TLS: the initial image"},
		{"TLS outside", func(f *testFile) { f.u64("ph5", phAddr, 0x9000) }, "L-TLS: the initial image"},
		{"TLS in text", func(f *testFile) { f.u64("ph5", phAddr, 0x1000) }, "L-TLS: the initial image"},
		{"TLS huge", func(f *testFile) { f.u64("ph5", phMemSz, 1<<40) }, "L-TLS: 1099511627776 bytes for each thread"},
		{"TLS filesz", func(f *testFile) { f.u64("ph5", phFileSz, 33) }, "L-TLS: 0x21 bytes in the file"},
		{"relro in text", func(f *testFile) { f.u64("ph6", phAddr, 0x1000) }, "L-RELRO"},
		{"relro too long", func(f *testFile) { f.u64("ph6", phMemSz, 0x3001) }, "L-RELRO"},
		{"relro wraps", func(f *testFile) { f.u64("ph6", phMemSz, ^uint64(0)) }, "L-RELRO"},
		{"notes of a terabyte", func(f *testFile) { f.u64("ph7", phFileSz, 1<<40) }, "L-NOTE: 1099511627776 bytes of notes"},
		{"note cut off", func(f *testFile) { f.u32("note", 4, 9) }, "L-NOTE: a note of 7+9 bytes in 28"},
		{"note huge", func(f *testFile) { f.u32("note", 0, ^uint32(0)) }, "L-NOTE"},
		{"note ABI 2", func(f *testFile) { f.u32("note", 20, 2) }, "L-ABI: built for version 2 of the halite ABI"},
		{"note short", func(f *testFile) { f.u32("note", 4, 4) }, "L-NOTE: the halite note has 4 bytes"},

		{"dynamic outside", func(f *testFile) { f.u64("ph3", phAddr, 0x4000) }, "dynamic section: L-DYN-RANGE: 0x4000"},
		{"dynamic in text", func(f *testFile) { f.u64("ph3", phAddr, 0x1000); f.u64("ph3", phFileSz, 32) }, "lies in executable segment 1"},
		{"dynamic huge", func(f *testFile) { f.u64("ph3", phFileSz, 1<<30) }, "L-DYN: 1073741824 bytes"},
		{"dynamic in bss", func(f *testFile) { f.u64("ph3", phAddr, 0x3000) }, "dynamic section: L-DYN-RANGE: 0x3000"},
		{"dynamic wraps", func(f *testFile) { f.u64("ph3", phAddr, ^uint64(0)) }, "dynamic section: L-DYN-RANGE"},
		{"dynamic unterminated", func(f *testFile) { f.u64("ph3", phFileSz, 16) }, "no DT_NULL"},
		{"text relocations", func(f *testFile) { f.retag(dtDebug, dtTextRel) }, "L-DYN-TEXTREL: DT_TEXTREL"},
		{"text relocation flag", func(f *testFile) { f.dyn(dtFlags, DFTextRel) }, "L-DYN-TEXTREL: DF_TEXTREL"},
		{"REL", func(f *testFile) { f.retag(dtDebug, dtRel) }, "L-DYN-REL: tag 0x11"},
		{"Android RELA", func(f *testFile) { f.retag(dtDebug, dtAndroidRela) }, "L-DYN-REL: tag 0x60000011"},
		{"tag twice", func(f *testFile) { f.retag(dtDebug, dtStrTab) }, "tag 0x5 occurs twice"},
		{"no strtab", func(f *testFile) { f.retag(dtStrTab, 0x70000000) }, "L-DYN-STR: names but no string table"},
		{"strtab outside", func(f *testFile) { f.dyn(dtStrTab, 0x5000) }, "L-DYN-RANGE: the string table"},
		{"strtab wraps", func(f *testFile) { f.dyn(dtStrSz, ^uint64(0)) }, "L-DYN-RANGE: the string table"},
		{"strtab unterminated", func(f *testFile) { f.dyn(dtStrSz, 9) }, "L-DYN-STR: the string table is not terminated"},
		{"strtab empty", func(f *testFile) { f.dyn(dtStrSz, 0) }, "L-DYN-STR: the string table is not terminated"},
		{"needed outside", func(f *testFile) { f.dyn(dtNeeded, 1<<40) }, "DT_NEEDED: string offset 0x10000000000 is beyond"},
		{"needed empty", func(f *testFile) { f.dyn(dtNeeded, 0) }, "DT_NEEDED is empty"},
		{"needed long", func(f *testFile) { f.dyn(dtNeeded, f.longString(MaxFileName+1)) }, "L-DYN-STR: DT_NEEDED: the string at offset 0x65 has more than 4096 bytes"},
		{"soname long", func(f *testFile) { f.dyn(dtSoName, f.longString(MaxFileName+1)) }, "L-DYN-STR: DT_SONAME: the string at offset"},
		{"runpath long", func(f *testFile) { f.dyn(dtRunPath, f.longString(MaxSearchPath+1)) }, "L-DYN-STR: DT_RUNPATH: the string at offset"},
		{"soname outside", func(f *testFile) { f.dyn(dtSoName, 0xffff) }, "DT_SONAME: string offset"},
		{"symtab outside", func(f *testFile) { f.dyn(dtSymTab, 0x10000) }, "L-DYN-RANGE: the symbol table"},
		{"symtab odd", func(f *testFile) { f.dyn(dtSymTab, uint64(f.at["symtab"]+4)) }, "odd address"},
		{"syment", func(f *testFile) { f.dyn(dtSymEnt, 16) }, "DT_SYMENT is 16"},
		{"relaent", func(f *testFile) { f.dyn(dtRelaEnt, 16) }, "DT_RELAENT is 16"},
		{"jmprel size odd", func(f *testFile) { f.dyn(dtPltRelSz, 25) }, "DT_JMPREL: 0x19 bytes are no multiple of 24"},
		{"relr size odd", func(f *testFile) { f.dyn(dtRelrSz, 15) }, "DT_RELR: 0xf bytes are no multiple of 8"},
		{"relr outside", func(f *testFile) { f.dyn(dtRelr, 1<<40) }, "L-DYN-RANGE: DT_RELR"},
		{"relasz odd", func(f *testFile) { f.dyn(dtRelaSz, 49) }, "DT_RELA: 0x31 bytes are no multiple"},
		{"relasz huge", func(f *testFile) { f.dyn(dtRelaSz, 24<<40) }, "DT_RELA: "},
		{"rela in bss", func(f *testFile) { f.dyn(dtRela, 0x4000) }, "L-DYN-RANGE: DT_RELA"},
		{"pltrel REL", func(f *testFile) { f.dyn(dtPltRel, dtRel) }, "DT_PLTREL is 17"},
		{"jmprel outside", func(f *testFile) { f.dyn(dtJmpRel, ^uint64(0)) }, "L-DYN-RANGE: DT_JMPREL"},
		{"relr entry size", func(f *testFile) { f.dyn(dtRelrEnt, 4) }, "DT_RELRENT is 4"},
		{"relr bitmap first", func(f *testFile) { f.u64("relr", 0, 3) }, "L-RELR: begins with a bitmap"},
		{"relr backwards", func(f *testFile) { f.u64("relr", 8, 0x2420) }, "L-RELR: entry 1: address 0x2420 is below 0x2428"},
		{"relr far", func(f *testFile) { f.u64("relr", 8, 1<<40) }, "outside the sandbox"},
		{"init in data", func(f *testFile) { f.dyn(dtInit, 0x2000) }, "DT_INIT 0x2000 lies in no executable segment"},
		{"fini far", func(f *testFile) { f.dyn(dtFini, 1<<50) }, "DT_FINI 0x4000000000000 lies in no"},
		{"init array odd", func(f *testFile) { f.dyn(dtInitArray, 0x2421) }, "DT_INIT_ARRAY: 0x2421+0x10 is not made of"},
		{"init array in text", func(f *testFile) { f.dyn(dtInitArray, 0x1000) }, "DT_INIT_ARRAY: 0x1000+0x10 is not inside one data"},
		{"fini array long", func(f *testFile) { f.dyn(dtFiniArraySz, 1<<40) }, "DT_FINI_ARRAY"},

		{"init array wraps", func(f *testFile) { f.dyn(dtInitArray, ^uint64(7)) }, "DT_INIT_ARRAY: 0xfffffffffffffff8+0x10 is not inside"},

		{"no hash", func(f *testFile) { f.retag(dtHash, 0x70000000); f.retag(dtGNUHash, 0x70000001) }, "L-HASH: a symbol table, but neither"},
		{"gnu outside", func(f *testFile) { f.dyn(dtGNUHash, 1<<33) }, "DT_GNU_HASH: L-DYN-RANGE"},
		{"gnu no buckets", func(f *testFile) { f.u32("gnuhash", 0, 0) }, "DT_GNU_HASH: L-HASH: no buckets"},
		{"gnu buckets", func(f *testFile) { f.u32("gnuhash", 0, ^uint32(0)) }, "buckets do not fit"},
		{"gnu bloom 0", func(f *testFile) { f.u32("gnuhash", 8, 0) }, "0 words of filter"},
		{"gnu bloom 3", func(f *testFile) { f.u32("gnuhash", 8, 3) }, "3 words of filter"},
		{"gnu bloom huge", func(f *testFile) { f.u32("gnuhash", 8, 1<<31) }, "do not fit"},
		{"gnu shift", func(f *testFile) { f.u32("gnuhash", 12, 32) }, "filter shift 32"},
		{"gnu bucket low", func(f *testFile) { f.u32("gnuhash", 24, 2) }, "bucket 0 leads to symbol 2, the first is 3"},
		{"gnu bucket high", func(f *testFile) { f.u32("gnuhash", 24, 1<<30) }, "does not end inside the symbol table"},
		{"gnu no end", func(f *testFile) { at := f.at["gnuhash"] + 28 + 5*4; f.b[at] &^= 1 }, "does not end inside the symbol table"},
		{"gnu shared chain", func(f *testFile) {
			// Two buckets, the second inside the first's chain.
			f.u32("gnuhash", 0, 2)
			f.u32("gnuhash", 28, 4)
			for i := range 6 {
				f.u32("gnuhash", 32+4*i, uint32(i/5))
			}
		}, "shares symbol 4 with another"},
		{"gnu chain long", func(f *testFile) { f.longChain(MaxHashChain+1, dtGNUHash) }, "DT_GNU_HASH: L-HASH: more than 4096 symbols in bucket 0"},
		{"gnu first", func(f *testFile) { f.u32("gnuhash", 4, ^uint32(0)); f.u32("gnuhash", 24, ^uint32(0)) }, "does not end inside the symbol table"},
		{"gnu table truncated", func(f *testFile) { f.dyn(dtGNUHash, uint64(f.at["strtab"]+f.strLen()-12)) }, "DT_GNU_HASH: L-DYN-RANGE"},
		{"sysv chain long", func(f *testFile) { f.longChain(MaxHashChain+1, dtHash) }, "DT_HASH: L-HASH: more than 4096 symbols in bucket 0"},
		{"sysv table truncated", func(f *testFile) { f.dyn(dtHash, uint64(f.at["strtab"]+f.strLen()-4)) }, "DT_HASH: L-DYN-RANGE"},
		{"sysv outside", func(f *testFile) { f.dyn(dtHash, 1<<33) }, "DT_HASH: L-DYN-RANGE"},
		{"sysv no buckets", func(f *testFile) { f.u32("hash", 0, 0) }, "DT_HASH: L-HASH: no buckets"},
		{"sysv sizes", func(f *testFile) { f.u32("hash", 0, ^uint32(0)); f.u32("hash", 4, ^uint32(0)) }, "do not fit the segment"},
		{"sysv nchain", func(f *testFile) { f.u32("hash", 4, 40) }, "DT_HASH"},
		{"sysv loop", func(f *testFile) {
			for i := range testSymbols {
				f.u32("hash", 8+12+4*i, uint32(i))
			}
		}, "a second time"},
		{"sysv bucket", func(f *testFile) { f.u32("hash", 8, 1000) }, "leads to symbol 1000 of"},

		{"versym odd", func(f *testFile) { f.dyn(dtVerSym, uint64(f.at["versym"]+1)) }, "DT_VERSYM stands at odd"},
		{"versym short", func(f *testFile) { f.dyn(dtVerSym, uint64(f.at["strtab"]+f.strLen()-2)&^1) }, "DT_VERSYM has room for"},
		{"verdef version", func(f *testFile) { f.u16("verdef", 0, 2) }, "DT_VERDEF: entry 0 has version 2"},
		{"verdef loop", func(f *testFile) { f.u32("verdef", 16, 0) }, "entry 0 leads 0x0 bytes on"},
		{"verdef wraps", func(f *testFile) { f.u32("verdef", 16, ^uint32(27)) }, "entry 0 leads"},
		{"verdef aux", func(f *testFile) { f.u32("verdef", 12, 1<<31) }, "the name of entry 0 is beyond"},
		{"verdef count", func(f *testFile) { f.dyn(dtVerDefNum, 1<<40); f.u32("verdef", 28+28+16, 28) }, "L-VERSION"},
		{"verdef name", func(f *testFile) { f.u32("verdef", 28+20, 1<<20) }, "L-DYN-STR"},
		{"verdef index twice", func(f *testFile) { f.u16("verdef", 28+4, 4) }, "version index 4 is used twice"},
		{"verdef nameless", func(f *testFile) { f.u16("verdef", 6, 0) }, "DT_VERDEF: entry 0 has no name"},
		{"verdef cut off", func(f *testFile) { f.dyn(dtVerDef, uint64(f.at["strtab"]+f.strLen()-19)) }, "DT_VERDEF: entry 0 of 3 is cut off"},
		{"verdef outside", func(f *testFile) { f.dyn(dtVerDef, ^uint64(0)) }, "L-DYN-RANGE: DT_VERDEF"},
		{"verdef name long", func(f *testFile) { f.u32("verdef", 28+20, uint32(f.longString(MaxVersionName+1))) }, "L-DYN-STR: DT_VERDEF: the string at offset"},
		{"verdef bomb", func(f *testFile) { f.manyVersions(dtVerDef) }, "L-VERSION: DT_VERDEF: more than 32768 versions"},
		{"verneed version", func(f *testFile) { f.u16("verneed", 0, 7) }, "DT_VERNEED: entry 0 has version 7"},
		{"verneed cut off", func(f *testFile) { f.dyn(dtVerNeed, uint64(f.at["strtab"]+f.strLen()-15)) }, "DT_VERNEED: entry 0 of 1 is cut off"},
		{"verneed outside", func(f *testFile) { f.dyn(dtVerNeed, 0x9000) }, "L-DYN-RANGE: DT_VERNEED"},
		{"verneed name long", func(f *testFile) { f.u32("verneed", 16+8, uint32(f.longString(MaxVersionName+1))) }, "L-DYN-STR: DT_VERNEED: the string at offset"},
		{"verneed file long", func(f *testFile) { f.u32("verneed", 4, uint32(f.longString(MaxFileName+1))) }, "L-DYN-STR: DT_VERNEED: the string at offset"},
		{"verneed bomb", func(f *testFile) { f.manyVersions(dtVerNeed) }, "L-VERSION: DT_VERNEED: more than 32768 versions"},
		{"verneed loop", func(f *testFile) { f.dyn(dtVerNeedNum, 3) }, "DT_VERNEED: entry 0 leads 0x0 bytes on"},
		{"verneed aux", func(f *testFile) { f.u32("verneed", 8, ^uint32(0)) }, "version 0 of entry 0 is beyond"},
		{"verneed aux loop", func(f *testFile) { f.u16("verneed", 2, 3) }, "leads 0x0 bytes on, which is no version"},
		{"verneed file", func(f *testFile) { f.u32("verneed", 4, 1<<30) }, "DT_VERNEED: string offset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newTestFile()
			c.do(f)
			_, err := f.read()
			if err == nil {
				t.Fatal("accepted")
			}
			var e *FormatError
			if !errors.As(err, &e) || e.File != "test.so" || e.Rule == "" {
				t.Errorf("error %T %v", err, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}

func (t *testFile) strLen() int { return int(le.Uint64(t.b[t.at["dt0xa"]+8:])) }

// TestDependencyBomb: the number of needed libraries is limited.
func TestDependencyBomb(t *testing.T) {
	tf := newTestFile()
	// A dynamic section of its own, at the end of the file.
	var d []byte
	for range MaxNeeded + 1 {
		var e [dynSize]byte
		e[0], e[8] = dtNeeded, 1
		d = append(d, e[:]...)
	}
	d = append(d, make([]byte, dynSize)...)
	at := tf.grow(d)
	tf.u64("ph3", phOff, at)
	tf.u64("ph3", phAddr, at)
	tf.u64("ph3", phFileSz, uint64(len(d)))
	if _, err := tf.read(); err == nil || !strings.Contains(err.Error(), "more than 1024 DT_NEEDED") {
		t.Errorf("error %v", err)
	}
}

// TestTruncated reads every prefix of a file: an error, never a panic.
func TestTruncated(t *testing.T) {
	whole := newTestFile()
	for n := range len(whole.b) {
		if _, err := ReadELF(bytes.NewReader(whole.b[:n]), int64(n), "x"); err == nil {
			t.Fatalf("%d bytes of %d were accepted", n, len(whole.b))
		}
		// A size that lies, and a file that ends early.
		if _, err := ReadELF(bytes.NewReader(whole.b[:n]), int64(len(whole.b)), "x"); err == nil {
			t.Fatalf("%d bytes of %d were accepted with a wrong size", n, len(whole.b))
		}
	}
}

// sparse is a file of which only the beginning is not zero.
type sparse struct {
	begin []byte
	size  int64
	most  int // the largest piece that was asked for
}

func (s *sparse) ReadAt(b []byte, at int64) (int, error) {
	s.most = max(s.most, len(b))
	clear(b)
	if at < int64(len(s.begin)) {
		copy(b, s.begin[at:])
	}
	return len(b), nil
}

// TestHuge: files that really have the bytes that they claim to have are refused before
// those are read, when they are too many.
//
// Attack: images that overlap or lie.
func TestHuge(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*testFile)
		want string
	}{
		{"image", func(f *testFile) {
			f.u64("ph2", phFileSz, MaxImageBytes)
			f.u64("ph2", phMemSz, MaxImageBytes)
		}, "segment 2: L-SEG-SIZE: loadable segments of more than 536870912 bytes"},
		{"code", func(f *testFile) {
			f.u64("ph1", phFileSz, MaxTextBytes+1)
			f.u64("ph1", phMemSz, MaxTextBytes+1)
		}, "segment 1: L-SEG-SIZE: 268435457 bytes of code"},
		{"notes", func(f *testFile) { f.u64("ph7", phFileSz, MaxNoteBytes+1) }, "L-NOTE: 1048577 bytes of notes"},
		{"dynamic section", func(f *testFile) {
			f.u64("ph2", phFileSz, 2<<20)
			f.u64("ph2", phMemSz, 2<<20)
			f.u64("ph3", phFileSz, MaxDynamic*dynSize+1)
		}, "dynamic section: L-DYN: 1048577 bytes, at most 1048576 are read"},
	} {
		f := newTestFile()
		c.do(f)
		s := &sparse{begin: f.b, size: 4 << 30}
		_, err := ReadELF(s, s.size, "test.so")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
		if s.most > 4<<20 {
			t.Errorf("%s: %d bytes were read in one piece before it was refused", c.name, s.most)
		}
	}
}

// TestHostileValues puts extreme numbers into every field of the headers and tables: as
// counts, offsets, sizes and indices. A refusal names the file, the place and the rule; what
// is accepted can be used. Neither takes more memory than a small multiple of the file.
//
// Attack: images that overlap or lie.
func TestHostileValues(t *testing.T) {
	good := newTestFile()
	var words []int
	for at := 0; at < good.at["text"]; at += 4 {
		if at < good.at["strtab"]+good.strLen() {
			words = append(words, at)
		}
	}
	for at := good.at["dynamic"]; at < good.at["dynamic"]+0x300; at += 4 {
		words = append(words, at)
	}
	refused, accepted := 0, 0
	try := func(b []byte, at int) {
		f, err := ReadELF(bytes.NewReader(b), int64(len(b)), "test.so")
		if err == nil {
			accepted++
			touch(f)
			return
		}
		refused++
		var e *FormatError
		if !errors.As(err, &e) || e.File != "test.so" || e.Where == "" || e.Rule == "" || e.Detail == "" {
			t.Errorf("word at %#x: %v", at, err)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("word at %#x: a message of %d bytes", at, len(err.Error()))
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, at := range words {
		for _, v := range []uint64{
			0, 1, 2, 7, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff, 0x100000000,
			0x2000, uint64(len(good.b)), 1 << 62, 1 << 63, ^uint64(7), ^uint64(0),
		} {
			b := bytes.Clone(good.b)
			le.PutUint32(b[at:], uint32(v))
			try(b, at)
			if at%8 == 0 {
				b := bytes.Clone(good.b)
				le.PutUint64(b[at:], v)
				try(b, at)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(refused+accepted); each > 256<<10 {
		t.Errorf("%d bytes were allocated for a file of %d", each, len(good.b))
	}
	if refused < 1000 || accepted < 1000 {
		t.Errorf("%d refused, %d accepted: the test has lost its file", refused, accepted)
	}
	t.Logf("%d refused, %d accepted", refused, accepted)
}

type failing struct{ io.ReaderAt }

func (failing) ReadAt([]byte, int64) (int, error) { return 0, errors.New("disk on fire") }

func TestReadError(t *testing.T) {
	_, err := ReadELF(failing{}, 1000, "x.so")
	if err == nil || !strings.Contains(err.Error(), "x.so: header: L-READ: reading 64 bytes at 0x0: disk on fire") {
		t.Errorf("error %v", err)
	}
}

func TestLookup(t *testing.T) {
	for _, table := range []string{"gnu", "sysv"} {
		f := newTestFile()
		if table == "sysv" {
			f.retag(dtGNUHash, 0x70000000)
		}
		file, err := f.read()
		if err != nil {
			t.Fatal(err)
		}
		v := func(name string, hidden bool) *Version {
			return &Version{Name: name, Hash: sysvHashOf(name), Hidden: hidden}
		}
		for _, c := range []struct {
			name  string
			want  Want
			index uint32 // 0: not found
		}{
			{"alpha", Want{}, 3},
			{"alpha", Want{Version: v("ANY", false)}, 3}, // an unversioned definition
			{"alpha", Want{Version: v("ANY", true)}, 0},
			{"beta", Want{}, 4}, // index 2: the first version
			{"beta", Want{Newest: true}, 4},
			{"beta", Want{Version: v("T_1", false)}, 5}, // hidden, but asked for
			{"beta", Want{Version: v("T_2", false)}, 4},
			{"beta", Want{Version: v("T_3", false)}, 0},
			{"tls_var", Want{}, 6},
			{"hidden", Want{}, 0},
			{"gamma", Want{}, 8},
			{"needed_fn", Want{}, 0},
			{"alph", Want{}, 0},
			{"alphaa", Want{}, 0},
			{"", Want{}, 0},
		} {
			h, work := HashOf(c.name), int64(1000)
			i, ok := file.Dynamic.Lookup(&h, c.want, &work)
			s, _ := file.Dynamic.Symbol(i)
			if ok != (c.index != 0) || ok && i != c.index {
				t.Errorf("%s: %s %+v: %d %v, want %d", table, c.name, c.want, i, ok, c.index)
			}
			if ok && file.Dynamic.Name(s) != c.name {
				t.Errorf("%s: %s: found %s", table, c.name, file.Dynamic.Name(s))
			}
		}
	}
}

// TestHashes compares with the examples of the specifications.
func TestHashes(t *testing.T) {
	if h := HashOf("printf"); h.GNU != 0x156b2bb8 || h.SysV() != 0x077905a6 {
		t.Errorf("printf: %#x %#x", h.GNU, h.SysV())
	}
	if h := HashOf(""); h.GNU != 5381 || h.SysV() != 0 {
		t.Errorf("empty: %#x %#x", h.GNU, h.SysV())
	}
}

// TestSystemLibraries reads what the machine has: real linkers' output.
func TestSystemLibraries(t *testing.T) {
	n := 0
	for _, pattern := range []string{"/lib/x86_64-linux-gnu/*.so*", "/usr/bin/*"} {
		files, _ := filepath.Glob(pattern)
		for i, name := range files {
			if i > 300 {
				break
			}
			r, err := os.Open(name)
			if err != nil {
				continue
			}
			st, err := r.Stat()
			if err == nil && st.Mode().IsRegular() && st.Size() < 8<<20 {
				f, err := ReadELF(r, st.Size(), name)
				var e *FormatError
				switch {
				case err == nil:
					n++
					touch(f)
				case !errors.As(err, &e):
					t.Errorf("%v", err)
				case e.Rule != RuleMagic && e.Rule != RuleClass && e.Rule != RuleType:
					t.Errorf("%v", err)
				}
			}
			r.Close()
		}
	}
	t.Logf("%d files read", n)
	if n == 0 {
		t.Skip("no shared libraries on this machine")
	}
}

// touch calls every accessor.
func touch(f *File) {
	f.Extent()
	f.Align()
	f.Bytes(uint64(f.Entry), 16)
	f.symbolNear(f.Entry)
	d := f.Dynamic
	if d == nil {
		return
	}
	work := int64(1 << 20)
	for i := range d.Symbols() {
		s, _ := d.Symbol(uint32(i))
		name := d.Name(s)
		v := d.RequiredVersion(uint32(i))
		d.SymbolVersion(uint32(i))
		h := HashOf(name)
		d.Lookup(&h, Want{Version: v}, &work)
		d.Lookup(&h, Want{Newest: true, Address: true}, &work)
		if work < 0 {
			break
		}
	}
	d.Symbol(^uint32(0))
	d.RequiredVersion(^uint32(0))
	d.String(^uint64(0))
	for _, t := range []RelaTable{d.Rela, d.JmpRel} {
		for i := range t.Len() {
			t.At(i)
		}
	}
	n := 0
	d.EachRelr(func(uint64) bool { n++; return n < 1<<20 })
	d.Nearest(f.Entry, SymNone)
}

// FuzzTables puts any bytes in the place of one table of a sound file: the hash tables,
// the versions, the relocations, the strings. What a look-up finds has the name that was
// asked for, and is a definition.
//
// Attack: relocations and tables that lead astray.
func FuzzTables(f *testing.F) {
	tables := []string{"gnuhash", "hash", "versym", "verneed", "verdef", "symtab", "strtab", "rela", "jmprel", "relr", "dynamic", "note"}
	good := newTestFile()
	for i, name := range tables {
		at := good.at[name]
		f.Add(byte(i), bytes.Clone(good.b[at:at+16]))
		f.Add(byte(i), []byte{0xff, 0xff, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		tf := newTestFile()
		at := tf.at[tables[int(which)%len(tables)]]
		copy(tf.b[at:], b)
		file, err := tf.read()
		if err != nil {
			return
		}
		touch(file)
		d := file.Dynamic
		if d == nil {
			return
		}
		work := int64(1 << 20)
		for _, name := range []string{"alpha", "beta", "gamma", "hidden", "needed_fn", ""} {
			for _, want := range []Want{{}, {Newest: true}, {Version: NewVersion("T_1")}, {Version: &Version{Name: "T_2", Hash: sysvHashOf("T_2")}}} {
				h := HashOf(name)
				i, ok := d.Lookup(&h, want, &work)
				s, _ := d.Symbol(i)
				if !ok {
					continue
				}
				if again, in := d.Symbol(i); !in || again != s {
					t.Errorf("%s: symbol %d is not that of the table", name, i)
				}
				if d.Name(s) != name || s.Section == ShnUndef || s.Bind() == BindLocal || s.Visibility() == VisHidden {
					t.Errorf("%s: found %q: %+v", name, d.Name(s), s)
				}
			}
		}
	})
}

func FuzzReadELF(f *testing.F) {
	f.Add(newTestFile().b)
	if gcc, err := exec.LookPath("gcc"); err == nil {
		dir := f.TempDir()
		src, out := filepath.Join(dir, "a.c"), filepath.Join(dir, "a.so")
		os.WriteFile(src, []byte("extern int x; __thread int t = 3; int *p = &x; int g(void); int f(void) { return g() + *p + t; }\n"), 0o666)
		if exec.Command(gcc, "-shared", "-fPIC", "-nostdlib", "-o", out, src).Run() == nil {
			if b, err := os.ReadFile(out); err == nil && len(b) < 64<<10 {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if file, err := ReadELF(bytes.NewReader(b), int64(len(b)), "fuzz"); err == nil {
			touch(file)
		}
		Verify("fuzz", bytes.NewReader(b), int64(len(b)), VerifyOptions{})
	})
}
