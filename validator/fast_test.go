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
			if c.zx != regSP && c.zx != regBP {
				var t trace
				c.fast.runFrom((*[BundleSize]byte)(c.text), p, &t)
				p, more = c.settle(0, p, &t)
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
	// What step leaves behind at an error means nothing, and that inner starts are
	// starts does neither: the fast path may take two instructions for one.
	if slow.broken != ruleNone {
		slow.zx, fast.zx = 0, 0
	}
	slow.starts, fast.starts = slow.starts&^slow.inner, fast.starts&^fast.inner
	slow.inner, fast.inner = 0, 0
	if slow != fast {
		t.Fatalf("%v: % x:\nstep %+v\nfast %+v", c.abi, c.text, slow, fast)
	}
	fast.fast = n
	return fast
}

func fastChecker(abi ABI) *checker {
	c := newChecker(0x20000, DefaultThreadPointer)
	c.abi, c.fast = abi, automata[abi]()
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
				c.features = Features(i&1) * (FeatureX87 | FeatureSSE | FeatureSSE2)
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

// TestFastPathPrograms compares them over code that is mostly accepted, with the
// sequences that count as one instruction.
func TestFastPathPrograms(t *testing.T) {
	sequences := [][]byte{
		{0x83, 0xe1, 0xe0, 0x4c, 0x01, 0xf9, 0xff, 0xd1}, {0x83, 0xe3, 0xe0, 0xff, 0xe3}, {0x83, 0xe3, 0xe0},
		{0x40, 0x83, 0xe1, 0xe0}, {0x48, 0x83, 0xe1, 0xe0}, {0x83, 0xe1, 0xf0}, {0x83, 0x20, 0xe0},
		{0x83, 0xe4, 0xe0, 0x4c, 0x01, 0xfc}, {0x83, 0xe1, 0xf0, 0x41, 0x8b, 0x04, 0x0f}, {0x83, 0xe1, 0xe0, 0x41, 0x8b, 0x04, 0x0f},
	}
	for _, s := range paddings {
		sequences = append(sequences, []byte(s))
	}
	// What writes half of rsp, rbp or another register, and what adds the base.
	for _, w := range [][]byte{{0x89, 0xc4}, {0x8b, 0xe8}, {0x83, 0xec, 0x28}, {0x44, 0x89, 0xc5}, {0x03, 0x24, 0x24}, {0x8d, 0x6c, 0x24, 0x08},
		{0x81, 0xc4, 0, 1, 0, 0}, {0x89, 0xc1}, {0x41, 0x89, 0xc4}, {0x41, 0x8b, 0x64, 0x07, 0x10}, {0x45, 0x8b, 0xfc}} {
		for _, then := range []string{"", "\x90", "\x4c\x01\xfc", "\x49\x03\xe7", "\x4a\x8d\x24\x3c", "\x4c\x01\xfd", "\x49\x03\xef", "\x4a\x8d\x6c\x3d\x00",
			"\x4c\x09\xfc", "\x4e\x01\xfc", "\x4a\x8d\xa4\x3c\x00\x00\x00\x00"} {
			sequences = append(sequences, append(append([]byte{}, w...), then...))
		}
	}
	for abi, typical := range [][][]byte{Halite: typicalCode, Classic: classicCode, X86_32: code32} {
		text := syntheticCode(append(append(sequences, typical...), typical...), 1<<16)
		c := fastChecker(ABI(abi))
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
}

// TestFastPathTakes: what compiled programs consist of is not left to step.
func TestFastPathTakes(t *testing.T) {
	for abi, list := range [][]string{
		Halite: {"48 89 c3", "65 67 48 8b 45 08", "65 67 8b 44 88 10", "65 67 f2 0f 10 03", "65 67 66 0f 6f 43 10", "f3 0f 5a c1", "40 8d 05 00 00 01 00", "48 8d 05 00 00 01 00",
			"b8 01 00 00 00", "0f b6 c9", "75 00", "0f 84 00 00 00 00", "e8 00 00 00 00", "c3", "66 90", "f4", "f3 0f b8 c1", "0f c8",
			"83 e0 e0 4c 01 f8 ff e0", "41 83 e3 e0 4d 01 fb 41 ff d3", "83 e0 0f", "41 83 e3 f0", "66 0f 1f 44 00 00", "66 66 66 66 66 2e 0f 1f 84 00 00 00 00 00"},
		Classic: {"48 89 c3", "89 c0 41 8b 44 07 08", "89 c0 41 89 4c 07 08", "8b 44 24 1c", "b8 01 00 00 00 41 8b 0c 07", "01 c1 41 8b 14 0f", "44 89 e0 49 8b 4c c7 18", "8d 44 11 04", "41 55",
			"83 e0 e0 4c 01 f8 ff d0", "83 e0 0f 41 8b 0c 07", "83 ec 28 4c 01 fc", "89 c4 49 03 e7", "8d 6c 24 08 4a 8d 6c 3d 00", "83 c4 08 4a 8d 24 3c", "8b 6c 24 10 4c 01 fd",
			"66 0f 1f 44 00 00", "66 66 2e 0f 1f 84 00 00 00 00 00", "66 90", "0f 18 08"},
		X86_32: {"8b 45 08", "89 44 24 18", "a1 00 00 01 00", "83 e0 e0 ff e0", "83 e3 e0 ff d3", "83 e0 0f", "40", "53", "e8 00 00 00 00", "74 00", "66 90", "66 2e 0f 1f 84 00 00 00 00 00"},
	} {
		c := fastChecker(ABI(abi))
		for _, code := range list {
			copy(c.text, bundleOf(t, code))
			c.zx, c.inner = noReg, 0
			var tr trace
			c.fast.runFrom((*[BundleSize]byte)(c.text), 0, &tr)
			if p, _ := c.settle(0, 0, &tr); p != BundleSize {
				t.Errorf("%v: %s: %#x is left to step", ABI(abi), code, p)
			}
		}
	}
}

// TestAutomaton compares four bundles at once with one after the other, and what
// marks tells of a trace with what one reads there.
func TestAutomaton(t *testing.T) {
	text := syntheticText(1 << 14)
	a := automata[Halite]()
	for off := 0; off < len(text); off += atOnce * BundleSize {
		four := (*[atOnce * BundleSize]byte)(text[off:])
		four[off>>7&127]++
		var got [atOnce]trace
		a.run(four, &got)
		for i := range got {
			var want trace
			a.runFrom((*[BundleSize]byte)(four[i*BundleSize:]), 0, &want)
			if got[i] != want {
				t.Fatalf("% x: %x, alone %x", four, got[i], want)
			}
			ends, labelled := want.marks()
			for j := range BundleSize {
				s := binary.LittleEndian.Uint16(want[2*j:])
				if end, label := s&rowMask == rowStart, s>>rowBits != labelNone; ends>>j&1 != 0 != end || labelled>>j&1 != 0 != label {
					t.Fatalf("byte %d of %x: ends %t, is labelled %t", j, want, !end, !label)
				}
			}
		}
	}
}

// BenchmarkAutomaton is what the first validation of a process costs more.
func BenchmarkAutomaton(b *testing.B) {
	for _, abi := range []ABI{Halite, Classic, X86_32} {
		b.Run(abi.String(), func(b *testing.B) {
			for b.Loop() {
				newAutomaton(abi)
			}
		})
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
