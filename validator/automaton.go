package validator

// A maker makes the automaton of an ABI. Rows that are equal are one row, so that
// the number of rows is the least possible.
type maker struct {
	*heads
	a       *automaton
	rows    int
	known   map[uint64]uint16 // by hash
	tails   [3][16]uint16     // by what has to follow and by length
	sibs    map[sibKey]uint16
	opcodes [][32]uint16 // by group, and by REX bits and 65 67
	all     []uint32     // by group, what is in all and in any of the entries that are not slow
	any     []uint32
}

type row = [256]uint16

// sibKey is what the row before a SIB byte depends on.
type sibKey struct {
	x, b, mod0, access bool
	then               int // what has to follow the instruction
	rest               int // length of what follows the byte
}

// What has to follow an instruction of the classic ABI: what adds the base to rsp
// or rbp, of which it has written 32 bits.
const (
	thenAny = iota
	thenSP
	thenBP
)

// fixes are the usual encodings of that.
var fixes = [3][]string{
	thenSP: {"\x4c\x01\xfc", "\x49\x03\xe7", "\x4a\x8d\x24\x3c"},
	thenBP: {"\x4c\x01\xfd", "\x49\x03\xef", "\x4a\x8d\x6c\x3d\x00"},
}

func newAutomaton(abi ABI) *automaton {
	m := &maker{
		heads: newHeads(abi),
		a:     new(automaton),
		rows:  2,
		known: make(map[uint64]uint16, maxRows),
		sibs:  map[sibKey]uint16{},
	}
	groups := len(m.entries) / 16
	m.opcodes, m.all, m.any = make([][32]uint16, groups), make([]uint32, groups), make([]uint32, groups)
	for i, e := range m.entries {
		if i&15 == 0 {
			m.all[i>>4] = ^uint32(0)
		}
		if e&eSlow == 0 {
			m.all[i>>4] &= e
			m.any[i>>4] |= e
		}
	}
	m.set(rowSlow, constant(rowSlow))
	for then := range m.tails {
		t := &m.tails[then]
		t[0] = rowStart
		if then != thenAny {
			if abi != Classic {
				break
			}
			t[0] = m.sequences(fixes[then])
		}
		for n := 1; n < len(t); n++ {
			t[n] = m.add(constant(t[n-1]))
		}
	}
	m.set(rowStart, m.head(false, 0, 0, false, paddings[:]))
	return m.a
}

// constant is a row that ignores the byte.
func constant(state uint16) (r row) {
	for i := range r {
		r[i] = state
	}
	return r
}

func (m *maker) set(i uint16, r row) { copy(m.a[int(i)<<8:], r[:]) }

// add returns the number of a row.
func (m *maker) add(r row) uint16 {
	h := uint64(0)
	for _, s := range r {
		h = (h ^ uint64(s)) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	for ; ; h++ {
		i, ok := m.known[h]
		if !ok {
			break
		}
		if [256]uint16(m.a[int(i)<<8:][:256]) == r {
			return i
		}
	}
	i := uint16(m.rows)
	if m.rows == maxRows {
		panic("validator: the automaton has too many rows")
	}
	m.rows++
	m.known[h] = i
	m.set(i, r)
	return i
}

// sequences is the row in front of one of some sequences of bytes, of which none
// is the beginning of another.
func (m *maker) sequences(l []string) uint16 {
	r := constant(rowSlow)
	for b := range r {
		if rest := behind(l, b); len(rest) > 0 {
			if rest[0] == "" {
				r[b] = rowStart
			} else {
				r[b] = m.sequences(rest)
			}
		}
	}
	return m.add(r)
}

// behind returns what is left of those sequences that begin with a byte.
func behind(l []string, b int) (rest []string) {
	for _, s := range l {
		if int(s[0]) == b {
			rest = append(rest, s[1:])
		}
	}
	return rest
}

// head is the row behind some prefixes: 65 67 or not, one of none, 66, f3, f2 by
// number, a REX prefix or 0, and 0f or not. The bytes may also be the beginning
// of padding, of which only the given sequences are left.
func (m *maker) head(gs bool, prefix, rex int, map0f bool, padding []string) (r row) {
	page := prefix<<1 | rex>>3&1
	if map0f {
		page |= 8
	}
	for b := range r {
		k := mandatoryNumber(b)
		var padding = padding // what is left of it behind b
		if len(padding) > 0 {
			padding = behind(padding, b)
		}
		switch {
		case map0f:
			r[b] = m.opcode(gs, page, rex, b)
		case b == 0x0f:
			r[b] = m.add(m.head(gs, prefix, rex, true, padding))
		case rex == 0 && m.abi != X86_32 && b&0xf0 == 0x40:
			r[b] = m.add(m.head(gs, prefix, b, false, nil))
		case rex == 0 && prefix == 0 && k != 0:
			r[b] = m.add(m.head(gs, k, 0, false, padding))
		case rex == 0 && prefix == 0 && !gs && b == 0x65 && m.abi == Halite:
			segment := constant(rowSlow)
			segment[0x67] = m.add(m.head(true, 0, 0, false, nil))
			r[b] = m.add(segment)
		default:
			r[b] = m.opcode(gs, page, rex, b)
		}
		if r[b] == rowSlow && len(padding) > 0 {
			r[b] = m.sequences(padding)
		}
	}
	return r
}

// mandatoryNumber is 1, 2, 3 for 66, f3, f2, otherwise 0.
func mandatoryNumber(b int) int {
	switch b {
	case 0x66:
		return 1
	case 0xf3:
		return 2
	case 0xf2:
		return 3
	}
	return 0
}

// opcode is the state behind an opcode.
func (m *maker) opcode(gs bool, page, rex, op int) uint16 {
	group := m.groups[page<<8|op]
	entries, all, any := m.entries[int(group)<<4:][:16], m.all[group], m.any[group]
	rexBits := rex&7 | rex>>3&8
	switch {
	case all == ^uint32(0): // all of them are slow
		return rowSlow
	case any&(7*xLength) != 0:
		key := rexBits
		if gs {
			key |= 16
		}
		i := m.opcodes[group][key]
		if i == 0 {
			i = m.add(m.modrm(entries, gs, rexBits, any&^all&eNeed != 0))
			m.opcodes[group][key] = i
		}
		if all&eNeed != 0 {
			i |= labelNeed << rowBits
		}
		return i
	}
	// There is no ModRM byte, so the entries are all the same.
	e := entries[0]
	if gs || e&uint32(rexBits<<eREX) != 0 {
		return rowSlow
	}
	state := m.tails[thenAny][e>>eImm&15]
	labels := 0
	label := func(yes bool, l int) {
		if yes {
			state |= uint16(l) << rowBits
			labels++
		}
	}
	label(e&eNeed != 0, labelNeed)
	label(e&eRel8 != 0, labelRel8)
	label(e&eRel32 != 0, labelRel32)
	label(e>>eZx&3 == 3, labelZx+op&7|rex&1<<3)
	if labels > 1 || e>>eZx&3 == 1 || e>>eZx&3 == 2 {
		return rowSlow // none is known
	}
	return state
}

// modrm is the row behind an opcode with a ModRM byte. Where only some of the
// entries need a CPU feature, these are left to step.
func (m *maker) modrm(entries []uint32, gs bool, rex int, someNeed bool) (r row) {
	page := 0
	if gs {
		page |= 4
	}
	page |= rex>>1&2 | rex&1
	for b := range r {
		facts := uint32(m.facts[page<<8|b])
		e := entries[facts>>xSelect]
		x := facts & e
		zx, field := noReg, uint32(0)
		switch e >> eZx & 3 {
		case 1:
			zx, field = b>>3&7|rex<<1&8, xRegSP
		case 2:
			zx, field = b&7|rex<<3&8, xRmSP
		}
		then := thenAny
		if (zx == regSP || zx == regBP) && e&eUnit == 0 {
			then = thenSP + zx - regSP
			x &^= field
			zx = noReg
		}
		if x&xObstacles|e&uint32(rex<<eREX)|e&(eSlow|eRel8|eRel32) != 0 || someNeed && e&eNeed != 0 {
			r[b] = rowSlow
			continue
		}
		if e&eUnit != 0 {
			r[b] = m.unit(rex, b)
			continue
		}
		rest := int(x>>8&7) - 1 + int(e>>eImm&15)
		s := m.tails[then][rest]
		if x&xSIB != 0 {
			s = m.sib(sibKey{rex&2 != 0, rex&1 != 0, b < 0x40, e&eAddress == 0, then, rest})
		}
		switch {
		case x&xRIP != 0:
			s |= labelRIP << rowBits
		case zx != noReg:
			s |= uint16(labelZx+zx) << rowBits
		}
		r[b] = s
	}
	return r
}

// unit is the row behind the ModRM byte of a 32-bit and of a register with an
// immediate, which begins an indirect jump unit if it is -32. Then the and alone
// zero-extends nothing.
func (m *maker) unit(rex, modrm int) uint16 {
	n := byte(modrm & 7)
	var add []byte
	switch {
	case m.abi == X86_32:
	case rex == 0:
		add = []byte{0x4c, 0x01, 0xf8 | n}
	case rex == 9:
		add = []byte{0x4d, 0x01, 0xf8 | n, 0x41}
	default:
		return rowSlow
	}
	r := constant(rowStart)
	if m.abi == Classic {
		r = constant(rowStart | uint16(labelZx+int(n)+rex&1<<3)<<rowBits)
	}
	jump := string(add) + string([]byte{0xff, 0xe0 | n})
	call := string(add) + string([]byte{0xff, 0xd0 | n})
	r[0xe0] = m.sequences([]string{jump, call})
	return m.add(r)
}

// sib is the row before a SIB byte.
func (m *maker) sib(key sibKey) uint16 {
	i, ok := m.sibs[key]
	if ok {
		return i
	}
	var r row
	for b := range r {
		f := sibOf(m.abi, key.x, key.b, key.mod0, b)
		index := f & sIndex
		r[b] = m.tails[key.then][key.rest]
		switch {
		case f&sSlow != 0 || f&sBase != 0 && key.access:
			r[b] = rowSlow
		case index != noReg && key.access:
			r[b] |= uint16(labelIndex+index) << rowBits
		}
	}
	i = m.add(r)
	m.sibs[key] = i
	return i
}
