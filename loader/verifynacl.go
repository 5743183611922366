package loader

import (
	"bytes"
	"fmt"

	"github.com/halite-run/halite/validator"
)

// Files of the NaCl ABIs: programs, shared objects and objects, 64-bit for
// classic and 32-bit for x86-32. Verify looks for their code and at nothing
// else, so this reader knows headers, segments and sections only.

// elfShape is where the fields of one ELF class are.
type elfShape struct {
	header, phdr, shdr int // sizes
	// In the ELF header: program and section header tables, then the sizes and
	// counts from e_ehsize on.
	phoff, shoff, sizes int
	// In a program header: flags, offset, address, size in the file.
	pflags, poffset, pvaddr, pfilesz int
	// In a section header: flags, offset, size.
	sflags, soffset, ssize int
	word                   func([]byte) uint64
}

var elfShapes = map[validator.ABI]*elfShape{
	validator.Classic: {
		header: elfHeaderSize, phdr: phdrSize, shdr: shdrSize, phoff: 32, shoff: 40, sizes: 52,
		pflags: 4, poffset: 8, pvaddr: 16, pfilesz: 32, sflags: 8, soffset: 24, ssize: 32,
		word: le.Uint64,
	},
	validator.X86_32: {
		header: 52, phdr: 32, shdr: 40, phoff: 28, shoff: 32, sizes: 40,
		pflags: 24, poffset: 4, pvaddr: 8, pfilesz: 16, sflags: 8, soffset: 16, ssize: 20,
		word: func(b []byte) uint64 { return uint64(le.Uint32(b)) },
	},
}

func (in *reader) verifyNaCl(o VerifyOptions) (*Report, error) {
	const where = "header"
	shape := elfShapes[o.ABI]
	if in.size < uint64(shape.header) {
		return nil, in.fail(RuleMagic, where, "%d bytes are too few for an ELF file", in.size)
	}
	h, err := in.read(0, uint64(shape.header), where)
	if err != nil {
		return nil, err
	}
	class, machine := byte(2), uint16(machineX86_64)
	switch {
	case o.ABI == validator.X86_32:
		class, machine = 1, machine386
	case h[4] == 1 && le.Uint16(h[18:]) == machineX86_64:
		// Classic programs are of either class.
		class, shape = 1, elfShapes[validator.X86_32]
	}
	switch {
	case !bytes.Equal(h[:4], []byte("\x7fELF")):
		return nil, in.fail(RuleMagic, where, "not an ELF file; --raw checks bytes without a header")
	case h[4] != class || le.Uint16(h[18:]) != machine:
		return nil, in.fail(RuleClass, where, "class %d and machine %d are not those of the %s ABI, %d and %d", h[4], le.Uint16(h[18:]), o.ABI, class, machine)
	case h[5] != 1 || h[6] != 1:
		return nil, in.fail(RuleClass, where, "not little-endian, or not version 1")
	}
	rep := &Report{Name: in.name, Type: Type(le.Uint16(h[16:])), ABI: o.ABI}
	phnum, shnum := int(le.Uint16(h[shape.sizes+4:])), int(le.Uint16(h[shape.sizes+8:]))
	switch rep.Type {
	case TypeObject:
		if n := int(le.Uint16(h[shape.sizes+6:])); n != shape.shdr || shnum == 0 {
			return nil, in.fail(RuleSection, where, "%d section headers of %d bytes", shnum, n)
		}
		return rep, in.naclSections(rep, shape, shape.word(h[shape.shoff:]), shnum, o)
	case TypeProgram, TypeShared:
		if n := int(le.Uint16(h[shape.sizes+2:])); n != shape.phdr || phnum == 0 || phnum > MaxProgramHeaders {
			return nil, in.fail(RulePhdr, where, "%d program headers of %d bytes", phnum, n)
		}
		return rep, in.naclSegments(rep, shape, shape.word(h[shape.phoff:]), phnum, o)
	}
	return nil, in.fail(RuleType, where, "file type %d is no program, shared object or object", rep.Type)
}

func (in *reader) naclSegments(rep *Report, shape *elfShape, at uint64, n int, o VerifyOptions) error {
	table, err := in.read(at, uint64(n*shape.phdr), "program headers")
	if err != nil {
		return err
	}
	var total uint64
	for i := range n {
		p := table[i*shape.phdr:]
		if le.Uint32(p) != ptLoad || le.Uint32(p[shape.pflags:])&uint32(FlagExec) == 0 {
			continue
		}
		where := fmt.Sprintf("segment %d", i)
		addr, size := shape.word(p[shape.pvaddr:]), shape.word(p[shape.pfilesz:])
		if addr%validator.BundleSize != 0 || addr > imageEnd {
			return in.fail(RuleSegText, where, "code at %#x, which is no multiple of %d in the sandbox", addr, validator.BundleSize)
		}
		if total += size; size > MaxTextBytes || total > MaxTextBytes {
			return in.fail(RuleSegSize, where, "more than %d bytes of code", MaxTextBytes)
		}
		code, err := in.read(shape.word(p[shape.poffset:]), size, where)
		if err != nil {
			return err
		}
		if err := in.verifyBytes(rep, CodeReport{Segment: i, Address: uint32(addr)}, code, where, o); err != nil {
			return err
		}
	}
	return nil
}

func (in *reader) naclSections(rep *Report, shape *elfShape, at uint64, n int, o VerifyOptions) error {
	table, err := in.read(at, uint64(n*shape.shdr), "section headers")
	if err != nil {
		return err
	}
	var total uint64
	for i := range n {
		s := table[i*shape.shdr:]
		flags, size := shape.word(s[shape.sflags:]), shape.word(s[shape.ssize:])
		if flags&sectionFlagExec == 0 || size == 0 {
			continue
		}
		name := fmt.Sprintf("section %d", i)
		switch {
		case flags&sectionFlagPacked != 0:
			return in.fail(RuleSection, name, "compressed code")
		case le.Uint32(s[4:]) == sectionNobits:
			return in.fail(RuleSection, name, "code without contents")
		}
		if total += size; size > MaxTextBytes || total > MaxTextBytes {
			return in.fail(RuleSegSize, name, "more than %d bytes of code", MaxTextBytes)
		}
		code, err := in.read(shape.word(s[shape.soffset:]), size, name)
		if err != nil {
			return err
		}
		if err := in.verifyBytes(rep, CodeReport{Section: name, Segment: -1}, code, name, o); err != nil {
			return err
		}
	}
	return nil
}

// VerifyRaw checks bytes that are nothing but code and will stand at address,
// which is a multiple of a bundle. name is used in errors.
func VerifyRaw(name string, code []byte, address uint32, o VerifyOptions) (*Report, error) {
	if o.MaxErrors <= 0 {
		o.MaxErrors = 10
	}
	in := &reader{name: name}
	if len(code) > MaxTextBytes {
		return nil, in.fail(RuleSegSize, "raw code", "more than %d bytes of code", MaxTextBytes)
	}
	rep := &Report{Name: name, ABI: o.ABI}
	return rep, in.verifyBytes(rep, CodeReport{Segment: -1, Address: address}, append([]byte(nil), code...), "raw code", o)
}

// verifyBytes validates code, which is the reader's own, as the loader would:
// padded with hlt, and with what can be replaced replaced unless o.ReadOnly.
func (in *reader) verifyBytes(rep *Report, c CodeReport, code []byte, where string, o VerifyOptions) error {
	left := o.MaxErrors - rep.findings()
	if left <= 0 {
		return nil
	}
	c.Size = uint32(len(code))
	for len(code)%validator.BundleSize != 0 {
		code = append(code, hlt)
	}
	judge := validator.Rewrite
	if o.ReadOnly {
		judge = validator.Validate
	}
	res, err := judge(code, validator.Options{ABI: o.ABI, Offset: c.Address, MaxErrors: left, Features: o.Features})
	if err != nil {
		return in.fail(RuleSegText, where, "%v", err)
	}
	if !res.OK() {
		c.Err = &TextError{File: in.name, Section: c.Section, Segment: c.Segment, Address: c.Address, Errors: res.Errors, More: res.Truncated}
	}
	rep.Code = append(rep.Code, c)
	return nil
}
