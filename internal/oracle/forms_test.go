package oracle

import (
	"math/bits"
	"os"
	"testing"
	"time"

	"github.com/halite-run/halite/validator"
)

const bundle = validator.BundleSize

// fillers stand behind what is enumerated. They are instructions of one byte, so
// that the chunk is good whatever the length of the instruction in front turns
// out to be; as far as they belong to it they are its SIB byte, displacement and
// immediate.
var fillers = []byte{0xf4, 0x90, 0xf8, 0x98}

// A form is an instruction or a unit that the validator accepts, in a bundle.
type form struct {
	code    [bundle]byte
	start   int
	end     int    // the first place behind it that may be branched to
	targets uint32 // where the validator says that branches may go
}

// from is the form at another place that may be branched to.
func (f form) from(start int) form {
	f.start, f.end = start, bundle
	if rest := f.targets >> start &^ 1; rest != 0 {
		f.end = start + bits.TrailingZeros32(rest)
	}
	return f
}

// accept asks the validator about code at a place.
func accept(abi validator.ABI, code []byte, filler byte, at uint32) (f form, ok bool) {
	if len(code) > bundle {
		return f, false
	}
	copy(f.code[:], code)
	for i := len(code); i < bundle; i++ {
		f.code[i] = filler
	}
	r, err := validator.Validate(f.code[:], validator.Options{ABI: abi, Offset: at, MaxErrors: 1, CollectTargets: true})
	if err != nil || !r.OK() {
		return f, false
	}
	f.targets = r.Targets[0]
	return f.from(0), true
}

// legacyPrefixes are those that may stand before an opcode, in the orders that
// one of the rule sets may take, and in some that none should.
var legacyPrefixes = map[validator.ABI][]string{
	validator.Halite: {"", "\x66", "\xf2", "\xf3", "\xf0", "\x65\x67", "\x65\x67\x66", "\x65\x67\xf2", "\x65\x67\xf3", "\x65\x67\xf0", "\x65\x67\x66\xf0",
		"\x65\x67\x66\xf3", "\x65\x67\x66\xf2", "\x66\xf3", "\x66\xf2", "\x64", "\x65", "\x67", "\x64\x67", "\x67\x65", "\x67\x66", "\x2e", "\x36", "\x26", "\x3e", "\xf3\x65\x67", "\x66\x65\x67"},
	validator.Classic: {"", "\x66", "\xf2", "\xf3", "\xf0", "\x66\xf0", "\xf0\x66", "\x66\xf2", "\xf2\x66", "\x66\xf3", "\xf3\x66", "\x2e", "\x3e", "\x26", "\x36", "\x64", "\x65", "\x67", "\x66\x67"},
}

// A space is a set of beginnings of instructions, counted from 0.
type space struct {
	n     int
	every int // a short test tries one in so many
	nth   func(b []byte, i int) []byte
	vast  bool // too many for a long test, too, also of the short ones
}

// spaces are: every legacy prefix with every opcode of the four maps and every
// ModRM byte; the same with each REX; the two kinds of VEX; any three bytes; any four.
func spaces(abi validator.ABI) []space {
	prefixes := legacyPrefixes[abi]
	maps := []string{"", "\x0f", "\x0f\x38", "\x0f\x3a"}
	digit := func(i *int, n int) int {
		d := *i % n
		*i /= n
		return d
	}
	vexPrefixes := []string{"", "\x65\x67", "\x66"}
	end := func(b []byte, i int) []byte { return append(b, byte(i>>8), byte(i)) }
	return []space{
		{len(prefixes) * len(maps) << 16, 12, func(b []byte, i int) []byte {
			b = append(b, prefixes[digit(&i, len(prefixes))]...)
			b = append(b, maps[digit(&i, len(maps))]...)
			return end(b, i)
		}, false},
		{len(prefixes) * 16 * len(maps) << 16, 120, func(b []byte, i int) []byte {
			b = append(b, prefixes[digit(&i, len(prefixes))]...)
			b = append(b, 0x40+byte(digit(&i, 16)))
			b = append(b, maps[digit(&i, len(maps))]...)
			return end(b, i)
		}, false},
		{len(vexPrefixes) * 256 << 16, 120, func(b []byte, i int) []byte {
			b = append(b, vexPrefixes[digit(&i, len(vexPrefixes))]...)
			b = append(b, 0xc5, byte(digit(&i, 256)))
			return end(b, i)
		}, false},
		{len(vexPrefixes) * 8 * 3 * 256 << 16, 4000, func(b []byte, i int) []byte {
			b = append(b, vexPrefixes[digit(&i, len(vexPrefixes))]...)
			rxb := digit(&i, 8) << 5
			b = append(b, 0xc4, byte(rxb|(1+digit(&i, 3))), byte(digit(&i, 256)))
			return end(b, i)
		}, true},
		{1 << 24, 100, func(b []byte, i int) []byte { return append(b, byte(i>>16), byte(i>>8), byte(i)) }, true},
		{1 << 32, 40000, func(b []byte, i int) []byte { return append(b, byte(i>>24), byte(i>>16), byte(i>>8), byte(i)) }, true},
	}
}

// visit calls f with some members of all spaces, the same ones each time: one in
// space.every times thin. Where HALITE_ORACLE is set it is every member of up to
// four bytes of the spaces that are not vast, that is all that differ in prefixes, opcode or ModRM
// byte, and a hundred times as many of the others.
func visit(t *testing.T, abi validator.ABI, thin int, f func(code []byte)) {
	if testing.Short() {
		thin *= 10
	}
	var b [16]byte
	for _, s := range spaces(abi) {
		n := s.n / (s.every * thin)
		if long(t) > 0 {
			n = min(s.n, 100*n)
		}
		exhaustive := long(t) > 0 && !s.vast
		if exhaustive {
			for i := range s.n {
				if code := s.nth(b[:0], i); len(code) <= 4 {
					f(code)
				}
			}
		}
		// A stride near the golden ratio of the size visits no corner twice before
		// the others.
		stride := int(float64(s.n)*0.6180339887) | 1
		for i, k := 0, 0; k < n; k++ {
			if code := s.nth(b[:0], i); !exhaustive || len(code) > 4 {
				f(code)
			}
			i = (i + stride) % s.n
		}
	}
}

// long is how long the tests may go on; 0 means the usual short time.
func long(tb testing.TB) time.Duration {
	s := os.Getenv("HALITE_ORACLE")
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		tb.Fatalf("HALITE_ORACLE=%s: want a time like 2h", s)
	}
	return d
}
