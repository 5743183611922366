package validator

// What the fast path's automaton is made from: what the generated tables say
// about most instructions, in a form that is quick to combine.
//
// An instruction is looked up in three steps: its prefixes and its opcode select
// a group of sixteen entries; the ModRM byte together with REX.R, REX.B and the
// presence of 65 67 gives a word of facts; kind of operand and reg field select
// the entry. An entry holds the facts that it does not stand, so that one AND
// tells whether step has to look.

// Bits of a word of facts about a ModRM byte, and in the same places of an
// entry, which of them do not go with it or are of interest.
const (
	xRegSP   = 1 << iota // the reg field is rsp; for the NaCl ABIs, rsp or rbp or r15
	xReg15               // the reg field is r15
	xRmSP                // likewise for a register in r/m
	xRm15                //
	xPlain               // a memory operand without 65 67; for classic, one whose base may be anything
	xUseless             // 65 67 although r/m is a register or %rip-relative; for classic, perhaps a prelude
	xRIP                 // %rip-relative, which is no obstacle but has to be looked at
	xSegment             // a memory operand with 65 67
	xLength              // three bits: ModRM and displacement
	xSIB     = 1 << 11
	// The upper four bits of facts select the entry of a group.
	xSelect = 12
)

// Further bits of an entry.
const (
	eImm   = 16 // four bits: length of the immediate
	eREX   = 20 // four bits: B, X, R and presence of REX that do not go with it
	eRel8  = 1 << 24
	eRel32 = 1 << 25
	eNeed  = 1 << 26 // needs a CPU feature
	eSlow  = 1 << 27 // left to step

	// Of the classic ABI: the address is computed and not used, and which
	// register is zero-extended, two bits: none, reg, r/m, or that of the opcode.
	eAddress = 1 << 28
	eZx      = 29

	eUnit = 1 << 31 // and with an immediate, which may begin an indirect jump unit
)

// xObstacles are the facts that make an instruction one for step.
const xObstacles = 0xff &^ xRIP

// heads are made from the generated tables for one ABI. They tell all about an
// instruction but what its SIB byte says.
type heads struct {
	abi     ABI
	groups  [16 * 256]uint16 // by map (0 or 0f), prefix, W and opcode
	facts   [8 * 256]uint16  // by 65 67, REX.R, REX.B and ModRM
	entries []uint32         // sixteen for each group
}

// Of a SIB byte: the index register or noReg, and what is wrong with the base.
const (
	sIndex = 31
	sBase  = 32 // not one that an access may have
	sSlow  = 64 // none, but a displacement; step knows what to do
)

func newHeads(abi ABI) *heads {
	t := &heads{abi: abi}
	for i := range t.facts {
		t.facts[i] = factsOf(abi, i>>10 != 0, i>>9&1 != 0, i>>8&1 != 0, i&255)
	}
	// Group 0 is for what has no cell.
	known := map[[16]uint32]uint16{}
	add := func(g [16]uint32) uint16 {
		i, ok := known[g]
		if !ok {
			i = uint16(len(t.entries) / 16)
			known[g] = i
			t.entries = append(t.entries, g[:]...)
		}
		return i
	}
	var slow [16]uint32
	for i := range slow {
		slow[i] = eSlow
	}
	add(slow)
	cells := &legacyCells64
	if abi == X86_32 {
		cells = &legacyCells32
	}
	for opmap := range 2 {
		for prefix := range 4 {
			for w := range 2 {
				for op := range 256 {
					g := slow
					cell := cells[(opmap*6+prefix)*2+w][op]
					for i := range g {
						switch {
						case cell>>14 == 0:
							g[i] = entryOf(abi, &forms[cell], op, false, false)
						case cell>>14 == 1:
							g[i] = entryOf(abi, &forms[narrowGroups[cell&0x3fff][i]], op, true, i >= 8)
						case i >= 8:
							g[i] = entryOf(abi, &forms[wideGroups[cell&0x3fff][64+i-8]], op, true, true)
						}
					}
					if opmap == 0 {
						if op == 0x83 && prefix == 0 && w == 0 {
							g[4] |= eUnit
						}
						if abi == Classic && op&^2 == 0x89 && prefix == 0 && w == 0 {
							for i := range 8 {
								g[i] |= xUseless // may begin a string unit
							}
						}
						if abi != Halite && op == 0x90 && prefix < 2 {
							// A nop, with 66 another; with REX it depends.
							for i := range g {
								g[i] = 8 << eREX
							}
						}
					}
					t.groups[(opmap<<3|prefix<<1|w)<<8|op] = add(g)
				}
			}
		}
	}
	return t
}

// factsOf makes a word of facts.
func factsOf(abi ABI, gs, r, b bool, m int) (f uint16) {
	set := func(bit uint16, yes bool) {
		if yes {
			f |= bit
		}
	}
	reg, rm := m>>3&7, m&7
	f |= uint16(reg) << xSelect
	if r {
		reg |= 8
	}
	shape := memoryShapes[m]
	isMem := m < 0xc0
	base := rm
	if b {
		base |= 8
	}
	set(8<<xSelect, isMem)
	set(xSIB, isMem && shape&hasSIB != 0)
	f |= xLength * (1 + uint16(shape&dispSize))
	switch abi {
	case Halite:
		set(xRegSP, reg == regSP)
		set(xReg15, reg == reg15)
		set(xRmSP, !isMem && base == regSP)
		set(xRm15, !isMem && base == reg15)
		set(xPlain, isMem && !gs && shape&isRIP == 0)
		set(xUseless, gs && (!isMem || shape&isRIP != 0))
		set(xSegment, isMem && gs)
		set(xRIP, isMem && shape&isRIP != 0)
	case Classic:
		reserved := func(r int) bool { return r == regSP || r == regBP || r == reg15 }
		set(xRegSP, reserved(reg))
		set(xRmSP, !isMem && reserved(base))
		set(xPlain, isMem && shape&(hasSIB|isRIP) == 0 && base != regBP && base != reg15)
		set(xUseless, !r && !b && (m == 0xf6 || m == 0xff))
	}
	return f
}

// sibOf makes the facts about a SIB byte.
func sibOf(abi ABI, x, b, mod0 bool, sib int) uint8 {
	base, index := sib&7, sib>>3&7
	if b {
		base |= 8
	}
	if x {
		index |= 8
	}
	f := uint8(noReg)
	if sib&7 == 5 && mod0 {
		f |= sSlow
	}
	switch abi {
	case Halite:
		if base == regSP {
			f |= sBase
		}
	case Classic:
		if base != regSP && base != regBP && base != reg15 {
			f |= sBase
		}
		if index != 4 {
			f = f&^sIndex | uint8(index)
		}
	}
	return f
}

// entryOf makes the entry of a form.
func entryOf(abi ABI, f *form, op int, modrm, isMem bool) uint32 {
	if f.verdict[abi] != ruleNone || f.flags&(fSuffix|fVexUsed|fVexLoose|fIs4) != 0 {
		return eSlow
	}
	e := uint32(f.imm) << eImm
	set := func(bit uint32, yes bool) {
		if yes {
			e |= bit
		}
	}
	has := func(x formFlags) bool { return f.flags&x != 0 }
	set(eRel8, has(fRel8))
	set(eRel32, has(fRel32))
	set(eNeed, f.need != needNothing)
	if modrm {
		e |= 7*xLength | xSIB
	}
	if abi == X86_32 {
		return e
	}
	if has(fOpGPR) && op&7 == regSP || abi == Classic && has(fOpWritten) && op&7 == regBP {
		return eSlow
	}
	set(1<<eREX, has(fOpWritten) && op&7 == 7)
	if abi == Classic {
		set(8<<eREX, has(fNoREX))
		set(xRegSP, has(fRegWritten))
		set(xRmSP, has(fRmWritten))
		set(xPlain, isMem && !has(fAddressOnly|fHint))
		set(eAddress, has(fAddressOnly|fHint))
		switch {
		case has(fZxReg):
			e |= 1 << eZx
		case has(fZxRm):
			e |= 2 << eZx
		case has(fZxOp):
			e |= 3 << eZx
		case has(fZxAcc):
			return eSlow
		}
		return e
	}
	// Extension bits only for fields that exist: B and X for memory.
	set(4<<eREX, !has(fRegExt))
	set(2<<eREX, !isMem)
	set(1<<eREX, !isMem && !has(fRmExt|fOpExt))
	set(8<<eREX, has(fNoREX|fRel8|fRel32|fRet))
	set(xRegSP, has(fRegGPR))
	set(xReg15, has(fRegGPR) && has(fRegWritten))
	set(xRmSP, has(fRmGPR))
	set(xRm15, has(fRmGPR) && has(fRmWritten))
	switch {
	case !isMem:
		e |= xUseless | xSegment
	case has(fAddressOnly):
		e |= xSegment
	default:
		e |= xPlain | xUseless | xRIP
	}
	return e
}
