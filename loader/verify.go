package loader

import (
	"bytes"
	"fmt"
	"io"

	"github.com/halite-run/halite/validator"
)

// Report is what Verify looked at.
type Report struct {
	Name      string
	Type      Type
	ABI       validator.ABI // that the code was checked against
	HaliteABI uint32        // version in the file's note, 0 without one
	Code      []CodeReport
}

// CodeReport is one executable segment, or section of an object.
type CodeReport struct {
	Section string // name, for objects
	Segment int    // number of the program header, for linked files
	Address uint32
	Size    uint32
	Err     *TextError // nil: accepted
}

// OK tells whether all code was accepted.
func (r *Report) OK() bool {
	for i := range r.Code {
		if r.Code[i].Err != nil {
			return false
		}
	}
	return true
}

// Err lists the findings, one a line, and is nil when there are none.
func (r *Report) Err() error {
	var list []error
	for i := range r.Code {
		if e := r.Code[i].Err; e != nil {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return &VerifyError{list}
}

// VerifyError is the complete list of findings.
type VerifyError struct{ list []error }

func (e *VerifyError) Error() string {
	var b bytes.Buffer
	for i, err := range e.list {
		if i > 0 {
			b.WriteByte('\n')
		}
		t, ok := err.(*TextError)
		if !ok {
			b.WriteString(err.Error())
			continue
		}
		for j := range t.Errors {
			if j > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(t.Line(j))
		}
		if t.More {
			fmt.Fprintf(&b, "\n%s: more errors follow", t.File)
		}
	}
	return b.String()
}

// Unwrap gives access to each *TextError.
func (e *VerifyError) Unwrap() []error { return e.list }

// verifyBias is where Verify assumes position-independent files to be loaded.
// Code is validated again at its real place.
const verifyBias = 1 << 24

// VerifyOptions are what Verify can be told.
type VerifyOptions struct {
	ABI       validator.ABI
	MaxErrors int // of all findings; 0 means 10

	// Features are those of the CPU that is to run the code; 0 does not ask.
	Features validator.Features

	// ReadOnly judges code as it is. Otherwise code of the NaCl ABIs, and raw
	// code, is judged as the loader would load it, with non-temporal
	// instructions replaced, and with hlt in the place of those that Features
	// lack.
	ReadOnly bool
}

// Verify checks the code of a program, a shared object or an object file
// without loading it. err tells that the file could not be read; what the
// validator said is in the report.
//
// Objects are checked before the linker has filled in addresses, so their
// acceptance is a good sign, nothing more: the linked file is what counts.
func Verify(name string, r io.ReaderAt, size int64, o VerifyOptions) (*Report, error) {
	if o.MaxErrors <= 0 {
		o.MaxErrors = 10
	}
	in := &reader{r: r, size: uint64(max(size, 0)), name: name}
	if elfShapes[o.ABI] != nil {
		return in.verifyNaCl(o)
	}
	h, err := in.header()
	if err != nil {
		return nil, err
	}
	switch h.typ {
	case TypeObject:
		return in.verifyObject(h, o)
	case TypeProgram, TypeShared:
		f, err := in.file(h)
		if err != nil {
			return nil, err
		}
		return in.verifyLinked(h, f, o)
	}
	return nil, in.fail(RuleType, "header", "file type %d is no program, shared object or object", h.typ)
}

func (in *reader) verifyLinked(h *header, f *File, o VerifyOptions) (*Report, error) {
	rep := &Report{Name: f.Name, Type: f.Type, HaliteABI: f.HaliteABI}
	symbolAt := in.symbolFinder(h, f)
	for i := range f.Segments {
		s := &f.Segments[i]
		if s.Flags&FlagExec == 0 {
			continue
		}
		pages, start := s.pages, pageDown(s.Addr)
		bias := uint32(0)
		if f.Type == TypeShared && uint64(start)+uint64(len(pages))+verifyBias <= imageEnd {
			bias = verifyBias
		}
		c := CodeReport{Segment: s.Index, Address: start, Size: uint32(len(pages))}
		if left := o.MaxErrors - rep.findings(); left > 0 {
			res, err := validator.Validate(pages, validator.Options{Offset: start + bias, MaxErrors: left, Features: o.Features})
			if err != nil {
				return nil, in.fail(RuleSegText, fmt.Sprintf("segment %d", s.Index), "%v", err)
			}
			if !res.OK() {
				c.Err = &TextError{File: f.Name, Segment: s.Index, Address: start, Errors: res.Errors, More: res.Truncated, symbolAt: symbolAt}
			}
			rep.Code = append(rep.Code, c)
		}
	}
	return rep, nil
}

func (r *Report) findings() int {
	n := 0
	for i := range r.Code {
		if r.Code[i].Err != nil {
			n += len(r.Code[i].Err.Errors)
		}
	}
	return n
}

// section is one section header that was checked.
type section struct {
	name           string
	typ            uint32
	flags          uint64
	addr, off, len uint64
	link           uint32
	entsize        uint64
}

// sections reads the section header table.
func (in *reader) sections(h *header) ([]section, error) {
	const where = "section headers"
	if h.shoff == 0 || h.shnum == 0 {
		return nil, nil
	}
	if h.shentsize != shdrSize {
		return nil, in.fail(RuleSection, where, "e_shentsize is %d, want %d", h.shentsize, shdrSize)
	}
	raw, err := in.read(h.shoff, uint64(h.shnum)*shdrSize, where)
	if err != nil {
		return nil, err
	}
	list := make([]section, h.shnum)
	for i := range list {
		b := raw[i*shdrSize:]
		list[i] = section{
			typ: le.Uint32(b[4:]), flags: le.Uint64(b[8:]), addr: le.Uint64(b[16:]),
			off: le.Uint64(b[24:]), len: le.Uint64(b[32:]), link: le.Uint32(b[40:]), entsize: le.Uint64(b[56:]),
		}
	}
	if h.shstrndx >= len(list) {
		return nil, in.fail(RuleSection, where, "the section of names is %d of %d", h.shstrndx, len(list))
	}
	names, err := in.contents(&list[h.shstrndx], MaxImageBytes/8, "section names")
	if err != nil {
		return nil, err
	}
	for i := range list {
		off := uint64(le.Uint32(raw[i*shdrSize:]))
		if off < uint64(len(names)) {
			// The names of a table can overlap: no more is looked at than is kept.
			name := names[off:min(off+256, uint64(len(names)))]
			if n := bytes.IndexByte(name, 0); n >= 0 {
				name = name[:n]
			}
			list[i].name = string(name)
		}
	}
	return list, nil
}

func (in *reader) contents(s *section, limit uint64, where string) ([]byte, error) {
	if s.typ == sectionNobits {
		return nil, nil
	}
	if s.len > limit {
		return nil, in.fail(RuleSection, where, "%d bytes, at most %d are read", s.len, limit)
	}
	return in.read(s.off, s.len, where)
}

// verifyObject checks the executable sections of an object file. References
// that the linker will fill in are zero, so that branches lead to the next
// instruction and operands to the code itself.
func (in *reader) verifyObject(h *header, o VerifyOptions) (*Report, error) {
	list, err := in.sections(h)
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, in.fail(RuleSection, "header", "an object without sections")
	}
	rep := &Report{Name: in.name, Type: TypeObject}
	var total uint64
	for i := range list {
		s := &list[i]
		if s.flags&sectionFlagExec == 0 || s.len == 0 {
			continue
		}
		where := fmt.Sprintf("section %d (%s)", i, s.name)
		if s.flags&sectionFlagPacked != 0 {
			return nil, in.fail(RuleSection, where, "compressed code")
		}
		if s.typ == sectionNobits {
			return nil, in.fail(RuleSection, where, "code without contents")
		}
		if total += s.len; total > MaxTextBytes {
			return nil, in.fail(RuleSegSize, where, "more than %d bytes of code", MaxTextBytes)
		}
		code, err := in.contents(s, MaxTextBytes, where)
		if err != nil {
			return nil, err
		}
		left := o.MaxErrors - rep.findings()
		if left <= 0 {
			break
		}
		pages, _ := padText(code, 0)
		c := CodeReport{Section: s.name, Segment: -1, Size: uint32(len(code))}
		res, err := validator.Validate(pages, validator.Options{Offset: verifyBias, MaxErrors: left, Features: o.Features})
		if err != nil {
			return nil, in.fail(RuleSegText, where, "%v", err)
		}
		if !res.OK() {
			c.Err = &TextError{File: in.name, Section: s.name, Segment: -1, Errors: res.Errors, More: res.Truncated}
		}
		rep.Code = append(rep.Code, c)
	}
	return rep, nil
}

// symbolFinder names addresses for error messages, from the full symbol table
// when the file still has one. Trouble with it is no error.
func (in *reader) symbolFinder(h *header, f *File) func(uint32) string {
	table := in.symbolTable(h)
	return func(addr uint32) string {
		name, start, ok := table.Nearest(addr)
		switch {
		case !ok:
			return f.symbolNear(addr)
		case addr == start:
			return name
		}
		return fmt.Sprintf("%s+%#x", name, addr-start)
	}
}
