package loader

// Numbers of the ELF format that this package and package ld share. Names are
// those of the specification, without the prefix where a Go type carries it.

// Type is e_type.
type Type uint16

const (
	TypeObject  Type = 1 // ET_REL
	TypeProgram Type = 2 // ET_EXEC
	TypeShared  Type = 3 // ET_DYN: shared object or position-independent program
)

func (t Type) String() string {
	switch t {
	case TypeObject:
		return "object"
	case TypeProgram:
		return "program"
	case TypeShared:
		return "shared object"
	}
	return "file"
}

// Flags are the access rights of a segment.
type Flags uint8

const (
	FlagExec  Flags = 1
	FlagWrite Flags = 2
	FlagRead  Flags = 4
)

func (f Flags) String() string {
	b := []byte("---")
	if f&FlagRead != 0 {
		b[0] = 'r'
	}
	if f&FlagWrite != 0 {
		b[1] = 'w'
	}
	if f&FlagExec != 0 {
		b[2] = 'x'
	}
	return string(b)
}

const (
	elfHeaderSize     = 64
	phdrSize          = 56
	shdrSize          = 64
	dynSize           = 16
	symbolSize        = 24
	relaSize          = 24
	machine386        = 3
	machineX86_64     = 62
	osabiNaCl         = 123
	noteHaliteType    = 1
	noteHaliteABI     = 1
	noteBuildIDType   = 3
	sectionProgbits   = 1
	sectionSymtab     = 2
	sectionStrtab     = 3
	sectionNobits     = 8
	sectionFlagAlloc  = 2
	sectionFlagExec   = 4
	sectionFlagPacked = 0x800 // SHF_COMPRESSED
)

const (
	ptLoad     = 1
	ptDynamic  = 2
	ptInterp   = 3
	ptNote     = 4
	ptShlib    = 5
	ptPhdr     = 6
	ptTLS      = 7
	ptEHFrame  = 0x6474e550
	ptGNUStack = 0x6474e551
	ptRelro    = 0x6474e552
)

const (
	dtNull         = 0
	dtNeeded       = 1
	dtPltRelSz     = 2
	dtHash         = 4
	dtStrTab       = 5
	dtSymTab       = 6
	dtRela         = 7
	dtRelaSz       = 8
	dtRelaEnt      = 9
	dtStrSz        = 10
	dtSymEnt       = 11
	dtInit         = 12
	dtFini         = 13
	dtSoName       = 14
	dtRPath        = 15
	dtSymbolic     = 16
	dtRel          = 17
	dtRelSz        = 18
	dtPltRel       = 20
	dtDebug        = 21
	dtTextRel      = 22
	dtJmpRel       = 23
	dtInitArray    = 25
	dtFiniArray    = 26
	dtInitArraySz  = 27
	dtFiniArraySz  = 28
	dtRunPath      = 29
	dtFlags        = 30
	dtPreinitArr   = 32
	dtPreinitArrSz = 33
	dtRelrSz       = 35
	dtRelr         = 36
	dtRelrEnt      = 37
	dtAndroidRel   = 0x6000000f
	dtAndroidRela  = 0x60000011
	dtAndroidRelr  = 0x6fffe000
	dtGNUHash      = 0x6ffffef5
	dtVerSym       = 0x6ffffff0
	dtFlags1       = 0x6ffffffb
	dtVerDef       = 0x6ffffffc
	dtVerDefNum    = 0x6ffffffd
	dtVerNeed      = 0x6ffffffe
	dtVerNeedNum   = 0x6fffffff
)

// Bits of DT_FLAGS.
const (
	DFSymbolic = 2
	DFTextRel  = 4
	DFBindNow  = 8
)

// Bits of DT_FLAGS_1.
const (
	DF1Now      = 1
	DF1Global   = 2
	DF1NoDelete = 8
	DF1NoOpen   = 0x40
	DF1NoDefLib = 0x800
	DF1PIE      = 0x08000000
)

// Symbol binding, type, visibility and special sections.
const (
	BindLocal  = 0
	BindGlobal = 1
	BindWeak   = 2
	BindUnique = 10 // STB_GNU_UNIQUE

	SymNone   = 0
	SymObject = 1
	SymFunc   = 2
	SymCommon = 5
	SymTLS    = 6
	SymIFunc  = 10 // STT_GNU_IFUNC

	VisDefault   = 0
	VisInternal  = 1
	VisHidden    = 2
	VisProtected = 3

	ShnUndef = 0
	ShnAbs   = 0xfff1
)

// Limits. A file beyond one of them is refused with L-SEG-SIZE, L-HASH or
// L-VERSION.
const (
	MaxProgramHeaders = 128
	MaxImageBytes     = 512 << 20 // bytes of all loadable segments in the file
	MaxTextBytes      = 256 << 20 // of one executable segment
	MaxSegmentAlign   = 1 << 21
	MaxTLSAlign       = 4096
	MaxTLSBytes       = 64 << 20
	MaxHashChain      = 4096  // symbols in one hash chain
	MaxVersions       = 32768 // version indices have 15 bits
	MaxDynamic        = 65536 // entries in the dynamic section
	MaxNeeded         = 1024
	MaxNoteBytes      = 1 << 20
	MaxInterp         = 4096
	MaxName           = 1 << 16 // bytes of a symbol's name
	MaxFileName       = 4096    // of the name of a library
	MaxSearchPath     = 1 << 15 // of DT_RPATH or DT_RUNPATH
	MaxVersionName    = 1024
)

// PageSize is the granule of every mapping.
const PageSize = 4096

// Where an image may stand: above the trampolines, below the top guard.
const (
	imageStart = 0x20000
	imageEnd   = 1<<32 - 0x10000
)
