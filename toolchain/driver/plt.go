package driver

// The procedure linkage table.
//
// The linker is asked for the form that it has for retpolines (-z now -z
// retpolineplt), because its entries are nearly what the halite ABI needs:
//
//	4c 8b 1d disp32    mov  slot(%rip),%r11      r11 = offset of the function
//	e9 rel32           jmp  PLT0
//	cc cc cc cc
//
// Only the common header that they all jump to has to change. The linker
// writes a retpoline there (32 bytes); we write the masked jump:
//
//	41 83 e3 e0        and  $-32,%r11d           clears the upper half as well
//	4d 01 fb           add  %r15,%r11
//	41 ff e3           jmp  *%r11
//	f4 ... f4          hlt
//
// The table is aligned to 16, so neither the jump nor an entry crosses a
// bundle. Every byte is compared with the expected form before anything is
// written, so that another version of the linker is noticed here and not at load time.

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/halite-run/halite/toolchain/sfi"
)

const (
	pltHeaderSize = 32
	pltEntrySize  = 16
)

var retpolineHeader = []byte{
	0xe8, 0x0b, 0x00, 0x00, 0x00, // call 1f
	0xf3, 0x90, // 0: pause
	0x0f, 0xae, 0xe8, // lfence
	0xeb, 0xf9, // jmp 0b
	0xcc, 0xcc, 0xcc, 0xcc,
	0x4c, 0x89, 0x1c, 0x24, // 1: mov %r11,(%rsp)
	0xc3, // ret
	0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
}

var maskedHeader = []byte{
	0x41, 0x83, 0xe3, 0xe0, // and $-32,%r11d
	0x4d, 0x01, 0xfb, // add %r15,%r11
	0x41, 0xff, 0xe3, // jmp *%r11
	0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4,
	0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4,
}

// finish completes a file that the linker has just written: the relaxed
// thread-local sequences, the linkage table, the fill between sections; and
// it checks what can only be checked after linking.
func finish(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if _, err := sfi.PatchTLS(b); err != nil {
		return err
	}
	o, err := readOutput(b)
	if err != nil {
		return err
	}
	if err := o.checkAddresses(); err != nil {
		return err
	}
	at, err := o.pltHeader()
	if err != nil {
		return err
	}
	if at != nil {
		copy(at, maskedHeader)
	}
	if err := o.fillGaps(); err != nil {
		return err
	}
	return os.WriteFile(path, b, st.Mode().Perm())
}

// section is what is needed of a section header.
type section struct {
	name                   string
	typ                    uint32
	flags, addr, off, size uint64
	link                   uint32
	nameOff                uint32
}

// linked is a file that the linker wrote. It is a moment old and from a linker
// that is not hostile: this reader only has to notice what it does not know.
type linked struct {
	b        []byte
	entry    uint64
	sections []section
	segments []segment
}

// segment is what is needed of a program header.
type segment struct {
	typ, flags        uint32
	off, addr, filesz uint64
}

const (
	ptLoad = 1
	pfX    = 1

	shtNobits    = 8
	shtDynsym    = 11
	shfAlloc     = 2
	shfExecInstr = 4
)

func readOutput(b []byte) (*linked, error) {
	le := binary.LittleEndian
	if len(b) < 64 || !bytes.Equal(b[:6], []byte("\x7fELF\x02\x01")) || le.Uint16(b[18:]) != 62 {
		return nil, errors.New("linker output is not x86-64 ELF")
	}
	o := &linked{b: b, entry: le.Uint64(b[24:])}
	phentsize, phnum := le.Uint16(b[54:]), uint64(le.Uint16(b[56:]))
	shentsize, shnum, strndx := le.Uint16(b[58:]), uint64(le.Uint16(b[60:])), uint64(le.Uint16(b[62:]))
	if shnum == 0 || shentsize != 64 || strndx >= shnum || phnum > 0 && phentsize != 56 {
		return nil, errors.New("linker output has no usable headers")
	}
	table, err := o.read(le.Uint64(b[32:]), phnum*56)
	if err != nil {
		return nil, err
	}
	for ; len(table) > 0; table = table[56:] {
		o.segments = append(o.segments, segment{
			typ: le.Uint32(table), flags: le.Uint32(table[4:]), off: le.Uint64(table[8:]),
			addr: le.Uint64(table[16:]), filesz: le.Uint64(table[32:]),
		})
	}
	if table, err = o.read(le.Uint64(b[40:]), shnum*64); err != nil {
		return nil, err
	}
	for ; len(table) > 0; table = table[64:] {
		o.sections = append(o.sections, section{
			nameOff: le.Uint32(table), typ: le.Uint32(table[4:]), flags: le.Uint64(table[8:]), addr: le.Uint64(table[16:]),
			off: le.Uint64(table[24:]), size: le.Uint64(table[32:]), link: le.Uint32(table[40:]),
		})
	}
	names, err := o.contents(&o.sections[strndx])
	if err != nil {
		return nil, err
	}
	for i := range o.sections {
		o.sections[i].name = cString(names, o.sections[i].nameOff)
	}
	return o, nil
}

func (o *linked) read(off, n uint64) ([]byte, error) {
	if off > uint64(len(o.b)) || n > uint64(len(o.b))-off {
		return nil, errors.New("linker output is cut short")
	}
	return o.b[off : off+n], nil
}

func (o *linked) contents(s *section) ([]byte, error) {
	if s.typ == shtNobits {
		return nil, nil
	}
	return o.read(s.off, s.size)
}

// fillGaps writes hlt between the sections of executable segments, where the
// linker leaves zeros: those are instructions too.
func (o *linked) fillGaps() error {
	for _, seg := range o.segments {
		if seg.typ != ptLoad || seg.flags&pfX == 0 {
			continue
		}
		var code []*section
		for i := range o.sections {
			s := &o.sections[i]
			if s.flags&shfAlloc == 0 || s.size == 0 || s.addr < seg.addr || s.addr >= seg.addr+seg.filesz {
				continue
			}
			if s.flags&shfExecInstr == 0 || s.typ == shtNobits {
				return fmt.Errorf("section %s lies in an executable segment and is not code", s.name)
			}
			code = append(code, s)
		}
		slices.SortFunc(code, func(a, b *section) int { return cmp.Compare(a.addr, b.addr) })
		body, err := o.read(seg.off, seg.filesz)
		if err != nil {
			return err
		}
		end := uint64(0)
		for _, s := range code {
			at := s.addr - seg.addr
			for ; end < at; end++ {
				body[end] = 0xf4
			}
			end = at + s.size
		}
		for ; end < uint64(len(body)); end++ {
			body[end] = 0xf4
		}
	}
	return nil
}

func (o *linked) find(name string) *section {
	for i := range o.sections {
		if o.sections[i].name == name && o.sections[i].size > 0 {
			return &o.sections[i]
		}
	}
	return nil
}

func cString(table []byte, off uint32) string {
	if uint64(off) >= uint64(len(table)) {
		return ""
	}
	b := table[off:]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// pltHeader returns the header of the linkage table after checking the whole
// table, or nil when there is none.
func (o *linked) pltHeader() ([]byte, error) {
	plt, iplt := o.find(".plt"), o.find(".iplt")
	if plt == nil {
		if iplt != nil {
			return nil, errors.New(".iplt without .plt: the linker's linkage table is of an unknown form")
		}
		return nil, nil
	}
	code, err := o.contents(plt)
	if err != nil {
		return nil, err
	}
	if plt.addr%pltEntrySize != 0 || len(code) < pltHeaderSize || !bytes.Equal(code[:pltHeaderSize], retpolineHeader) {
		return nil, fmt.Errorf(".plt begins with % x at %#x: not the form that ld.lld-19 -z retpolineplt writes", code[:min(len(code), pltHeaderSize)], plt.addr)
	}
	if err := checkEntries(".plt", code[pltHeaderSize:], plt.addr+pltHeaderSize, plt.addr); err != nil {
		return nil, err
	}
	if iplt != nil {
		code, err := o.contents(iplt)
		if err != nil {
			return nil, err
		}
		if err := checkEntries(".iplt", code, iplt.addr, plt.addr); err != nil {
			return nil, err
		}
	}
	return code[:pltHeaderSize], nil
}

// checkEntries compares each entry with the expected form.
func checkEntries(name string, code []byte, addr, header uint64) error {
	if len(code)%pltEntrySize != 0 || addr%pltEntrySize != 0 {
		return fmt.Errorf("%s: %d bytes at %#x are not whole entries", name, len(code), addr)
	}
	for i := 0; i < len(code); i += pltEntrySize {
		e := code[i : i+pltEntrySize]
		jump := addr + uint64(i) + 12 + uint64(int64(int32(binary.LittleEndian.Uint32(e[8:]))))
		if e[0] != 0x4c || e[1] != 0x8b || e[2] != 0x1d || e[7] != 0xe9 || jump != header ||
			!bytes.Equal(e[12:], []byte{0xcc, 0xcc, 0xcc, 0xcc}) {
			return fmt.Errorf("%s: entry %d is % x: not the form that ld.lld-19 -z retpolineplt writes", name, i/pltEntrySize, e)
		}
	}
	return nil
}

// checkAddresses refuses what would load and then misbehave: an entry point
// or an address of an imported function that a masked jump can't reach.
func (o *linked) checkAddresses() error {
	if o.entry%32 != 0 {
		return fmt.Errorf("the entry point %#x is not aligned to 32: is it a function that the assembly pass has seen?", o.entry)
	}
	// In a program that is not position independent, the address of an
	// imported function is that of its linkage table entry, and entries are
	// 16 bytes: every second one would be missed.
	for i := range o.sections {
		s := &o.sections[i]
		if s.typ != shtDynsym || int(s.link) >= len(o.sections) {
			continue
		}
		syms, err := o.contents(s)
		if err != nil {
			return err
		}
		names, err := o.contents(&o.sections[s.link])
		if err != nil {
			return err
		}
		for ; len(syms) >= 24; syms = syms[24:] {
			value := binary.LittleEndian.Uint64(syms[8:])
			shndx := binary.LittleEndian.Uint16(syms[6:])
			if shndx == 0 && value != 0 && value%32 != 0 {
				return fmt.Errorf("the address of %s, a function of a shared library, is taken by code that is not position independent; compile it with -fPIE or -fPIC",
					cString(names, binary.LittleEndian.Uint32(syms)))
			}
		}
	}
	return nil
}
