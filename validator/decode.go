package validator

import "encoding/binary"

// Prefix bits, as collected by step.
const (
	pGS uint = 1 << iota
	pFS
	pAddr
	p66
	pF3
	pF2
	pLock
	pREX
	pNever // a prefix that no instruction takes
)

// prefixes holds what the prefix bytes of 64-bit mode are: in the lower half
// the number of the bit above, in the upper half the place in canonical order,
// from 1. 0 is no prefix.
var prefixes = [256]uint8{
	0x65: 0x10, 0x64: 0x11, 0x67: 0x22, 0x66: 0x33, 0xf3: 0x44, 0xf2: 0x45, 0xf0: 0x46,
	0x40: 0x57, 0x41: 0x57, 0x42: 0x57, 0x43: 0x57, 0x44: 0x57, 0x45: 0x57, 0x46: 0x57, 0x47: 0x57,
	0x48: 0x57, 0x49: 0x57, 0x4a: 0x57, 0x4b: 0x57, 0x4c: 0x57, 0x4d: 0x57, 0x4e: 0x57, 0x4f: 0x57,
	0x26: 0x68, 0x2e: 0x68, 0x36: 0x68, 0x3e: 0x68,
}

// memoryShapes says by the ModRM byte of a memory operand what follows.
var memoryShapes = func() (t [256]uint8) {
	for m := range t[:0xc0] {
		switch m >> 6 {
		case 1:
			t[m] = 1
		case 2:
			t[m] = 4
		}
		switch {
		case m&7 == 4:
			t[m] |= hasSIB
		case m&0xc7 == 5:
			t[m] = 4 | isRIP
		}
	}
	return t
}()

const (
	dispSize = 7
	hasSIB   = 8
	isRIP    = 16
)

// mandatory maps the bits p66, pF3, pF2 (shifted down) to the prefix index of
// the tables: none, 66, f3, f2, 66 f3, 66 f2. f2 and f3 never come together.
var mandatory = [8]uint8{0, 1, 2, 4, 3, 5, 0, 0}

const mandatoryShift = 3

// A checker walks over one text. Its buffer holds the current bundle, followed
// by zeros that are never accepted as part of an instruction: they are there
// so that reading ahead needs no test.
type checker struct {
	buf [64]byte

	text   []byte
	base   int64 // sandbox offset of text[0]
	bundle int   // offset of the bundle in buf from the start of the text

	thread uint32   // displacement of the thread pointer word
	starts []uint32 // a bit for every instruction that may be jumped to
	jumped []uint32 // a bit for every place in the text that is jumped to

	// The checker looks at the text from lo to hi. Of several that share a text,
	// each writes to its own part of starts and has a bitmap of its own for jumped.
	lo, hi uint

	// checkTargets makes step judge branches inside the text by starts, which
	// must be complete; without it they are noted in jumped.
	checkTargets bool

	target int64 // that a branch should not have, when it is judged so

	abi      ABI
	fast     *automaton
	features Features // that the CPU has; 0 does not ask

	// Of the NaCl ABIs: the register that the instruction before has
	// zero-extended; the starts in this bundle that are no branch targets;
	// whether decodeNaCl decodes the end of a sequence, and that this was a
	// masked store.
	zx                    uint
	inner                 uint32
	sequence, maskedStore bool

	// threadLoad is the offset in the bundle of the displacement when the
	// instruction was a thread pointer load, otherwise 0.
	threadLoad int
}

// load makes the bundle at offset off of the text the current one.
func (c *checker) load(off int) {
	copy(c.buf[:BundleSize], c.text[off:off+BundleSize])
	c.bundle = off
}

// unit returns the length of the indirect jump unit that starts at p, or 0:
//
//	and  $-32, %eN        [41] 83 e0+N e0
//	add  %r15, %rN        4c|4d 01 f8+N
//	jmp  *%rN             [41] ff e0+N      (call: ff d0+N)
//
// N may be any register but rsp and r15. The three have one encoding each, the
// one that assemblers choose, so that a unit is recognised by its bytes. It
// ends within the bundle: behind the bundle the buffer holds zeros, and a unit
// does not end in one.
func (c *checker) unit(p uint) uint {
	w := binary.LittleEndian.Uint64(c.buf[p&31:])
	if w&0xff == 0x41 { // r8 to r14
		n := w >> 16 & 7
		if w&^(7<<16|7<<48) != 0x41_f8014d_e0_e08341 || w>>48&7 != n || n == 7 {
			return 0
		}
		j := uint64(binary.LittleEndian.Uint16(c.buf[(p+8)&63:]))
		if j != 0xe0ff|n<<8 && j != 0xd0ff|n<<8 {
			return 0
		}
		return 10
	}
	n := w >> 8 & 7
	if w&^(7<<8|7<<40|7<<56|0x30<<56) != 0xc0ff_f8014c_e0_e083 || w>>40&7 != n || w>>56&7 != n || n == 4 {
		return 0
	}
	if op := w >> 59 & 7; op != 4 && op != 2 {
		return 0
	}
	return 8
}

// step decodes the instruction, or the unit, that starts at p in the bundle.
// It returns its length, and the rule that it breaks or 0. The length is 0
// when the bytes can't be told from another instruction's: the rest of the
// bundle is then unknown.
func (c *checker) step(p uint) (uint, ruleID) {
	q := p
	b := c.buf[q&63]

	// 1. Prefixes: each at most once, in the order that assemblers use. Their
	// places in that order grow, or it is another order.
	var pfx, rex uint
	if b == 0x41 && c.buf[(q+1)&63] == 0x83 || b == 0x83 {
		if n := c.unit(p); n != 0 {
			return n, ruleNone
		}
	} else if b == 0x66 {
		if n := c.padding(p); n != 0 {
			return n, ruleNone
		}
	}
	for x := prefixes[b]; x != 0; {
		pfx |= 1 << (x & 15)
		rex = uint(b) // of the last one
		q++
		b = c.buf[q&63]
		next := prefixes[b]
		if next != 0 && next>>4 <= x>>4 {
			return 0, rulePrefix
		}
		x = next
	}
	if pfx&pNever != 0 {
		return 0, rulePrefix
	}
	if pfx&pREX == 0 {
		rex = 0
	}

	// 2. Opcode. ext holds the register extension bits R, X, B as in REX.
	var cell uint16
	var vvvv uint
	ext := rex & 7
	op := b
	isVex := false
	switch b {
	case 0xc4, 0xc5:
		if rex != 0 || pfx&(p66|pF3|pF2|pLock) != 0 {
			return 0, ruleVex
		}
		isVex = true
		var page uint
		v := uint(c.buf[(q+1)&63])
		if b == 0xc5 {
			ext = (^v >> 5) & 4
			page = (v&3)<<2 | v>>2&1
			vvvv = ^v >> 3 & 15
			q += 2
		} else {
			v2 := uint(c.buf[(q+2)&63])
			m := v & 31
			if m-1 > 2 {
				return 0, ruleOpcode
			}
			ext = ^v >> 5 & 7
			page = (m-1)<<4 | (v2&3)<<2 | v2>>6&2 | v2>>2&1
			vvvv = ^v2 >> 3 & 15
			q += 3
		}
		op = c.buf[q&63]
		cell = vexCells64[page][op]
	case 0x0f:
		q++
		op = c.buf[q&63]
		m := uint(1)
		if op == 0x38 || op == 0x3a {
			m = 2 + uint(op>>1&1)
			q++
			op = c.buf[q&63]
		}
		cell = legacyCells64[(m*6+uint(mandatory[pfx>>mandatoryShift&7]))*2+rex>>3&1][op]
	default:
		cell = legacyCells64[uint(mandatory[pfx>>mandatoryShift&7])*2+rex>>3&1][op]
	}
	q++

	// 3. Operands and length.
	var f *form
	var reg, rm uint
	allowed := uint(0) // REX bits that mean something
	mem, ripRelative, namesRSP := false, false, false
	var disp int32
	if cell>>14 == 0 {
		f = &forms[cell]
	} else {
		m := uint(c.buf[q&63])
		q++
		reg, rm = m>>3&7, m&7
		if m >= 0xc0 {
			if cell>>14 == 1 {
				f = &forms[narrowGroups[cell&0x3fff][reg]]
			} else {
				f = &forms[wideGroups[cell&0x3fff][m-0xc0]]
			}
			rm |= ext << 3 & 8
		} else {
			mem = true
			allowed = 3
			if cell>>14 == 1 {
				f = &forms[narrowGroups[cell&0x3fff][8+reg]]
			} else {
				f = &forms[wideGroups[cell&0x3fff][64+reg]]
			}
			shape := memoryShapes[m]
			if shape&hasSIB != 0 {
				sib := c.buf[q&63]
				q++
				namesRSP = sib&7 == 4 && ext&1 == 0
				if sib&7 == 5 && m < 0x40 {
					q += 4 // no base, but a displacement
				}
			} else if shape&isRIP != 0 {
				ripRelative = true
				disp = int32(binary.LittleEndian.Uint32(c.buf[q&31:]))
			}
			q += uint(shape & dispSize)
		}
		reg |= ext << 1 & 8
	}
	q += uint(f.imm)
	n := q - p
	flags := f.flags

	if q > BundleSize {
		return 0, ruleBundle
	}

	// 4. The verdict of the table.
	if v := f.verdict[Halite]; v != 0 {
		if v == ruleOpcode {
			n = 0 // unknown, so is its length
			if pfx&(p66|pF3|pF2) != 0 {
				v = rulePrefix
			}
		}
		return n, v
	}

	if c.features != 0 && c.features.lacks(f.need) {
		return n, ruleFeature
	}

	// 5. Memory operands, and prefixes that go with them.
	if mem {
		switch {
		case flags&fAddressOnly != 0:
			if pfx&(pGS|pFS) != 0 || pfx&pAddr != 0 && (flags&fLea == 0 || ripRelative) {
				return n, rulePrefix
			}
		case pfx&pFS != 0:
			if r := c.threadPointer(p, rex); r != ruleNone {
				return n, r
			}
		case ripRelative:
			if pfx&(pGS|pAddr) != 0 {
				return n, ruleMemRIP
			}
			t := c.base + int64(c.bundle) + int64(q) + int64(disp)
			if t < SandboxStart || t > SandboxEnd-ripSlack {
				return n, ruleMemRange
			}
		case pfx&(pGS|pAddr) != pGS|pAddr:
			return n, ruleMemSegment
		}
		if namesRSP {
			return n, ruleRSP
		}
	} else if pfx&(pGS|pFS|pAddr) != 0 {
		return n, rulePrefix
	}
	if pfx&pLock != 0 && flags&fLock == 0 {
		return n, ruleLock
	}

	// 6. Bits that the instruction has no use for.
	if flags&fRegExt != 0 {
		allowed |= 4
	}
	if flags&fRmExt != 0 && !mem || flags&fOpExt != 0 {
		allowed |= 1
	}
	if isVex {
		if ext&^allowed != 0 || vvvv != 0 && flags&fVexUsed == 0 {
			return n, ruleVex
		}
		if flags&fIs4 != 0 && c.buf[(q-1)&63]&15 != 0 {
			return n, ruleVex
		}
	} else if rex != 0 && (ext&^allowed != 0 || flags&(fNoREX|fRel8|fRel32|fRet) != 0) {
		return n, ruleRex
	}

	// 7. General registers: none is rsp, none that is written is r15. Without
	// REX, 4 in an 8-bit operand is %ah.
	if flags&anyGPR != 0 {
		if flags&fRegGPR != 0 {
			if reg == 4 && (flags&fReg8 == 0 || rex != 0) {
				return n, ruleRSP
			}
			if reg == 15 && flags&fRegWritten != 0 {
				return n, ruleR15
			}
		}
		if flags&fRmGPR != 0 {
			if rm == 4 && (flags&fRm8 == 0 || rex != 0) {
				return n, ruleRSP
			}
			if rm == 15 && flags&fRmWritten != 0 {
				return n, ruleR15
			}
		}
		if flags&fOpGPR != 0 {
			o := uint(op)&7 | ext<<3&8
			if o == 4 && (flags&fOp8 == 0 || rex != 0) {
				return n, ruleRSP
			}
			if o == 15 && flags&fOpWritten != 0 {
				return n, ruleR15
			}
		}
		if flags&fVexGPR != 0 {
			if vvvv == 4 {
				return n, ruleRSP
			}
			if vvvv == 15 && flags&fVexWritten != 0 {
				return n, ruleR15
			}
		}
	}

	// 8. Direct branches.
	if flags&(fRel8|fRel32) != 0 {
		if broken := c.branch(q, flags); broken != ruleNone {
			return n, broken
		}
	}
	return n, ruleNone
}

// branch judges a direct branch whose instruction ends at q.
func (c *checker) branch(q uint, flags formFlags) ruleID {
	t := int64(c.bundle) + int64(q)
	if flags&fRel8 != 0 {
		t += int64(int8(c.buf[(q-1)&63]))
	} else {
		t += int64(int32(binary.LittleEndian.Uint32(c.buf[(q-4)&31:])))
	}
	switch {
	case uint64(t) >= uint64(len(c.text)):
		// Bundles of the NaCl ABIs may be named wherever they are: around a
		// sandbox there are guards that a direct branch does not cross, or
		// segment limits.
		if s := c.base + t; s%BundleSize != 0 || c.abi == Halite && (s < SandboxStart || s >= SandboxEnd) {
			return ruleJumpRange
		}
	case c.checkTargets:
		if c.starts[t/BundleSize]>>(t%BundleSize)&1 == 0 {
			c.target = t
			return ruleJumpTarget
		}
	default:
		c.jumped[t/BundleSize] |= 1 << (t % BundleSize)
	}
	return ruleNone
}

// ripSlack is how far in front of SandboxEnd a rip-relative operand has to
// begin. What lies behind the end is 64 KiB that are never mapped, more than
// any operand is long; the slack makes the rule independent of that.
const ripSlack = 64

// threadPointer decides about an instruction with %fs:, of which only one
// form is left: mov %fs:disp32, %r32 with the displacement of the thread
// pointer word. All of its bytes are compared, so that no prefix can stand
// between. That the destination is neither rsp nor r15 is the business of
// the general rule.
func (c *checker) threadPointer(p, rex uint) ruleID {
	q := p + 1
	if rex != 0 {
		if rex&^4 != 0x40 {
			return ruleMemFS
		}
		q++
	}
	if c.buf[q&63] != 0x8b || c.buf[(q+1)&63]&0xc7 != 0x04 || c.buf[(q+2)&63] != 0x25 {
		return ruleMemFS
	}
	if binary.LittleEndian.Uint32(c.buf[(q+3)&31:]) != c.thread {
		return ruleMemFS
	}
	c.threadLoad = int(q + 3)
	return ruleNone
}

// padding returns the length of the padding sequence that starts at p, or 0.
func (c *checker) padding(p uint) uint {
	rest := c.buf[p&31 : 64]
	if b := rest[1]; b != 0x66 && b != 0x2e && b != 0x0f {
		return 0
	}
	for _, s := range &paddings {
		if uint(len(s)) <= BundleSize-p && string(rest[:len(s)]) == s {
			return uint(len(s))
		}
	}
	return 0
}
