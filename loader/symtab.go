package loader

import (
	"bytes"
	"io"
)

// SymbolTable is the full symbol table of a file, which also names what is not
// exported. It is for messages: nothing is decided by it. The nil table is empty.
type SymbolTable struct {
	symbols, names []byte
}

// maxSymbolTable bounds what is read of symbols, and of names.
const maxSymbolTable = 64 << 20

// ReadSymbols reads the symbol table of a program or library, nil when it was
// stripped.
func ReadSymbols(r io.ReaderAt, size int64, name string) (*SymbolTable, error) {
	in := &reader{r: r, size: uint64(max(size, 0)), name: name}
	h, err := in.header()
	if err != nil {
		return nil, err
	}
	return in.symbolTable(h), nil
}

func (in *reader) symbolTable(h *header) *SymbolTable {
	list, err := in.sections(h)
	if err != nil {
		return nil
	}
	for i := range list {
		s := &list[i]
		if s.typ != sectionSymtab || uint64(s.link) >= uint64(len(list)) || list[s.link].typ != sectionStrtab {
			continue
		}
		symbols, err := in.contents(s, maxSymbolTable, "symbol table")
		if err != nil {
			return nil
		}
		names, err := in.contents(&list[s.link], maxSymbolTable, "symbol names")
		if err != nil {
			return nil
		}
		return &SymbolTable{symbols, names}
	}
	return nil
}

// Size is how much memory the table takes.
func (t *SymbolTable) Size() int {
	if t == nil {
		return 0
	}
	return len(t.symbols) + len(t.names)
}

// Nearest returns the function that covers an address, as the file counts them:
// the one with the highest start not above it, unless the address is beyond its
// size.
func (t *SymbolTable) Nearest(addr uint32) (name string, start uint32, ok bool) {
	if t == nil {
		return "", 0, false
	}
	var at, best uint64
	for i := 0; i+symbolSize <= len(t.symbols); i += symbolSize {
		b := t.symbols[i:]
		value, size := le.Uint64(b[8:]), le.Uint64(b[16:])
		if b[4]&15 != SymFunc || le.Uint16(b[6:]) == ShnUndef || value > uint64(addr) || value < best {
			continue
		}
		if size != 0 && uint64(addr)-value >= size {
			continue
		}
		best, at, ok = value, uint64(le.Uint32(b)), true
	}
	if !ok || at >= uint64(len(t.names)) {
		return "", 0, false
	}
	rest := t.names[at:]
	n := bytes.IndexByte(rest[:min(len(rest), 4096)], 0)
	if n <= 0 {
		return "", 0, false
	}
	return string(rest[:n]), uint32(best), true
}
