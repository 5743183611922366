package validator

// Rewrite makes text acceptable where only instructions stand in the way that
// have harmless substitutes, and validates it. It changes text in place:
//
//   - For the NaCl ABIs, prefetchnta becomes nops, and the non-temporal stores
//     movntq, movntps, movntdq and (classic only) movnti become the ordinary
//     stores. In 64-bit mode that is done for encodings with a REX prefix only,
//     which all of those have that compilers write.
//   - For all ABIs, an instruction that o.Features lacks becomes hlt, so that
//     a program may contain code that it does not reach on this CPU.
//
// The Result is Validate's of the new text. If it is not OK, the text is as it
// was. Branches are judged by the instructions before and after the change:
// nothing may jump into what has become several instructions.
//
// Nobody else may read or execute the text meanwhile. Rewriting costs a copy
// of the text when there is something to rewrite.
func Rewrite(text []byte, o Options) (Result, error) {
	var c checker
	if err := c.prepare(text, &o); err != nil {
		return Result{}, err
	}
	r := Result{onlyNonTemporal: true}
	plain := c.rewriting(&r, &o, nil)
	c.finish(&r, &o)
	if !r.OK() || plain {
		return r, nil
	}
	changed := append([]byte(nil), text...)
	c.rewriting(&Result{}, &o, changed)
	r, err := Validate(changed, o)
	if err == nil && r.OK() {
		copy(text, changed)
	}
	return r, err
}

// rewriting scans the text as if what can be replaced had been, and writes the
// substitutes to out if that is not nil. It reports whether there were none.
func (c *checker) rewriting(r *Result, o *Options, out []byte) (plain bool) {
	plain = true
	for off := 0; off < len(c.text); off += BundleSize {
		c.load(off)
		c.zx, c.inner = noReg, 0
		var starts uint32
		for p := uint(0); p < BundleSize; {
			n, broken := c.stepAny(p)
			c.noteThreadLoad(r, o, broken)
			starts |= 1 << p
			if n == 0 {
				c.report(r, o, p, n, broken)
				starts |= ^uint32(0) << p
				c.zx = noReg
				break
			}
			code := c.buf[p : p+n]
			switch broken {
			case ruleNone:
			case ruleFeature:
				plain = false
				if out != nil {
					for i := range n {
						out[off+int(p+i)] = 0xf4
					}
				}
			case ruleNonTemporal:
				var b [15]byte
				if !c.substitute(b[:n], code, c.inner>>p&1 != 0) {
					c.report(r, o, p, n, broken)
					break
				}
				plain = false
				if out != nil {
					copy(out[off+int(p):], b[:n])
				}
			default:
				c.report(r, o, p, n, broken)
			}
			p += n
		}
		if c.zx == regSP || c.zx == regBP {
			c.report(r, o, BundleSize, 0, ruleSPAlone+ruleID(c.zx-regSP))
		}
		c.starts[off/BundleSize] = starts &^ c.inner
	}
	return plain
}

// substitute writes what may stand in the place of a non-temporal instruction,
// with the same length, and reports whether there is such a thing. indexed
// says that the instruction relies on the one before it for its index, so that
// nothing may come between.
func (c *checker) substitute(out, code []byte, indexed bool) bool {
	copy(out, code)
	q := 0
	if code[q] == 0x66 {
		q++
	}
	data16 := q == 1
	rex := false
	if c.abi == Classic && code[q]&0xf0 == 0x40 {
		rex = true
		q++
	}
	if code[q] != 0x0f {
		return false // behind other prefixes, or VEX
	}
	op := code[q+1]
	if op == 0x18 && !data16 { // prefetchnta
		for i := range out {
			out[i] = 0x90
		}
		return true
	}
	if c.abi == Classic && !rex {
		return false
	}
	switch {
	case op == 0xe7: // movntq, movntdq: movq, movdqa
		out[q+1] = 0x7f
	case op == 0x2b && !data16: // movntps: movaps
		out[q+1] = 0x29
	case op == 0xc3 && !data16 && c.abi == Classic: // movnti: mov
		// One byte shorter. The nop stands in front, so that the distance of
		// a %rip-relative operand stays right, unless that would separate the
		// store from the zero extension of its index.
		at := 1
		if indexed {
			at = 0
			out[len(out)-1] = 0x90
		} else {
			out[0] = 0x90
		}
		out[at] = code[0]
		out[at+1] = 0x89
		copy(out[at+2:len(out)-1+at], code[3:])
	default:
		return false
	}
	return true
}
