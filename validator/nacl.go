package validator

import "encoding/binary"

// The two NaCl ABIs: classic (x86-64) and x86-32. Their rules follow the
// published validator, verdict by verdict, with one exception (see xchg in
// decodeNaCl). docs/validator.md argues them.

// Numbers of registers that rules name; noReg is none of the sixteen.
const (
	regSP = 4
	regBP = 5
	reg15 = 15
	noReg = 16
)

// pHint is the prefix bit of branch hints, which only the NaCl ABIs know.
const pHint = pNever << 1

// naclPrefixes gives the prefix bit of a byte, or 0. In 32-bit mode there is
// no REX.
var naclPrefixes = func() (t [2][256]uint16) {
	for i := range t {
		t[i][0x66], t[i][0xf3], t[i][0xf2], t[i][0xf0] = uint16(p66), uint16(pF3), uint16(pF2), uint16(pLock)
		t[i][0x2e], t[i][0x3e] = uint16(pHint), uint16(pHint)
		for _, b := range []int{0x26, 0x36, 0x64, 0x65, 0x67} {
			t[i][b] = uint16(pNever)
		}
	}
	for b := 0x40; b < 0x50; b++ {
		t[0][b] = uint16(pREX)
	}
	return t
}()

// stepNaCl is step for the NaCl ABIs. It also keeps two things up to date: zx,
// the register that the instruction zero-extends, and inner, the starts of
// instructions that depend on the one before and so are no branch targets.
func (c *checker) stepNaCl(p uint) (uint, ruleID) {
	zx := c.zx
	c.zx = noReg
	if zx == regSP || zx == regBP {
		// 32 bits of rsp or rbp have been written: until the base is added,
		// the register points anywhere, and an interrupt may come.
		if n := c.fixUp(p, zx); n != 0 {
			c.inner |= 1 << p
			return n, ruleNone
		}
		n, broken := c.decodeNaCl(p, noReg)
		if n != 0 {
			broken = ruleSPAlone
			if zx == regBP {
				broken = ruleBPAlone
			}
		}
		return n, broken
	}
	return c.decodeNaCl(p, zx)
}

// fixUp returns the length of the instruction at p if it adds the sandbox base
// to the zero-extended rsp or rbp, otherwise 0:
//
//	add %r15, %rsp           4c|4e 01 fc   49|4b 03 e7     rbp: fd, ef
//	or  %r15, %rsp           4c|4e 09 fc   49|4b 0b e7     rsp only
//	lea (%rsp,%r15), %rsp    4a 8d 24 3c                   rsp only
//	lea 0(%rsp,%r15), %rsp   4a 8d 64 3c 00                rbp: 6c 3d
//	lea 0(%rsp,%r15), %rsp   4a 8d a4 3c 00 00 00 00       rbp: ac 3d
func (c *checker) fixUp(p, reg uint) uint {
	w := binary.LittleEndian.Uint64(c.buf[p&31:])
	d := uint64(reg - regSP) // 0 for rsp, 1 for rbp
	n := uint(0)
	switch w & 0xff_ff_fd {
	case 0xfc_01_4c + d<<16, 0xe7_03_49 + d<<19:
		n = 3
	case 0xfc_09_4c, 0xe7_0b_49:
		if reg == regSP {
			n = 3
		}
	}
	switch {
	case w&0xffffffff == 0x3c_24_8d_4a && reg == regSP:
		n = 4
	case w&0xff_ffff_ffff == 0x00_3c_64_8d_4a+d<<19+d<<24:
		n = 5
	case w == 0x3c_a4_8d_4a+d<<19+d<<24:
		n = 8
	}
	if p+n > BundleSize {
		return 0 // made of the zeros behind the bundle
	}
	return n
}

// freeMove recognises the writes of rsp and rbp that keep them in the sandbox
// by themselves, by the bytes from the REX prefix on:
//
//	mov %rsp, %rbp    48|4a 89 e5   48|4a 8b ec
//	mov %rbp, %rsp    48|4a 89 ec   48|4a 8b e5
//	and $imm8, %rsp   48 83 e4 80..ff
//
// The last one clears low bits only: sign extension keeps the base.
func (c *checker) freeMove(q uint) bool {
	w := binary.LittleEndian.Uint32(c.buf[q&31:])
	switch w & 0xff_ff_fd {
	case 0xe5_89_48, 0xec_8b_48, 0xec_89_48, 0xe5_8b_48:
		return true
	}
	return w&0x80_ff_ff_ff == 0x80_e4_83_48
}

// jumpUnit returns the length of the indirect jump unit that starts at p, or 0:
//
//	and  $-32, %eN       (at most an unnecessary REX)
//	add  %r15, %rN       4c|4d 01 f8+N   or   49|4d 03 c7+8N, REX.X free
//	jmp  *%rN            [REX] ff e0+N   (call: ff d0+N)
//
// In 32-bit mode there is neither REX nor add.
func (c *checker) jumpUnit(p uint) uint {
	q := p
	rex := uint(0)
	if b := uint(c.buf[q&63]); b&0xf8 == 0x40 && c.abi == Classic {
		rex = b
		q++
	}
	w := binary.LittleEndian.Uint32(c.buf[q&31:])
	if w&0xff_f8_ff != 0xe0_e0_83 {
		return 0
	}
	n := uint(w>>8&7) | rex&1<<3
	q += 3
	if c.abi == Classic {
		if n == reg15 {
			return 0
		}
		w := binary.LittleEndian.Uint32(c.buf[q&31:]) & 0xff_ff_fd
		high, low := uint32(n>>3), uint32(n&7)
		if w != 0xf8_01_4c+low<<16+high && w != 0xc7_03_49+low<<19+high<<2 {
			return 0
		}
		q += 3
		if b := uint(c.buf[q&63]); b&0xf0 == 0x40 {
			if b&1 != n>>3 {
				return 0
			}
			q++
		} else if n > 7 {
			return 0
		}
	}
	if m := uint(c.buf[(q+1)&63]); c.buf[q&63] != 0xff || m != 0xe0|n&7 && m != 0xd0|n&7 {
		return 0
	}
	return q + 2 - p
}

// prelude returns the length of the two instructions that make rsi (6) or rdi
// (7) an address in the sandbox, or 0:
//
//	mov %esi, %esi              [40|42] 89|8b f6     rdi: ff
//	lea (%r15,%rsi,1), %rsi     49 8d 34 37          rdi: 3c 3f
func (c *checker) prelude(p uint, reg uint32) uint {
	q := p
	if c.buf[q&63]&^2 == 0x40 {
		q++
	}
	w := binary.LittleEndian.Uint64(c.buf[q&31:])
	if uint32(w)&0xff_fd != (0xc0|9*reg)<<8|0x89 || uint32(w>>16) != 0x07_04_8d_49+reg<<19+reg<<27 {
		return 0
	}
	return q + 6 - p
}

// stringUnit returns the length of the string instruction or masked store with
// its preludes that starts at p, or 0.
func (c *checker) stringUnit(p uint) uint {
	si := c.prelude(p, 6)
	di := c.prelude((p+si)&63, 7)
	q := p + si + di
	if q == p || q >= BundleSize {
		return 0
	}
	b := c.buf[q]
	op, wide, rep, repne := b, false, b == 0xf3, b == 0xf2
	end := q + 1
	if rep || repne {
		op = c.buf[end&63]
		end++
	}
	if op == 0x48 || op == 0x66 && end == q+1 {
		wide = true
		op = c.buf[end&63]
		end++
	}
	if end > BundleSize {
		return 0
	}
	if wide && op&1 == 0 {
		op = 0 // no string instruction
	}
	switch op {
	case 0xa4, 0xa5: // movs
		if si != 0 && di != 0 && !repne {
			return end - p
		}
	case 0xa6, 0xa7: // cmps
		if si != 0 && di != 0 {
			return end - p
		}
	case 0xaa, 0xab: // stos
		if si == 0 && !repne {
			return end - p
		}
	case 0xae, 0xaf: // scas
		if si == 0 {
			return end - p
		}
	case 0xac, 0xad: // lods
		if di == 0 && !repne {
			return end - p
		}
	}
	if si != 0 {
		return 0
	}
	// maskmovq, maskmovdqu, vmaskmovdqu: the only other forms of sequences
	// that have no unit of their own.
	c.sequence, c.maskedStore = true, false
	n, broken := c.decodeNaCl(q, noReg)
	c.sequence = false
	if broken != ruleNone || !c.maskedStore {
		return 0
	}
	return q + n - p
}

// threadPointer32 returns the length of the read of the thread pointer at p in
// 32-bit mode, or 0: `mov %gs:0, %reg` or `mov %gs:4, %reg`.
func (c *checker) threadPointer32(p uint) uint {
	q := p + 1
	switch m := c.buf[(q+1)&63]; {
	case c.buf[q&63] == 0xa1:
		q++
	case c.buf[q&63] == 0x8b && m&0xc7 == 0x05:
		q += 2
	default:
		return 0
	}
	if d := binary.LittleEndian.Uint32(c.buf[q&31:]); d != 0 && d != 4 || q+4 > BundleSize {
		return 0
	}
	return q + 4 - p
}

// decodeNaCl is the body of stepNaCl: zx is the register that the instruction
// before has zero-extended.
func (c *checker) decodeNaCl(p, zx uint) (uint, ruleID) {
	q := p
	b := c.buf[q&63]
	is32 := c.abi == X86_32
	prefixTable := &naclPrefixes[c.abi-Classic]

	if b == 0x83 || c.buf[(q+1)&63] == 0x83 {
		if n := c.jumpUnit(p); n != 0 {
			return n, ruleNone
		}
	}

	// 1. Prefixes: each at most once, REX last.
	var pfx, rex uint
	rexAt := q
	for x := uint(prefixTable[b]); x != 0; x = uint(prefixTable[b]) {
		switch {
		case x == pREX:
			rex, rexAt = uint(b), q
		case x == p66 && q == p:
			if n := c.padding(p); n != 0 {
				return n, ruleNone
			}
		case x == pNever:
			if b == 0x65 && is32 && q == p {
				if n := c.threadPointer32(p); n != 0 {
					return n, ruleNone
				}
			}
			return 0, rulePrefix
		}
		if pfx&x != 0 || pfx&pREX != 0 || is32 && x == p66 && pfx&pLock != 0 {
			return 0, rulePrefix
		}
		pfx |= x
		q++
		b = c.buf[q&63]
	}
	if pfx&(pF2|pF3) == pF2|pF3 {
		return 0, rulePrefix
	}

	// 2. Opcode. ext holds the register extension bits R, X, B as in REX.
	var cell uint16
	var vvvv uint
	ext := rex & 7
	op := b
	isVex, repeated := false, false
	if (b == 0xc4 || b == 0xc5) && (!is32 || c.buf[(q+1)&63] >= 0xc0) {
		if pfx != 0 {
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
		if is32 {
			if ext != 0 || vvvv > 7 {
				return 0, ruleVex
			}
			cell = vexCells32[page][op]
		} else {
			cell = vexCells64[page][op]
		}
	} else {
		var m uint
		if b == 0x0f {
			q++
			op = c.buf[q&63]
			m = 1
			if op == 0x38 || op == 0x3a {
				m = 2 + uint(op>>1&1)
				q++
				op = c.buf[q&63]
			}
		} else {
			if is32 && op >= 0xa4 && op <= 0xaf && pfx&(pF2|pF3) != 0 {
				// Here these are repetitions, elsewhere part of the opcode.
				if pfx&p66 != 0 {
					return 0, rulePrefix
				}
				repeated = true
			}
		}
		page := (m*6 + uint(mandatory[pfx>>mandatoryShift&7])) * 2
		switch {
		case repeated:
			cell = legacyCells32[0][op]
		case is32:
			cell = legacyCells32[page][op]
		default:
			cell = legacyCells64[page+rex>>3&1][op]
		}
	}
	q++

	// 3. Operands and length.
	var f *form
	var reg, rm, m uint
	allowed := uint(0) // VEX bits that mean something
	mem := false
	base, index := uint(noReg), uint(noReg)
	if cell>>14 == 0 {
		f = &forms[cell]
	} else {
		m = uint(c.buf[q&63])
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
			allowed = 1
			if cell>>14 == 1 {
				f = &forms[narrowGroups[cell&0x3fff][8+reg]]
			} else {
				f = &forms[wideGroups[cell&0x3fff][64+reg]]
			}
			shape := memoryShapes[m]
			base = rm | ext<<3&8
			if shape&hasSIB != 0 {
				sib := uint(c.buf[q&63])
				q++
				allowed = 3
				base = sib&7 | ext<<3&8
				if x := sib>>3&7 | ext<<2&8; x != 4 {
					index = x
				}
				if sib&7 == 5 && m < 0x40 {
					q += 4 // no base, but a displacement
					base = noReg
				}
			} else if shape&isRIP != 0 {
				base = reg15 // as good as it: the text is in the sandbox
				allowed = 0
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
	nonTemporal := false
	if v := f.verdict[c.abi]; v != 0 {
		why := f.verdict[Halite]
		switch v {
		case verdictRewrite:
			nonTemporal = true
		case verdictOff:
			return n, ruleMasked
		case verdictSequence:
			c.maskedStore = c.sequence && op == 0xf7 && !mem
			if !c.maskedStore {
				return n, why
			}
		default:
			if why == ruleNone {
				why = ruleNaCl
				if flags&fRet != 0 {
					why = ruleRet
				}
			}
			if why == ruleOpcode {
				n = 0 // unknown, so is its length
				if pfx&(p66|pF3|pF2) != 0 {
					why = rulePrefix
				}
			}
			return n, why
		}
	}
	need := f.need
	if flags&fSuffix != 0 {
		s := c.buf[(q-1)&63]
		switch {
		case suffixesE3DNow[s>>6]>>(s&63)&1 != 0:
			need = needE3DNow
		case suffixes3DNow[s>>6]>>(s&63)&1 == 0:
			return 0, ruleOpcode
		}
	}
	if c.features != 0 && c.features.lacks(need) {
		return n, ruleFeature
	}

	// 5. Prefixes that the row has to allow, and bits without a use.
	if pfx&^(p66|pREX) != 0 {
		switch {
		case pfx&pLock != 0 && flags&fLock == 0: // which rows of registers do not have
			return n, ruleLock
		case pfx&pHint != 0 && (flags&fBranchHint == 0 || pfx&^pREX != pHint):
			return 0, rulePrefix
		case repeated && (flags&(fRep|fCondRep) == 0 || pfx&pF2 != 0 && flags&fCondRep == 0):
			return 0, rulePrefix
		}
	}
	if isVex {
		if flags&fRegExt != 0 {
			allowed |= 4
		}
		if flags&fRmExt != 0 && !mem {
			allowed |= 1
		}
		if ext&^allowed != 0 || vvvv != 0 && flags&(fVexUsed|fVexLoose) == 0 {
			return n, ruleVex
		}
		if flags&fIs4 != 0 {
			if x := c.buf[(q-1)&63]; x&15 != 0 || is32 && x&0x80 != 0 {
				return n, ruleVex
			}
		}
	} else if rex != 0 && flags&fNoREX != 0 {
		return n, ruleRex
	}

	if !is32 {
		// 6. Memory operands.
		if mem && flags&(fAddressOnly|fHint) == 0 {
			if base != reg15 && base != regSP && base != regBP {
				return n, ruleMemBase
			}
			if index != noReg {
				if index != zx {
					return n, ruleMemIndex
				}
				c.inner |= 1 << p
			}
		}

		// 7. General registers that are written.
		if flags&anyWritten != 0 {
			writes := func(r uint, high bool, zeroExtends formFlags) ruleID {
				switch {
				case high || r != regSP && r != regBP && r != reg15:
				case r == reg15:
					return ruleR15
				case flags&zeroExtends != 0:
				case pfx&^pREX == 0 && c.freeMove(rexAt):
				case c.fixUp(p, r) != 0:
					return ruleSPFix + ruleID(r-regSP)
				default:
					return ruleSPWrite + ruleID(r-regSP)
				}
				return ruleNone
			}
			if flags&fRegWritten != 0 {
				if broken := writes(reg, flags&fReg8 != 0 && rex == 0, fZxReg); broken != ruleNone {
					return n, broken
				}
			}
			if flags&fRmWritten != 0 {
				if broken := writes(rm, flags&fRm8 != 0 && rex == 0, fZxRm); broken != ruleNone {
					return n, broken
				}
			}
			o := uint(op)&7 | ext<<3&8
			if flags&fOpWritten != 0 {
				if broken := writes(o, flags&fOp8 != 0 && rex == 0, fZxOp); broken != ruleNone {
					return n, broken
				}
			}
			if flags&fVexWritten != 0 {
				if broken := writes(vvvv, false, 0); broken != ruleNone {
					return n, broken
				}
			}
			if flags&anyZeroExtends != 0 {
				switch {
				case flags&fZxRm != 0:
					c.zx = rm
				case flags&fZxReg != 0:
					c.zx = reg
				case flags&fZxOp != 0:
					// 90 with a REX prefix whose B is clear is a nop for the
					// CPU and extends nothing. The original takes it for xchg.
					if o != 0 || op != 0x90 {
						c.zx = o
					}
				}
			}
		}
		if flags&fZxAcc != 0 {
			c.zx = 0
		}
	}

	// 8. Sequences that begin with a move that is fine by itself. All bytes are
	// looked at again; what may be one is told here only because it is rare.
	if op&^2 == 0x89 && (m == 0xf6 || m == 0xff) && !is32 {
		if n := c.stringUnit(p); n != 0 {
			c.zx = noReg
			return n, ruleNone
		}
	}

	// 9. Direct branches.
	if flags&(fRel8|fRel32) != 0 {
		if broken := c.branch(q, flags); broken != ruleNone {
			return n, broken
		}
	}
	if nonTemporal {
		return n, ruleNonTemporal
	}
	return n, ruleNone
}
