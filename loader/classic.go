package loader

import (
	"bytes"
	"fmt"
	"io"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/validator"
)

// Programs of the classic ABI: static executables as Native Client's toolchains
// made them, of either ELF class. What is checked, and in which order, is what
// sel_ldr did; where it would have loaded something else than the file says, or
// crashed, the file is refused.

// Sizes and places of the classic ABI.
const (
	ClassicPage       = 0x10000             // the page that programs know of
	ClassicTextStart  = cage.TrampolineEnd  // where code begins
	ClassicStackTop   = 1<<32 - ClassicPage // first stack pointer; the last page stays unused
	ClassicStackSize  = 16 << 20            // of the main thread, if nobody says otherwise
	classicMaxEntries = 128                 // program headers
	classicSled       = validator.BundleSize
	classicFlags      = 0x200000 // e_flags: bundles of 32 bytes
)

// LoadCode is the number by which sel_ldr reported why it refused a program.
type LoadCode uint8

// The numbers that still occur.
const (
	CodeRead            LoadCode = 8
	CodeTooManyHeaders  LoadCode = 9
	CodeBadPhentsize    LoadCode = 10
	CodeBadMagic        LoadCode = 11
	CodeBadClass        LoadCode = 12
	CodeBadABI          LoadCode = 14
	CodeNotExec         LoadCode = 15
	CodeBadMachine      LoadCode = 16
	CodeBadVersion      LoadCode = 17
	CodeDataOverStack   LoadCode = 24
	CodeRodataOverData  LoadCode = 25
	CodeDataNotLast     LoadCode = 26
	CodeRodataNotLast   LoadCode = 27
	CodeTextOverRodata  LoadCode = 28
	CodeTextOverData    LoadCode = 29
	CodeRodataAlignment LoadCode = 30
	CodeBadEntry        LoadCode = 50
	CodeOutside         LoadCode = 51
	CodeDuplicate       LoadCode = 52
	CodeBadPlace        LoadCode = 53
	CodeBadSegment      LoadCode = 54
	CodeNoText          LoadCode = 55
	CodeBadSegmentSize  LoadCode = 56
	CodeValidation      LoadCode = 57
	CodeBadEhsize       LoadCode = 60
	CodeHeaderOverflow  LoadCode = 61
	CodeSegmentOverflow LoadCode = 62
	CodeTextTooLarge    LoadCode = 66
)

// A ClassicError is a FormatError with the number that sel_ldr would have given.
type ClassicError struct {
	FormatError
	Code LoadCode
}

func (e *ClassicError) Error() string {
	return fmt.Sprintf("%s (NaCl load error %d)", e.FormatError.Error(), e.Code)
}

// Unwrap gives errors.As the FormatError.
func (e *ClassicError) Unwrap() error { return &e.FormatError }

// ClassicSegment is one loadable part of a classic program.
type ClassicSegment struct {
	Addr     uint32 // where it begins
	FileSize uint32
	MemSize  uint32
	off      uint64 // in the file
	data     []byte // file bytes from the 64 KiB boundary below Addr
}

// End is the offset behind its last byte.
func (s *ClassicSegment) End() uint64 { return uint64(s.Addr) + uint64(s.MemSize) }

// ClassicFile is a program of the classic ABI that has been read and whose headers
// are in order.
type ClassicFile struct {
	Name   string
	Class  int // 32 or 64
	Entry  uint32
	Text   ClassicSegment
	Rodata *ClassicSegment // nil: none
	Data   *ClassicSegment // nil: none

	// DataEnd is where the break begins.
	DataEnd uint32
	// TextEnd is where the padding of the code ends; DynamicEnd is where dynamic code
	// ends that begins there. They are equal where there is no room for any.
	TextEnd, DynamicEnd uint32
}

// IsClassic tells from the first bytes of a file whether it is a 64-bit program of
// Native Client: class ELF32 for x86-64, the OS ABI of NaCl, or its flag for
// bundles of 32 bytes.
func IsClassic(head []byte) bool {
	if len(head) < elfHeaderSize || !bytes.Equal(head[:4], []byte("\x7fELF")) || le.Uint16(head[18:]) != machineX86_64 {
		return false
	}
	switch head[4] {
	case 1:
		return true
	case 2:
		return head[7] == osabiNaCl || le.Uint32(head[48:]) == classicFlags
	}
	return false
}

func (f *reader) refuse(code LoadCode, rule Rule, where, format string, args ...any) error {
	return &ClassicError{FormatError{File: f.name, Where: where, Rule: rule, Detail: fmt.Sprintf(format, args...)}, code}
}

// ReadClassic reads a program of the classic ABI. stack is the size of the main
// stack, which it must leave room for; 0 means ClassicStackSize.
func ReadClassic(r io.ReaderAt, size int64, name string, stack uint32) (*ClassicFile, error) {
	in := &reader{r: r, size: uint64(max(size, 0)), name: name}
	if stack == 0 {
		stack = ClassicStackSize
	}
	f := &ClassicFile{Name: name}
	list, err := in.classicHeader(f)
	if err != nil {
		return nil, err
	}
	end, err := in.classicSegments(f, list)
	if err != nil {
		return nil, err
	}
	if err := in.classicLayout(f, end, stack); err != nil {
		return nil, err
	}
	for _, s := range []*ClassicSegment{&f.Text, f.Rodata, f.Data} {
		if s == nil || s.FileSize == 0 {
			continue
		}
		head := uint64(s.Addr) % ClassicPage
		if s.data, err = in.read(s.off-head, head+uint64(s.FileSize), "contents of a segment"); err != nil {
			return nil, in.refuse(CodeBadSegmentSize, RuleRead, fmt.Sprintf("segment at %#x", s.Addr), "%v", err)
		}
	}
	return f, nil
}

func (in *reader) classicHeader(f *ClassicFile) ([]phdr, error) {
	const where = "header"
	if in.size < elfHeaderSize {
		return nil, in.refuse(CodeRead, RuleMagic, where, "%d bytes are too few for an ELF file", in.size)
	}
	h, err := in.read(0, elfHeaderSize, where)
	if err != nil {
		return nil, in.refuse(CodeRead, RuleRead, where, "%v", err)
	}
	if !bytes.Equal(h[:4], []byte("\x7fELF")) {
		return nil, in.refuse(CodeBadMagic, RuleMagic, where, "not an ELF file")
	}
	shape, ehsize := elfShapes[validator.Classic], uint16(elfHeaderSize)
	switch f.Class = 32 * int(h[4]); h[4] {
	case 1:
		// The original does not look at e_ehsize here.
		shape, ehsize = elfShapes[validator.X86_32], le.Uint16(h[40:])
	case 2:
	default:
		return nil, in.refuse(CodeBadClass, RuleClass, where, "class %d is neither 32-bit nor 64-bit", h[4])
	}
	word := func(at int) uint64 { return shape.word(h[at:]) }
	entry, phoff, shoff := word(24), word(shape.phoff), word(shape.shoff)
	phentsize, phnum := le.Uint16(h[shape.sizes+2:]), int(le.Uint16(h[shape.sizes+4:]))
	switch {
	case entry > 1<<32-1 || phoff > 1<<32-1 || shoff > 1<<32-1:
		return nil, in.refuse(CodeHeaderOverflow, RuleClass, where, "entry point %#x or a table (%#x, %#x) is above 4 GiB", entry, phoff, shoff)
	case le.Uint16(h[shape.sizes:]) != ehsize:
		return nil, in.refuse(CodeBadEhsize, RuleClass, where, "e_ehsize is %d, want %d", le.Uint16(h[shape.sizes:]), ehsize)
	case h[5] != 1 || h[6] != 1:
		return nil, in.refuse(CodeBadABI, RuleClass, where, "not little-endian, or not version 1")
	case Type(le.Uint16(h[16:])) != TypeProgram:
		return nil, in.refuse(CodeNotExec, RuleType, where, "type %d is not that of a static program (%d)", le.Uint16(h[16:]), TypeProgram)
	case le.Uint16(h[18:]) != machineX86_64:
		return nil, in.refuse(CodeBadMachine, RuleMachine, where, "machine %d, want %d (x86-64)", le.Uint16(h[18:]), machineX86_64)
	case le.Uint32(h[20:]) != 1:
		return nil, in.refuse(CodeBadVersion, RuleClass, where, "ELF version %d is not 1", le.Uint32(h[20:]))
	case phnum > classicMaxEntries:
		return nil, in.refuse(CodeTooManyHeaders, RulePhdr, where, "%d program headers, at most %d", phnum, classicMaxEntries)
	case int(phentsize) != shape.phdr:
		return nil, in.refuse(CodeBadPhentsize, RulePhdr, where, "e_phentsize is %d, want %d", phentsize, shape.phdr)
	}
	table, err := in.read(phoff, uint64(phnum*shape.phdr), "program headers")
	if err != nil {
		return nil, in.refuse(CodeRead, RulePhdr, "program headers", "%v", err)
	}
	f.Entry = uint32(entry)
	list := make([]phdr, phnum)
	for i := range list {
		b := table[i*shape.phdr:]
		if h[4] == 2 {
			list[i] = parsePhdr(b)
		} else {
			list[i] = phdr{
				typ: le.Uint32(b), flags: le.Uint32(b[24:]), off: uint64(le.Uint32(b[4:])), vaddr: uint64(le.Uint32(b[8:])),
				filesz: uint64(le.Uint32(b[16:])), memsz: uint64(le.Uint32(b[20:])), alignto: uint64(le.Uint32(b[28:])),
			}
		}
		if p := &list[i]; max(p.off, p.vaddr, p.paddr, p.filesz, p.memsz, p.alignto) > 1<<32-1 {
			return nil, in.refuse(CodeSegmentOverflow, RulePhdr, fmt.Sprintf("segment %d", i), "a number above 32 bits")
		}
	}
	return list, nil
}

// classicRows are the kinds of program headers that may occur, once each.
var classicRows = []struct {
	typ   uint32
	flags Flags
	load  bool // its place is checked
}{
	{ptPhdr, FlagRead, false},
	{ptLoad, FlagRead | FlagExec, true},
	{ptLoad, FlagRead, true},
	{ptLoad, FlagRead | FlagWrite, true},
	{ptTLS, FlagRead, false},
	{ptGNUStack, FlagRead | FlagWrite, true},
	{ptDynamic, FlagRead | FlagWrite, false},
	{ptDynamic, FlagRead, false},
	{ptInterp, FlagRead, false},
	{ptNote, FlagRead, false},
	{ptEHFrame, FlagRead, false},
	{ptRelro, FlagRead, false},
	{0, FlagRead, false},
}

// classicSegments sorts the program headers and returns the end of the last one.
func (in *reader) classicSegments(f *ClassicFile, list []phdr) (end uint64, err error) {
	seen := make([]bool, len(classicRows))
	for i, p := range list {
		if p.memsz == 0 {
			continue
		}
		where := fmt.Sprintf("segment %d", i)
		row := -1
		for j, k := range classicRows {
			if k.typ == p.typ && uint32(k.flags) == p.flags {
				row = j
			}
		}
		switch {
		case row < 0:
			return 0, in.refuse(CodeBadSegment, RulePhdr, where, "type %#x with flags %d does not occur in a static program", p.typ, p.flags)
		case seen[row]:
			return 0, in.refuse(CodeDuplicate, RuleDup, where, "a second one of type %#x with flags %d", p.typ, p.flags)
		}
		seen[row] = true
		if !classicRows[row].load {
			continue
		}
		text := p.typ == ptLoad && Flags(p.flags)&FlagExec != 0
		switch {
		case text && p.vaddr != ClassicTextStart:
			return 0, in.refuse(CodeBadPlace, RuleSegRange, where, "code at %#x, want %#x", p.vaddr, ClassicTextStart)
		case p.vaddr < ClassicTextStart || p.memsz > 1<<32-p.vaddr:
			return 0, in.refuse(CodeOutside, RuleSegRange, where, "%#x bytes at %#x are outside the sandbox", p.memsz, p.vaddr)
		case p.filesz > p.memsz:
			return 0, in.refuse(CodeBadSegmentSize, RuleSegSize, where, "%#x bytes in the file, %#x in memory", p.filesz, p.memsz)
		case p.typ == ptLoad && p.filesz > 0 && (p.off-p.vaddr)%ClassicPage != 0:
			// The original would load such a file shifted.
			return 0, in.refuse(CodeBadSegmentSize, RuleSegAlign, where, "offset %#x and address %#x differ within a page of 64 KiB", p.off, p.vaddr)
		}
		end = max(end, p.vaddr+p.memsz)
		s := ClassicSegment{Addr: uint32(p.vaddr), FileSize: uint32(p.filesz), MemSize: uint32(p.memsz), off: p.off}
		switch {
		case p.typ != ptLoad:
		case text:
			f.Text = s
		case Flags(p.flags)&FlagWrite != 0:
			f.Data = &s
		default:
			f.Rodata = &s
		}
	}
	if f.Text.Addr == 0 {
		return 0, in.refuse(CodeNoText, RuleSegText, "program headers", "no code")
	}
	return end, nil
}

// ClassicRound rounds up to whole pages of the classic ABI.
func ClassicRound(n uint64) uint64 { return (n + ClassicPage - 1) &^ (ClassicPage - 1) }

// classicLayout checks how the segments lie to each other, and where the entry is.
func (in *reader) classicLayout(f *ClassicFile, end uint64, stack uint32) error {
	const where = "layout"
	textEnd := uint64(ClassicTextStart) + uint64(f.Text.FileSize)
	limit := uint64(1) << 32 // of code
	switch {
	case f.Rodata != nil:
		limit = uint64(f.Rodata.Addr)
	case f.Data != nil:
		limit = uint64(f.Data.Addr) &^ (ClassicPage - 1)
	}
	if f.Data == nil {
		if f.Rodata == nil && ClassicRound(end)-end < classicSled {
			end += ClassicPage
		}
		end = ClassicRound(end)
	}
	switch {
	case f.Text.FileSize > MaxTextBytes:
		return in.refuse(CodeTextTooLarge, RuleSegSize, where, "%d bytes of code, at most %d", f.Text.FileSize, MaxTextBytes)
	case f.Entry%BundleSize != 0 || uint64(f.Entry) >= textEnd:
		return in.refuse(CodeBadEntry, RuleEntry, "header", "entry point %#x is no bundle of the code, which ends at %#x", f.Entry, textEnd)
	case f.Data != nil && f.Data.End() != end:
		return in.refuse(CodeDataNotLast, RuleSegOrder, where, "the data end at %#x, another segment at %#x", f.Data.End(), end)
	case f.Data == nil && f.Rodata != nil && ClassicRound(f.Rodata.End()) != end:
		return in.refuse(CodeRodataNotLast, RuleSegOrder, where, "read-only data end at %#x, another segment at %#x", f.Rodata.End(), end)
	case f.Data != nil && f.Rodata != nil && f.Rodata.End() > limitOf(f.Data):
		return in.refuse(CodeRodataOverData, RuleSegOrder, where, "read-only data end at %#x, data begin at %#x", f.Rodata.End(), f.Data.Addr)
	case f.Rodata != nil && ClassicRound(textEnd) > limit:
		return in.refuse(CodeTextOverRodata, RuleSegOrder, where, "code ends at %#x, read-only data begin at %#x", textEnd, limit)
	case f.Rodata == nil && f.Data != nil && ClassicRound(textEnd) > limit:
		return in.refuse(CodeTextOverData, RuleSegOrder, where, "code ends at %#x, data begin at %#x", textEnd, limit)
	case f.Rodata != nil && f.Rodata.Addr%ClassicPage != 0:
		return in.refuse(CodeRodataAlignment, RuleSegAlign, where, "read-only data at %#x, no multiple of 64 KiB", f.Rodata.Addr)
	case uint64(stack) > ClassicStackTop || ClassicRound(end) > (1<<32-uint64(stack))&^(ClassicPage-1):
		return in.refuse(CodeDataOverStack, RuleSegRange, where, "data end at %#x, where %#x bytes of stack are to be", end, stack)
	case textEnd+classicSled > limit:
		// Here the original crashed.
		return in.refuse(CodeTextOverRodata, RuleSegOrder, where, "code ends at %#x, without room for %d bytes of hlt below %#x", textEnd, classicSled, limit)
	}
	f.DataEnd = uint32(end)
	f.TextEnd = uint32(ClassicRound(textEnd))
	if f.DynamicEnd = uint32(limit); limit > ClassicStackTop || f.DynamicEnd == f.TextEnd {
		f.TextEnd = uint32(ClassicRound(textEnd + classicSled))
		f.DynamicEnd = f.TextEnd
	}
	return nil
}

// limitOf is where the pages of a segment begin.
func limitOf(s *ClassicSegment) uint64 { return uint64(s.Addr) &^ (ClassicPage - 1) }

// MapClassic validates a program's code and puts everything into an empty cage of
// the classic ABI, whose contents are undefined after an error. The program's
// contents are released: a file is mapped once.
func MapClassic(c *cage.Cage, f *ClassicFile) error {
	code := make([]byte, f.TextEnd-ClassicTextStart)
	fillHlt(code[copy(code, f.Text.data):])
	f.Text.data = nil
	if err := mapClassicText(c, f.Name, code); err != nil {
		return err
	}
	mem := safemem.New(c.Base())
	for _, s := range []*ClassicSegment{f.Rodata, f.Data} {
		if s == nil {
			continue
		}
		start := uint32(limitOf(s))
		n := ClassicRound(s.End()) - uint64(start)
		if _, err := c.Map(start, n, cage.ProtRead|cage.ProtWrite, cage.FixedNoReplace); err != nil {
			return fmt.Errorf("%s: segment at %#x: %w", f.Name, s.Addr, err)
		}
		if err := mem.Write(start, s.data); err != nil {
			return fmt.Errorf("%s: segment at %#x: %w", f.Name, s.Addr, err)
		}
		s.data = nil
		if s == f.Rodata {
			if err := c.Protect(start, n, cage.ProtRead); err != nil {
				return fmt.Errorf("%s: segment at %#x: %w", f.Name, s.Addr, err)
			}
		}
	}
	return nil
}

// mapClassicText is the door for static code of the classic ABI: padded code, which
// nobody else can write, is validated for its place, with what can be replaced
// replaced, and what comes out of that is sealed and mapped.
func mapClassicText(c *cage.Cage, name string, code []byte) error {
	res, err := validator.Rewrite(code, validator.Options{
		ABI: validator.Classic, Offset: ClassicTextStart, MaxErrors: maxTextErrors, Features: validator.HostFeatures(),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !res.OK() {
		return &TextError{File: name, Address: ClassicTextStart, Errors: res.Errors, More: res.Truncated}
	}
	text, err := cage.NewText(name, code, ClassicTextStart)
	if err != nil {
		return err
	}
	defer text.Release()
	if err := c.MapText(ClassicTextStart, text); err != nil {
		return fmt.Errorf("%s: code at %#x: %w", name, ClassicTextStart, err)
	}
	return nil
}
