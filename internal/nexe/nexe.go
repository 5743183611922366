// Package nexe makes programs of the classic ABI for tests: ELF files of either
// class around code that was assembled beforehand. It checks nothing, so that it
// can make broken ones too.
package nexe

import "encoding/binary"

var le = binary.LittleEndian

// Numbers of the ELF format.
const (
	Load = 1 // PT_LOAD
	X    = 1 // PF_X
	W    = 2
	R    = 4
)

// Where Program puts things.
const (
	TextAddr   = 0x20000
	RodataAddr = 0x10000000
	DataAddr   = 0x10020000
)

// A Segment is one program header with its contents.
type Segment struct {
	Type, Flags uint32
	Addr        uint64
	Data        []byte
	MemSize     uint64 // 0: len(Data)
	FileSize    uint64 // 0: len(Data)
	Offset      uint64 // 0: wherever it fits Addr
}

// A File is a program.
type File struct {
	Class    int // 32 or 64
	Entry    uint64
	Segments []Segment
}

// Program is one with code, and with data where there are any. It starts at the
// beginning of its code.
func Program(class int, text, rodata, data []byte) *File {
	f := &File{Class: class, Entry: TextAddr, Segments: []Segment{{Type: Load, Flags: R | X, Addr: TextAddr, Data: text}}}
	if rodata != nil {
		f.Segments = append(f.Segments, Segment{Type: Load, Flags: R, Addr: RodataAddr, Data: rodata})
	}
	if data != nil {
		f.Segments = append(f.Segments, Segment{Type: Load, Flags: R | W, Addr: DataAddr, Data: data})
	}
	return f
}

// Bytes is the file.
func (f *File) Bytes() []byte {
	header, phdr := 64, 56
	if f.Class == 32 {
		header, phdr = 52, 32
	}
	b := make([]byte, max(64, header)+phdr*len(f.Segments))
	copy(b, "\x7fELF\x02\x01\x01\x7b\x07")
	le.PutUint16(b[16:], 2)
	le.PutUint16(b[18:], 62)
	le.PutUint32(b[20:], 1)
	table := max(64, header)
	if f.Class == 32 {
		b[4] = 1
		le.PutUint32(b[24:], uint32(f.Entry))
		le.PutUint32(b[28:], uint32(table))
		le.PutUint32(b[36:], 0x200000)
		le.PutUint16(b[40:], uint16(header))
		le.PutUint16(b[42:], uint16(phdr))
		le.PutUint16(b[44:], uint16(len(f.Segments)))
	} else {
		le.PutUint64(b[24:], f.Entry)
		le.PutUint64(b[32:], uint64(table))
		le.PutUint32(b[48:], 0x200000)
		le.PutUint16(b[52:], uint16(header))
		le.PutUint16(b[54:], uint16(phdr))
		le.PutUint16(b[56:], uint16(len(f.Segments)))
	}
	for i, s := range f.Segments {
		off := s.Offset
		if off == 0 && len(s.Data) > 0 {
			off = uint64(len(b)+0xffff)&^0xffff + s.Addr&0xffff
		}
		if need := off + uint64(len(s.Data)); len(s.Data) > 0 && need > uint64(len(b)) {
			b = append(b, make([]byte, need-uint64(len(b)))...)
		}
		copy(b[min(off, uint64(len(b))):], s.Data)
		filesz, memsz := s.FileSize, s.MemSize
		if filesz == 0 {
			filesz = uint64(len(s.Data))
		}
		if memsz == 0 {
			memsz = filesz
		}
		p := b[table+i*phdr:]
		le.PutUint32(p, s.Type)
		if f.Class == 32 {
			for j, v := range []uint64{off, s.Addr, s.Addr, filesz, memsz, uint64(s.Flags), 0x10000} {
				le.PutUint32(p[4+4*j:], uint32(v))
			}
			continue
		}
		le.PutUint32(p[4:], s.Flags)
		for j, v := range []uint64{off, s.Addr, s.Addr, filesz, memsz, 0x10000} {
			le.PutUint64(p[8+8*j:], v)
		}
	}
	return b
}
