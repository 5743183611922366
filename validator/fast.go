package validator

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// The fast path: a deterministic automaton that reads the text byte by byte, one
// table look-up each, and knows most instructions of compiled programs. Four
// bundles are read at a time, a byte of each in turn, so that the processor need
// not wait for one look-up before it begins the next; nothing depends on what the
// bytes are. Only then is looked at where instructions began and which of them
// have something to be judged: branches, operands relative to rip, registers that
// have to be zero-extended.
//
// What the fast path accepts, step accepts with the same length and the same
// effects, and a test compares them over all encodings. What it does not know it
// leaves to step; it never refuses anything itself.

// A state of the automaton names the row of the next look-up and labels the byte
// that led to it.
const (
	rowBits  = 10
	rowMask  = 1<<rowBits - 1
	maxRows  = 1 << rowBits
	rowStart = 0 // an instruction ends here and the next one begins
	rowSlow  = 1 // the instruction is left to step; this row leads to itself
)

// Labels. That of a byte is known when the byte is, not at the instruction's end.
const (
	labelNone  = iota
	labelNeed  // needs a CPU feature
	labelRel8  // a direct branch
	labelRel32 //
	labelRIP   // the ModRM byte of a %rip-relative operand, whose displacement follows

	labelZx    = 16 // plus a register, which the instruction zero-extends
	labelIndex = 32 // plus a register, which the instruction before must have zero-extended
)

// An automaton gives the next state by row and byte. It has rows for an array of
// this size, so that no look-up can leave it.
type automaton [maxRows << 8]uint16

var automata = [3]func() *automaton{
	Halite:  sync.OnceValue(func() *automaton { return newAutomaton(Halite) }),
	Classic: sync.OnceValue(func() *automaton { return newAutomaton(Classic) }),
	X86_32:  sync.OnceValue(func() *automaton { return newAutomaton(X86_32) }),
}

// A trace holds the state behind every byte of a bundle, sixteen bits each.
type trace [2 * BundleSize]byte

// atOnce is how many bundles the automaton reads in turn.
const atOnce = 4

// run reads four bundles.
func (a *automaton) run(text *[atOnce * BundleSize]byte, t *[atOnce]trace) {
	var s0, s1, s2, s3 uint16
	for i := range BundleSize {
		s0 = a[uint(s0&rowMask)<<8|uint(text[i])]
		s1 = a[uint(s1&rowMask)<<8|uint(text[BundleSize+i])]
		s2 = a[uint(s2&rowMask)<<8|uint(text[2*BundleSize+i])]
		s3 = a[uint(s3&rowMask)<<8|uint(text[3*BundleSize+i])]
		binary.LittleEndian.PutUint16(t[0][2*i:], s0)
		binary.LittleEndian.PutUint16(t[1][2*i:], s1)
		binary.LittleEndian.PutUint16(t[2][2*i:], s2)
		binary.LittleEndian.PutUint16(t[3][2*i:], s3)
	}
}

// runFrom reads a bundle from p on, where an instruction begins.
func (a *automaton) runFrom(bundle *[BundleSize]byte, p uint, t *trace) {
	s := uint16(rowStart)
	for i := p & 31; i < BundleSize; i++ {
		s = a[uint(s&rowMask)<<8|uint(bundle[i])]
		binary.LittleEndian.PutUint16(t[2*i:], s)
	}
}

// marks returns which bytes end an instruction and which are labelled.
func (t *trace) marks() (ends, labelled uint32) {
	const (
		lanes  = 0x0001_0001_0001_0001
		rows   = rowMask * lanes
		labels = (1<<(16-rowBits) - 1) * lanes
		// A multiplication by it moves bits 0, 16, 32 and 48 to 48, 49, 50 and 51.
		gather = 1<<48 | 1<<33 | 1<<18 | 1<<3
	)
	for i := range uint(BundleSize / 4) {
		w := binary.LittleEndian.Uint64(t[8*i:])
		// What is not 0 carries into the bit above the field when ones are added.
		inside := (w&rows + rows) >> rowBits & lanes
		label := (w>>rowBits&labels + labels) >> (16 - rowBits) & lanes
		ends |= uint32(inside*gather>>48&15^15) << (4 * i)
		labelled |= uint32(label*gather>>48&15) << (4 * i)
	}
	return ends, labelled
}

// settle judges what the automaton has found from p on in the bundle at offset
// off. It returns where it stopped, at the end of the bundle or at an instruction
// for step, and the starts of the instructions before that. Of the NaCl ABIs it
// keeps c.zx and c.inner up to date.
//
// Preconditions: no half-written rsp or rbp is waiting for its base.
func (c *checker) settle(off, p uint, t *trace) (uint, uint32) {
	ends, labelled := t.marks()
	from := ^uint32(0) << p
	starts := ends<<1&from | 1<<p
	// The register that is zero-extended before the instruction at zxAt, and the
	// same of the instruction before.
	zx, zxAt := c.zx, p
	before, beforeAt := zx, zxAt
	stop := uint(BundleSize)
	if ends>>(BundleSize-1) == 0 {
		// The last one is not complete, or not known.
		stop = uint(bits.Len32(starts)) - 1
	}
	for l := labelled & from; l != 0; l &= l - 1 {
		i := uint(bits.TrailingZeros32(l))
		start := uint(bits.Len32(starts<<(BundleSize-1-i))) - BundleSize + i
		end := i + 1 + uint(bits.TrailingZeros32(ends>>i))
		if start >= stop {
			break
		}
		known := true
		switch label := uint(binary.LittleEndian.Uint16(t[2*i&62:])) >> rowBits; {
		case label >= labelIndex:
			r := label - labelIndex
			if known = zxAt == start && zx == r || beforeAt == start && before == r; known {
				c.inner |= 1 << start
			}
		case label >= labelZx:
			before, beforeAt = zx, zxAt
			zx, zxAt = label-labelZx, end
		case label == labelRel8:
			known = c.noteBranch(off+end, int64(int8(c.text[off+end-1])))
		case label == labelRel32:
			known = c.noteBranch(off+end, int64(int32(binary.LittleEndian.Uint32(c.text[off+end-4:]))))
		case label == labelRIP:
			target := c.base + int64(off+end) + int64(int32(binary.LittleEndian.Uint32(c.text[off+i+1:])))
			known = target >= SandboxStart && target <= SandboxEnd-ripSlack
		case label == labelNeed:
			known = c.features == 0
		}
		if !known {
			stop = start
			break
		}
	}
	switch stop {
	case zxAt:
		c.zx = zx
	case beforeAt:
		c.zx = before
	default:
		c.zx = noReg
	}
	return stop, starts & (1<<stop - 1)
}

// noteBranch notes a direct branch over a distance from the given offset in the
// text, if it stays in the text.
func (c *checker) noteBranch(from uint, distance int64) bool {
	at := uint(int64(from) + distance)
	if at >= uint(len(c.text)) {
		return false
	}
	c.jumped[at/BundleSize] |= 1 << (at % BundleSize)
	return true
}
