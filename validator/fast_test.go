package validator

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// walk goes over the only bundle of a checker, with step alone or with the fast
// path where it knows something, and tells what it has seen.
type walked struct {
	end    uint // where it stopped: at an error, or behind the bundle
	broken ruleID
	starts uint32
	inner  uint32
	jumped uint32
	zx     uint
	fast   int // instructions that the fast path took
}

func walk(c *checker, fast bool) (r walked) {
	c.load(0)
	c.zx, c.inner, c.jumped[0] = noReg, 0, 0
	p := uint(0)
	for p < BundleSize {
		if fast {
			var more uint32
			if c.abi == Halite {
				p, more = c.runHalite(p)
			} else if c.zx != regSP && c.zx != regBP {
				p, more = c.runNaCl(p)
			}
			r.starts |= more
			for ; more != 0; more &= more - 1 {
				r.fast++
			}
			if p >= BundleSize {
				break
			}
		}
		n, broken := c.stepAny(p)
		c.threadLoad = 0
		if broken != ruleNone {
			r.broken = broken
			break
		}
		r.starts |= 1 << p
		p += n
	}
	r.end, r.inner, r.jumped, r.zx = p, c.inner, c.jumped[0], c.zx
	return r
}

// agreeFast fails when the fast path sees anything else than step.
func agreeFast(t testing.TB, c *checker) walked {
	slow, fast := walk(c, false), walk(c, true)
	n := fast.fast
	fast.fast = 0
	if slow.broken != ruleNone {
		// What step leaves behind at an error means nothing.
		slow.zx, fast.zx, slow.inner, fast.inner = 0, 0, slow.inner&slow.starts, fast.inner&fast.starts
	}
	if slow != fast {
		t.Fatalf("%v: % x:\nstep %+v\nfast %+v", c.abi, c.text, slow, fast)
	}
	fast.fast = n
	return fast
}

func fastChecker(abi ABI) *checker {
	c := newChecker(0x20000, DefaultThreadPointer)
	c.abi, c.fast = abi, fastTables[abi]()
	return c
}

// TestFastPath compares the fast path with step over all prefixes, REX bytes,
// opcodes and ModRM bytes, behind an instruction that zero-extends a register,
// and with all kinds of operands.
func TestFastPath(t *testing.T) {
	for _, abi := range []ABI{Halite, Classic, X86_32} {
		t.Run(abi.String(), func(t *testing.T) {
			t.Parallel()
			c := fastChecker(abi)
			rnd := rand.New(rand.NewPCG(1, uint64(abi)))
			var head [][]byte
			for _, segment := range [][]byte{{}, {0x65, 0x67}} {
				for _, prefix := range [][]byte{{}, {0x66}, {0xf3}, {0xf2}} {
					for rex := 0x3f; rex < 0x50; rex++ {
						h := append(append([]byte{}, segment...), prefix...)
						if rex >= 0x40 {
							h = append(h, byte(rex))
						}
						head = append(head, h, append(append([]byte{}, h...), 0x0f))
					}
				}
			}
			step := 1
			if !thorough() {
				step = 29
			}
			cases, taken := 0, 0
			for i := 0; i < len(head)<<16; i += 1 + rnd.IntN(step) {
				h, op, m := head[i>>16], byte(i>>8), byte(i)
				b := c.text[:0]
				if abi != Halite {
					b = append(b, 0x89, 0xc0|byte(rnd.IntN(4))) // mov %eax,%e[acdb]x
				}
				b = append(append(b, h...), op, m)
				for len(b) < BundleSize {
					b = binary.LittleEndian.AppendUint32(b, rnd.Uint32()>>(rnd.IntN(4)*8))
				}
				b = b[:BundleSize]
				if rnd.IntN(2) == 0 {
					b[BundleSize-1-rnd.IntN(20)] = 0x90
				}
				copy(c.text, b)
				cases++
				if agreeFast(t, c).fast > 0 {
					taken++
				}
			}
			t.Logf("%d bundles, the fast path took part in %d", cases, taken)
			if taken < cases/50 {
				t.Error("it does not do its work")
			}
		})
	}
}

// TestFastPathPrograms compares them over code that is mostly accepted.
func TestFastPathPrograms(t *testing.T) {
	text := syntheticText(1 << 16)
	c := fastChecker(Halite)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 4 {
		for off := 0; off < len(text); off += BundleSize {
			copy(c.text, text[off:])
			for range rnd.IntN(3) {
				c.text[rnd.IntN(BundleSize)] = byte(rnd.Uint32())
			}
			agreeFast(t, c)
		}
	}
}

func FuzzFastPath(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(uint8(v.options.ABI), v.text[:BundleSize])
	}
	f.Fuzz(func(t *testing.T, abi uint8, bundle []byte) {
		c := fastChecker(ABI(abi % 3))
		for i := copy(c.text, bundle); i < BundleSize; i++ {
			c.text[i] = 0x90
		}
		agreeFast(t, c)
	})
}
