package loader

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

var le = binary.LittleEndian

// File is an ELF file that passed the reader. It is immutable.
type File struct {
	Name  string
	Type  Type
	Entry uint32 // as the file counts addresses; 0 when there is none

	// Segments are the loadable segments (PT_LOAD with a size), ascending, no
	// two on one page.
	Segments []Segment

	// Interp is the contents of PT_INTERP. Its presence makes a program dynamic;
	// the path is never opened.
	Interp string

	Dynamic *Dynamic // nil when there is no dynamic section
	TLS     *TLS     // nil when there is no thread-local storage

	// Relro is the range that becomes read-only once it is relocated.
	Relro Range

	EHFrameHeader Range // PT_GNU_EH_FRAME

	// PhdrAddr is the address at which the program headers are loaded, 0 when no
	// segment holds them. Phdrs is the table as it stands in the file.
	PhdrAddr uint32
	PhdrNum  int
	Phdrs    []byte

	// HaliteABI is the version in the note .note.halite, 0 without that note.
	HaliteABI uint32
	BuildID   []byte

	serial uint64    // see Serial
	shared bool      // ReadShared may return it again
	once   sync.Once // for identify
	code   []pages   // of the executable segments, in order
	print  fingerprint
}

// Serial is a number that no other file of this process has.
func (f *File) Serial() uint64 { return f.serial }

// Shared tells whether ReadShared may return the file again.
func (f *File) Shared() bool { return f.shared }

// serials counts the files that were read.
var serials atomic.Uint64

// pages is the code of one segment with its padding. Nobody changes the bytes: they
// are the file's.
type pages struct {
	bytes []byte
	sum   [sha256.Size]byte
}

// fingerprint identifies the layout of a file and its code.
type fingerprint [sha256.Size]byte

// identify hashes the code and the layout.
func (f *File) identify() {
	f.once.Do(func() {
		h := sha256.New()
		for i := range f.Segments {
			s := &f.Segments[i]
			var b [16]byte
			le.PutUint32(b[:], uint32(s.Flags))
			le.PutUint32(b[4:], s.Addr)
			le.PutUint32(b[8:], s.MemSize)
			h.Write(b[:])
			if s.Flags&FlagExec != 0 {
				t := pages{bytes: s.pages, sum: hashText(s.pages)}
				f.code = append(f.code, t)
				h.Write(t.sum[:])
			}
		}
		f.print = fingerprint(h.Sum(nil))
	})
}

// Segment is one PT_LOAD.
type Segment struct {
	Index    int    // number of its program header
	Offset   uint64 // in the file
	Addr     uint32
	FileSize uint32
	MemSize  uint32
	Align    uint32 // at least 1
	Flags    Flags

	data  []byte // FileSize bytes, the reader's own copy
	pages []byte // of code: the whole pages around data, as they will be mapped
}

// End is the address behind the segment. It fits 33 bits.
func (s *Segment) End() uint64 { return uint64(s.Addr) + uint64(s.MemSize) }

// Range is a piece of the address space of a file.
type Range struct {
	Addr uint32
	Size uint32
}

// End is the address behind the range.
func (r Range) End() uint64 { return uint64(r.Addr) + uint64(r.Size) }

// TLS is PT_TLS: the initial image of a module's thread-local storage.
type TLS struct {
	Addr     uint32 // of the image
	FileSize uint32
	MemSize  uint32
	Align    uint32 // a power of two
}

// SizeHint is the most that ReadELF believes of a size it has not verified by
// reading: buffers above it grow with what really arrives.
const sizeHint = 16 << 20

type reader struct {
	r    io.ReaderAt
	size uint64
	name string
}

func (f *reader) fail(rule Rule, where, format string, args ...any) error {
	return &FormatError{File: f.name, Where: where, Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

// read returns n bytes at off.
//
// Preconditions: n is limited by the caller.
func (f *reader) read(off, n uint64, where string) ([]byte, error) {
	if off > f.size || n > f.size-off {
		return nil, f.fail(RuleRead, where, "bytes %#x..%#x lie beyond the end of the file (%#x bytes)", off, off+n, f.size)
	}
	if n <= sizeHint {
		p := make([]byte, n)
		return p, f.readInto(p, off, where)
	}
	var p []byte
	for done := uint64(0); done < n; {
		step := min(n-done, max(sizeHint, done))
		p = append(p, make([]byte, step)...)
		if err := readFull(f.r, p[done:done+step], int64(off+done)); err != nil {
			return nil, f.fail(RuleRead, where, "reading %d bytes at %#x: %v", n, off, err)
		}
		done += step
	}
	return p, nil
}

// readInto fills p from off.
func (f *reader) readInto(p []byte, off uint64, where string) error {
	if err := readFull(f.r, p, int64(off)); err != nil {
		return f.fail(RuleRead, where, "reading %d bytes at %#x: %v", len(p), off, err)
	}
	return nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// header is the checked ELF header.
type header struct {
	typ       Type
	entry     uint64
	phoff     uint64
	phnum     int
	shoff     uint64
	shnum     int
	shstrndx  int
	shentsize int
}

func (f *reader) header() (*header, error) {
	const where = "header"
	if f.size < elfHeaderSize {
		return nil, f.fail(RuleMagic, where, "%d bytes are too few for an ELF file", f.size)
	}
	b, err := f.read(0, elfHeaderSize, where)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(b[:4], []byte("\x7fELF")) {
		what := ""
		switch {
		case bytes.HasPrefix(b, []byte("#!")):
			what = ": this is a script"
		case bytes.HasPrefix(b, []byte("!<arch>\n")):
			what = ": this is an archive of objects"
		}
		return nil, f.fail(RuleMagic, where, "not an ELF file%s", what)
	}
	machine := le.Uint16(b[18:])
	switch b[4] {
	case 2:
	case 1:
		if machine == machine386 {
			return nil, f.fail(RuleClass, where, "a 32-bit x86 file; this version runs 64-bit x86-64 files only")
		}
		return nil, f.fail(RuleClass, where, "a 32-bit (ILP32) file, as of the classic NaCl ABI; here a 64-bit (LP64) one is wanted (halite run runs classic programs, halite verify --abi=classic checks them)")
	default:
		return nil, f.fail(RuleClass, where, "class %d is neither 32-bit nor 64-bit", b[4])
	}
	if b[5] != 1 {
		return nil, f.fail(RuleClass, where, "not little-endian")
	}
	if b[6] != 1 || le.Uint32(b[20:]) != 1 {
		return nil, f.fail(RuleClass, where, "ELF version is not 1")
	}
	if machine != machineX86_64 {
		return nil, f.fail(RuleMachine, where, "machine %d, want %d (x86-64)", machine, machineX86_64)
	}
	switch b[7] {
	case 0, 3:
	case osabiNaCl:
		return nil, f.fail(RuleOSABI, where, "a file of the classic NaCl ABI; here one of the halite ABI is wanted (halite run runs classic programs, halite verify --abi=classic checks them)")
	default:
		return nil, f.fail(RuleOSABI, where, "OS ABI %d, want 0 (System V) or 3 (GNU)", b[7])
	}
	h := &header{
		typ:       Type(le.Uint16(b[16:])),
		entry:     le.Uint64(b[24:]),
		phoff:     le.Uint64(b[32:]),
		shoff:     le.Uint64(b[40:]),
		phnum:     int(le.Uint16(b[56:])),
		shentsize: int(le.Uint16(b[58:])),
		shnum:     int(le.Uint16(b[60:])),
		shstrndx:  int(le.Uint16(b[62:])),
	}
	if n := le.Uint16(b[52:]); n != elfHeaderSize {
		return nil, f.fail(RuleClass, where, "e_ehsize is %d, want %d", n, elfHeaderSize)
	}
	if n := le.Uint16(b[54:]); h.phnum != 0 && n != phdrSize {
		return nil, f.fail(RulePhdr, where, "e_phentsize is %d, want %d", n, phdrSize)
	}
	return h, nil
}

type phdr struct {
	typ, flags                                uint32
	off, vaddr, paddr, filesz, memsz, alignto uint64
}

func parsePhdr(b []byte) phdr {
	return phdr{
		typ: le.Uint32(b), flags: le.Uint32(b[4:]),
		off: le.Uint64(b[8:]), vaddr: le.Uint64(b[16:]), paddr: le.Uint64(b[24:]),
		filesz: le.Uint64(b[32:]), memsz: le.Uint64(b[40:]), alignto: le.Uint64(b[48:]),
	}
}

// ReadELF reads a program or a shared object of size bytes. It reads the
// headers and the contents of all loadable segments, once. name is used in
// errors.
func ReadELF(r io.ReaderAt, size int64, name string) (*File, error) {
	in := &reader{r: r, size: uint64(max(size, 0)), name: name}
	h, err := in.header()
	if err != nil {
		return nil, err
	}
	switch h.typ {
	case TypeProgram, TypeShared:
	case TypeObject:
		return nil, in.fail(RuleType, "header", "an object file: link it first")
	default:
		return nil, in.fail(RuleType, "header", "file type %d is neither a program (2) nor a shared object (3)", h.typ)
	}
	return in.file(h)
}

func (in *reader) file(h *header) (*File, error) {
	if h.phnum == 0 {
		return nil, in.fail(RulePhdr, "header", "no program headers")
	}
	if h.phnum > MaxProgramHeaders {
		return nil, in.fail(RulePhdr, "header", "%d program headers, at most %d are read", h.phnum, MaxProgramHeaders)
	}
	if h.phoff%8 != 0 {
		return nil, in.fail(RulePhdr, "header", "program headers at odd offset %#x", h.phoff)
	}
	table, err := in.read(h.phoff, uint64(h.phnum)*phdrSize, "program headers")
	if err != nil {
		return nil, err
	}
	f := &File{Name: in.name, serial: serials.Add(1), Type: h.typ, PhdrNum: h.phnum, Phdrs: table}
	var (
		seen    [4]bool // PT_DYNAMIC, PT_INTERP, PT_TLS, PT_GNU_RELRO
		dynamic *phdr
		special []phdr
		total   uint64
	)
	once := func(slot int, where, what string) error {
		if seen[slot] {
			return in.fail(RuleDup, where, "a second %s", what)
		}
		seen[slot] = true
		return nil
	}
	for i := range h.phnum {
		p := parsePhdr(table[i*phdrSize:])
		where := fmt.Sprintf("segment %d", i)
		switch p.typ {
		case ptLoad:
			if p.memsz == 0 && p.filesz == 0 {
				continue
			}
			s, err := in.segment(f, i, &p, where)
			if err != nil {
				return nil, err
			}
			if total += p.filesz; total > MaxImageBytes {
				return nil, in.fail(RuleSegSize, where, "loadable segments of more than %d bytes", MaxImageBytes)
			}
			f.Segments = append(f.Segments, *s)
		case ptDynamic:
			if err := once(0, where, "PT_DYNAMIC"); err != nil {
				return nil, err
			}
			dynamic = &p
		case ptInterp:
			if err := once(1, where, "PT_INTERP"); err != nil {
				return nil, err
			}
			if p.filesz < 2 || p.filesz > MaxInterp {
				return nil, in.fail(RuleInterp, where, "an interpreter path of %d bytes", p.filesz)
			}
			b, err := in.read(p.off, p.filesz, where)
			if err != nil {
				return nil, err
			}
			if i := bytes.IndexByte(b, 0); i != len(b)-1 {
				return nil, in.fail(RuleInterp, where, "the interpreter path is not one terminated string")
			}
			f.Interp = string(b[:len(b)-1])
		case ptTLS:
			if err := once(2, where, "PT_TLS"); err != nil {
				return nil, err
			}
			special = append(special, p)
		case ptRelro:
			if err := once(3, where, "PT_GNU_RELRO"); err != nil {
				return nil, err
			}
			special = append(special, p)
		case ptNote, ptEHFrame, ptPhdr:
			special = append(special, p)
		case ptShlib:
			return nil, in.fail(RulePhdr, where, "PT_SHLIB has no meaning")
		}
		// Everything else (PT_NULL, PT_GNU_STACK, PT_GNU_PROPERTY, unknown
		// types) does not change what is loaded. An executable stack can be
		// asked for, but guests never get one.
	}
	if err := in.layout(f); err != nil {
		return nil, err
	}
	if err := in.segments(f); err != nil {
		return nil, err
	}
	if err := in.special(f, special); err != nil {
		return nil, err
	}
	f.PhdrAddr = f.addrOfOffset(h.phoff, uint64(h.phnum)*phdrSize)
	if err := in.entry(f, h.entry); err != nil {
		return nil, err
	}
	if dynamic != nil {
		if f.Dynamic, err = in.dynamic(f, dynamic); err != nil {
			return nil, err
		}
	}
	if f.Interp != "" && f.Dynamic == nil {
		return nil, in.fail(RuleInterp, "program headers", "an interpreter but no dynamic section")
	}
	return f, nil
}

// segments reads their contents. Code is read to where it is checked and copied from.
// What is given up after loading, code and initial data, shares a buffer.
func (in *reader) segments(f *File) error {
	total := uint64(0)
	for i := range f.Segments {
		if s := &f.Segments[i]; s.passing() {
			total += s.room()
		}
	}
	var buf []byte
	if total <= sizeHint {
		buf = largeBuffer(int(total))
	}
	for i := range f.Segments {
		s := &f.Segments[i]
		where := fmt.Sprintf("segment %d", s.Index)
		var err error
		switch n := s.room(); {
		case s.passing() && n <= uint64(len(buf)):
			head := uint64(s.Addr - pageDown(s.Addr))
			room := buf[:n:n]
			buf = buf[n:]
			s.data = room[head:][:s.FileSize:s.FileSize]
			err = in.readInto(s.data, s.Offset, where)
			if s.Flags&FlagExec != 0 {
				s.pages = room
				fillHlt(room[:head])
				fillHlt(room[head+uint64(s.FileSize):])
			}
		default:
			s.data, err = in.read(s.Offset, uint64(s.FileSize), where)
			if err == nil && s.Flags&FlagExec != 0 {
				s.pages, _ = padText(s.data, s.Addr)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// passing tells whether the contents are given up after loading.
func (s *Segment) passing() bool { return s.Flags&(FlagExec|FlagWrite) != 0 }

// room is the length of the whole pages that hold the contents.
func (s *Segment) room() uint64 {
	return pageUp(uint64(s.Addr)+uint64(s.FileSize)) - uint64(pageDown(s.Addr))
}

// segment checks one PT_LOAD on its own.
func (in *reader) segment(f *File, i int, p *phdr, where string) (*Segment, error) {
	if p.flags&^uint32(FlagRead|FlagWrite|FlagExec) != 0 {
		return nil, in.fail(RulePhdr, where, "unknown access flags %#x", p.flags)
	}
	flags := Flags(p.flags)
	if flags&FlagWrite != 0 && flags&FlagExec != 0 {
		return nil, in.fail(RuleSegWX, where, "writable and executable at once")
	}
	if p.filesz > p.memsz {
		return nil, in.fail(RuleSegRange, where, "%#x bytes in the file but %#x in memory", p.filesz, p.memsz)
	}
	if p.off > in.size || p.filesz > in.size-p.off {
		return nil, in.fail(RuleSegRange, where, "file bytes %#x..%#x lie beyond the end of the file (%#x bytes)", p.off, p.off+p.filesz, in.size)
	}
	if p.vaddr >= imageEnd || p.memsz > imageEnd-p.vaddr {
		return nil, in.fail(RuleSegRange, where, "addresses %#x..%#x lie outside the sandbox", p.vaddr, p.vaddr+p.memsz)
	}
	if f.Type == TypeProgram && p.vaddr < imageStart {
		return nil, in.fail(RuleSegRange, where, "address %#x is below %#x, where images begin", p.vaddr, imageStart)
	}
	align := max(p.alignto, 1)
	if align&(align-1) != 0 {
		return nil, in.fail(RuleSegAlign, where, "alignment %#x is not a power of two", align)
	}
	if align > MaxSegmentAlign {
		return nil, in.fail(RuleSegAlign, where, "alignment %#x, at most %#x is possible", align, MaxSegmentAlign)
	}
	if (p.vaddr-p.off)&(align-1) != 0 {
		return nil, in.fail(RuleSegAlign, where, "offset %#x and address %#x disagree modulo %#x", p.off, p.vaddr, align)
	}
	if flags&FlagExec != 0 {
		if p.vaddr%BundleSize != 0 {
			return nil, in.fail(RuleSegText, where, "code begins at %#x, which is no multiple of %d", p.vaddr, BundleSize)
		}
		if p.filesz != p.memsz {
			return nil, in.fail(RuleSegText, where, "code of %#x bytes with %#x in the file: a zero-filled tail cannot be code", p.memsz, p.filesz)
		}
		if p.filesz > MaxTextBytes {
			return nil, in.fail(RuleSegSize, where, "%d bytes of code, at most %d are possible", p.filesz, MaxTextBytes)
		}
	}
	return &Segment{
		Index: i, Offset: p.off, Addr: uint32(p.vaddr), FileSize: uint32(p.filesz),
		MemSize: uint32(p.memsz), Align: uint32(align), Flags: flags,
	}, nil
}

// layout checks the segments against each other.
func (in *reader) layout(f *File) error {
	if len(f.Segments) == 0 {
		return in.fail(RulePhdr, "program headers", "no loadable segment")
	}
	for i := 1; i < len(f.Segments); i++ {
		a, b := &f.Segments[i-1], &f.Segments[i]
		where := fmt.Sprintf("segment %d", b.Index)
		if b.Addr < a.Addr {
			return in.fail(RuleSegOrder, where, "address %#x is below segment %d at %#x", b.Addr, a.Index, a.Addr)
		}
		if uint64(b.Addr) < a.End() {
			return in.fail(RuleSegOrder, where, "overlaps segment %d (%#x..%#x and %#x..%#x)", a.Index, b.Addr, b.End(), a.Addr, a.End())
		}
		if uint64(pageDown(b.Addr)) < pageUp(a.End()) {
			return in.fail(RuleSegOrder, where, "shares the page at %#x with segment %d: link with page-aligned segments", pageDown(b.Addr), a.Index)
		}
	}
	return nil
}

func (in *reader) entry(f *File, entry uint64) error {
	if entry == 0 && f.Type == TypeShared {
		return nil // a library
	}
	for i := range f.Segments {
		s := &f.Segments[i]
		if s.Flags&FlagExec != 0 && entry >= uint64(s.Addr) && entry < s.End() {
			// Natively linked files have entries anywhere; they are refused for
			// their code, with a better message, unless nothing else is wrong.
			f.Entry = uint32(entry)
			return nil
		}
	}
	return in.fail(RuleEntry, "header", "entry point %#x lies in no executable segment", entry)
}

// special reads what needs the segments' contents.
func (in *reader) special(f *File, list []phdr) error {
	for i := range list {
		p := &list[i]
		switch p.typ {
		case ptTLS:
			if err := in.tls(f, p); err != nil {
				return err
			}
		case ptRelro:
			if p.memsz == 0 {
				continue
			}
			s := f.segmentAt(p.vaddr, 0)
			// Linkers round the end up to a page, beyond the last section.
			if s == nil || s.Flags&FlagWrite == 0 || p.memsz > pageUp(s.End())-p.vaddr {
				return in.fail(RuleRelro, "PT_GNU_RELRO", "%#x..%#x is not inside one writable segment", p.vaddr, p.vaddr+p.memsz)
			}
			f.Relro = Range{uint32(p.vaddr), uint32(p.memsz)}
		case ptEHFrame:
			if s := f.segmentAt(p.vaddr, p.memsz); s != nil {
				f.EHFrameHeader = Range{uint32(p.vaddr), uint32(p.memsz)}
			}
		case ptNote:
			if err := in.notes(f, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *reader) tls(f *File, p *phdr) error {
	const where = "PT_TLS"
	if p.memsz == 0 {
		return nil
	}
	align := max(p.alignto, 1)
	if align&(align-1) != 0 || align > MaxTLSAlign {
		return in.fail(RuleTLS, where, "alignment %#x is no power of two up to %#x", align, MaxTLSAlign)
	}
	if p.filesz > p.memsz {
		return in.fail(RuleTLS, where, "%#x bytes in the file but %#x in memory", p.filesz, p.memsz)
	}
	if p.memsz > MaxTLSBytes {
		return in.fail(RuleTLS, where, "%d bytes for each thread, at most %d are possible", p.memsz, MaxTLSBytes)
	}
	if p.vaddr >= imageEnd {
		return in.fail(RuleTLS, where, "address %#x lies outside the sandbox", p.vaddr)
	}
	if p.filesz != 0 {
		if s := f.segmentAt(p.vaddr, p.filesz); s == nil || s.Flags&FlagExec != 0 {
			return in.fail(RuleTLS, where, "the initial image %#x..%#x is not inside one data segment", p.vaddr, p.vaddr+p.filesz)
		}
	}
	f.TLS = &TLS{Addr: uint32(p.vaddr), FileSize: uint32(p.filesz), MemSize: uint32(p.memsz), Align: uint32(align)}
	return nil
}

func (in *reader) notes(f *File, p *phdr) error {
	const where = "PT_NOTE"
	if p.filesz > MaxNoteBytes {
		return in.fail(RuleNote, where, "%d bytes of notes, at most %d are read", p.filesz, MaxNoteBytes)
	}
	b, err := in.read(p.off, p.filesz, where)
	if err != nil {
		return err
	}
	return in.parseNotes(f, b, p.alignto == 8)
}

func (in *reader) parseNotes(f *File, b []byte, align8 bool) error {
	const where = "PT_NOTE"
	mask := uint64(3)
	if align8 {
		mask = 7
	}
	for len(b) >= 12 {
		nameLen, descLen := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:]))
		typ := le.Uint32(b[8:])
		descAt := (12 + nameLen + mask) &^ mask
		next := (descAt + descLen + mask) &^ mask
		if 12+nameLen > uint64(len(b)) || descAt+descLen > uint64(len(b)) {
			return in.fail(RuleNote, where, "a note of %d+%d bytes in %d", nameLen, descLen, len(b))
		}
		name := strings.TrimRight(string(b[12:12+nameLen]), "\x00")
		desc := b[descAt : descAt+descLen]
		switch {
		case name == "halite" && typ == noteHaliteType:
			if len(desc) < 8 {
				return in.fail(RuleNote, where, "the halite note has %d bytes, want 8", len(desc))
			}
			v := le.Uint32(desc)
			if v != noteHaliteABI {
				return in.fail(RuleAbi, where, "built for version %d of the halite ABI; this halite runs version %d", v, noteHaliteABI)
			}
			f.HaliteABI = v
		case name == "GNU" && typ == noteBuildIDType && len(desc) <= 64:
			f.BuildID = bytes.Clone(desc)
		}
		if next >= uint64(len(b)) {
			break
		}
		b = b[next:]
	}
	return nil
}

// segmentAt returns the segment that holds all of addr..addr+n, or nil.
func (f *File) segmentAt(addr, n uint64) *Segment {
	for i := range f.Segments {
		s := &f.Segments[i]
		if addr >= uint64(s.Addr) && addr < s.End() && n <= s.End()-addr {
			return s
		}
	}
	return nil
}

// addrOfOffset returns the address at which n bytes of the file are loaded,
// 0 when no segment holds them all.
func (f *File) addrOfOffset(off, n uint64) uint32 {
	for i := range f.Segments {
		s := &f.Segments[i]
		if off >= s.Offset && off-s.Offset <= uint64(s.FileSize) && n <= uint64(s.FileSize)-(off-s.Offset) {
			return s.Addr + uint32(off-s.Offset)
		}
	}
	return 0
}

// Bytes returns the file's contents at addr: n bytes that all come from one
// segment's part in the file. The caller must not write them.
func (f *File) Bytes(addr, n uint64) ([]byte, bool) {
	for i := range f.Segments {
		s := &f.Segments[i]
		if addr >= uint64(s.Addr) && addr-uint64(s.Addr) <= uint64(len(s.data)) {
			at := addr - uint64(s.Addr)
			if n > uint64(len(s.data))-at {
				continue
			}
			return s.data[at : at+n : at+n], true
		}
	}
	return nil, false
}

// tail returns everything from addr to the end of that segment's file part.
func (f *File) tail(addr uint64) ([]byte, bool) {
	for i := range f.Segments {
		s := &f.Segments[i]
		if addr >= uint64(s.Addr) && addr-uint64(s.Addr) < uint64(len(s.data)) {
			return s.data[addr-uint64(s.Addr):], true
		}
	}
	return nil, false
}

// ReleaseContents gives up the contents of executable and writable segments,
// which nobody needs once the file is loaded. The dynamic tables stay. A file that
// ReadShared may return again keeps all.
//
// Preconditions: nobody else uses the file, unless it is such a one.
func (f *File) ReleaseContents() {
	if f.shared {
		return
	}
	f.code = nil
	for i := range f.Segments {
		if s := &f.Segments[i]; s.passing() {
			s.data, s.pages = nil, nil
		}
	}
}

// LoadedBytes is how much of the file was read for its segments.
func (f *File) LoadedBytes() (n uint64) {
	for i := range f.Segments {
		n += uint64(f.Segments[i].FileSize)
	}
	return n
}

// Extent is the page-rounded range of addresses that the file occupies.
func (f *File) Extent() (lo uint32, size uint64) {
	lo = pageDown(f.Segments[0].Addr)
	return lo, pageUp(f.Segments[len(f.Segments)-1].End()) - uint64(lo)
}

// Align is the alignment that the file asks of its load bias.
func (f *File) Align() uint32 {
	align := uint32(PageSize)
	for i := range f.Segments {
		align = max(align, f.Segments[i].Align)
	}
	if f.TLS != nil {
		align = max(align, f.TLS.Align)
	}
	return align
}

// Holds tells whether the address is inside a loadable segment, or right behind
// one (symbols such as _end are).
func (f *File) Holds(addr uint64) bool {
	for i := range f.Segments {
		if addr >= uint64(f.Segments[i].Addr) && addr <= f.Segments[i].End() {
			return true
		}
	}
	return false
}

// BundleSize is the unit of code alignment.
const BundleSize = 32

func pageDown(a uint32) uint32 { return a &^ (PageSize - 1) }

func pageUp(a uint64) uint64 { return (a + PageSize - 1) &^ (PageSize - 1) }
