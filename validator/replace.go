package validator

import (
	"bytes"
	"fmt"
)

// ValidateReplacement decides whether new may take the place of old, which is
// accepted text that threads may be executing at this moment.
//
// Both are the same whole bundles, a text or a piece of one, at o.Offset. old
// is trusted to be a piece of an accepted text; it is looked at for its
// instruction boundaries. Direct branches of new to places outside of the
// piece that are no bundles are tolerated where the bytes of the branch stay
// the same, because the whole text was accepted with them.
//
// What an accepted replacement may be relied on for: each instruction of new
// either has the bytes that it had, or stands exactly where an instruction of
// old stood that no unit or sequence depends on. It is up to the caller to
// write it so that a CPU sees each instruction either old or new, never a
// mixture: with one aligned store, or behind a hlt and a serialisation of all
// CPUs.
//
// An instruction of new that needs a feature which o.Features lacks is
// accepted where old holds nothing but hlt, and is then overwritten with hlt
// in new. Otherwise new is not changed.
//
// The Result and the error are as those of Validate; the text of the Result's
// errors is new.
func ValidateReplacement(old, new []byte, o Options) (Result, error) {
	if len(old) != len(new) {
		return Result{}, fmt.Errorf("validator: %#x bytes of text cannot replace %#x", len(new), len(old))
	}
	var c, before checker
	if err := c.prepare(new, &o); err != nil {
		return Result{}, err
	}
	if err := before.prepare(old, &o); err != nil {
		return Result{}, err
	}
	r := Result{onlyNonTemporal: true}
	for off := 0; off < len(new); off += BundleSize {
		c.replaceBundle(&before, off, &r, &o)
	}
	c.finish(&r, &o)
	return r, nil
}

// replaceBundle judges one bundle of a replacement.
func (c *checker) replaceBundle(before *checker, off int, r *Result, o *Options) {
	old := before.text[off : off+BundleSize]
	new := c.text[off : off+BundleSize]
	var oldStarts, oldUnits uint32
	if c.abi != Classic {
		oldStarts, oldUnits = before.boundaries(off)
	}
	c.load(off)
	c.zx, c.inner = noReg, 0
	var starts, units uint32
	for p := uint(0); p < BundleSize; {
		n, broken := c.stepAny(p)
		c.noteThreadLoad(r, o, broken)
		starts |= 1 << p
		if n == 0 {
			c.report(r, o, p, n, broken)
			starts |= ^uint32(0) << p
			c.starts[off/BundleSize] = starts
			return
		}
		was, is := old[p:p+n], new[p:p+n]
		same := bytes.Equal(was, is)
		unit := isUnit(is)
		if unit {
			units |= 1 << p
		}
		switch {
		case broken == ruleFeature && bytes.Count(was, hlt) == int(n):
			// It was overwritten when the text was loaded.
			for i := range is {
				is[i] = 0xf4
				starts |= 1 << (p + uint(i))
			}
			c.zx = noReg
		case broken == ruleJumpRange && same:
		case broken != ruleNone:
			c.report(r, o, p, n, broken)
		case same:
		case c.abi == Classic && !sameHead(was, is):
			c.report(r, o, p, n, ruleReplace)
		case unit || oldUnits>>p&1 != 0:
			c.report(r, o, p, n, ruleReplaceUnit)
		}
		p += n
	}
	if c.zx == regSP || c.zx == regBP {
		c.report(r, o, BundleSize, 0, ruleSPAlone+ruleID(c.zx-regSP))
	}
	starts &^= c.inner
	c.starts[off/BundleSize] = starts
	if c.abi != Classic && (starts != oldStarts || units != oldUnits) {
		c.report(r, o, firstBit(starts^oldStarts|units^oldUnits), 0, ruleReplaceStart)
	}
}

var hlt = []byte{0xf4}

// boundaries returns the instruction starts in the bundle at off, and which of
// them are those of indirect jump units. What does not decode, which is
// nothing that was accepted, has no starts.
func (c *checker) boundaries(off int) (starts, units uint32) {
	c.load(off)
	for p := uint(0); p < BundleSize; {
		n, broken := c.stepAny(p)
		if n == 0 || broken != ruleNone && broken != ruleJumpRange {
			return 0, 0
		}
		starts |= 1 << p
		if isUnit(c.text[off+int(p) : off+int(p+n)]) {
			units |= 1 << p
		}
		p += n
	}
	return starts, units
}

func firstBit(w uint32) uint {
	for i := uint(0); i < 32; i++ {
		if w>>i&1 != 0 {
			return i
		}
	}
	return 0
}

// isUnit tells whether code, which step took for one, is an indirect jump
// unit: no other instruction with opcode 83 and a register is that long.
func isUnit(code []byte) bool {
	if code[0]&0xf0 == 0x40 {
		code = code[1:]
	}
	return len(code) > 3 && code[0] == 0x83 && code[1] >= 0xc0
}

// sameHead tells whether one accepted instruction of the classic ABI differs
// from another in nothing but a trailing displacement, immediate or branch
// distance, and is of the kind that may: mov, and call with a distance. Such a
// change moves no boundary, names no other register, and leaves alone what an
// instruction behind it may rely on.
func sameHead(a, b []byte) bool {
	q := 0
	for q < len(b)-1 && (b[q] == 0x66 || b[q]&0xf0 == 0x40) {
		q++
	}
	op := b[q]
	q++
	switch {
	case op == 0xe8, op >= 0xb0 && op <= 0xbf:
	case op >= 0x88 && op <= 0x8b, op == 0xc6, op == 0xc7:
		m := b[q]
		q++
		if m >= 0xc0 && op <= 0x8b {
			return false // nothing trails, or a string unit does
		}
		if m < 0xc0 && m&7 == 4 {
			q++ // SIB
		}
	default:
		return false
	}
	return bytes.Equal(a[:q], b[:q])
}
