package loader

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/validator"
)

// nops is valid code.
func nops(n int) []byte { return bytes.Repeat([]byte{0x90}, n) }

func readClassic(b []byte) (*ClassicFile, error) {
	return ReadClassic(bytes.NewReader(b), int64(len(b)), "f.nexe", 0)
}

func classicCage(t testing.TB) *cage.Cage {
	t.Helper()
	if err := engine.InitClassic(); err != nil {
		t.Fatal(err)
	}
	c, err := cage.New(cage.Config{Trampolines: engine.ClassicTrampolines(), Guard: cage.ClassicGuard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestClassicLoad: both classes come out the same, with padded code and data where
// they belong.
func TestClassicLoad(t *testing.T) {
	for _, class := range []int{32, 64} {
		p := nexe.Program(class, append([]byte{0x41, 0x0f, 0xc3, 0x07}, nops(100)...), []byte("constant"), []byte("variable"))
		p.Segments[2].Addr += 0x98
		p.Segments[2].MemSize = 0x20000
		b := p.Bytes()
		if !IsClassic(b) {
			t.Errorf("class %d is not recognised", class)
		}
		// Compilers that know of no such system leave the OS ABI and the flags alone:
		// then the class is enough.
		plain := bytes.Clone(b)
		plain[7] = 0
		if class == 32 {
			le.PutUint32(plain[36:], 0)
		}
		if _, err := readClassic(plain); err != nil || !IsClassic(plain) {
			t.Errorf("class %d without an OS ABI: %v", class, err)
		}
		f, err := readClassic(b)
		if err != nil {
			t.Fatal(err)
		}
		if f.Class != class || f.TextEnd != 0x30000 || f.DynamicEnd != nexe.RodataAddr || f.DataEnd != nexe.DataAddr+0x98+0x20000 || f.Entry != nexe.TextAddr {
			t.Errorf("%+v", f)
		}
		c := classicCage(t)
		if err := MapClassic(c, f); err != nil {
			t.Fatal(err)
		}
		mem := safemem.New(c.Base())
		got := make([]byte, 0x10000)
		if err := mem.Read(nexe.TextAddr, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got[:4], []byte{0x90, 0x41, 0x89, 0x07}) || // movnti has become mov
			got[104] != hlt || got[0xffff] != hlt {
			t.Errorf("code % x ... %x", got[:8], got[104])
		}
		for at, want := range map[uint32]string{nexe.RodataAddr: "constant", nexe.DataAddr + 0x98: "variable", nexe.DataAddr + 0x98 + 8: "\x00"} {
			if err := mem.Read(at, got[:len(want)]); err != nil || string(got[:len(want)]) != want {
				t.Errorf("%#x: %q %v", at, got[:len(want)], err)
			}
		}
		for at, want := range map[uint32]bool{nexe.TextAddr: false, nexe.RodataAddr: false, nexe.DataAddr: true, f.DataEnd: true} {
			if err := mem.Store32(at, 0); (err == nil) != want {
				t.Errorf("a store at %#x: %v", at, err)
			}
		}
	}
	if IsClassic(make([]byte, 64)) || IsClassic(nil) {
		t.Error("nothing is taken for a program")
	}
}

// TestClassicRefusals has one file for each number, sel_ldr's own broken images
// among them.
func TestClassicRefusals(t *testing.T) {
	type edit func(f *nexe.File, b []byte) []byte
	raw := func(at int, v ...byte) edit {
		return func(f *nexe.File, b []byte) []byte { copy(b[at:], v); return b }
	}
	seg := func(i int, change func(s *nexe.Segment)) edit {
		return func(f *nexe.File, b []byte) []byte { change(&f.Segments[i]); return f.Bytes() }
	}
	more := func(s nexe.Segment) edit {
		return func(f *nexe.File, b []byte) []byte { f.Segments = append(f.Segments, s); return f.Bytes() }
	}
	for i, test := range []struct {
		code  LoadCode
		class int // 0: both
		edit  edit
	}{
		{CodeRead, 0, func(f *nexe.File, b []byte) []byte { return b[:63] }},
		{CodeRead, 0, func(f *nexe.File, b []byte) []byte { return b[:100] }},
		{CodeHeaderOverflow, 64, raw(24+4, 1)},
		{CodeHeaderOverflow, 64, raw(32+4, 1)},
		{CodeBadEhsize, 64, raw(52, 65)},
		{CodeBadMagic, 0, raw(0, 0)},
		{CodeBadClass, 0, raw(4, 3)},
		{CodeBadABI, 0, raw(5, 2)},
		{CodeNotExec, 0, raw(16, 3)},
		{CodeBadMachine, 0, raw(18, 3)},
		{CodeBadVersion, 0, raw(20, 2)},
		{CodeTooManyHeaders, 64, raw(56, 129)},
		{CodeTooManyHeaders, 32, raw(44, 129)},
		{CodeBadPhentsize, 64, raw(54, 57)},
		{CodeBadPhentsize, 32, raw(42, 31)},
		{CodeSegmentOverflow, 64, seg(0, func(s *nexe.Segment) { s.MemSize = 1<<32 + 5 })}, // text_too_big
		{CodeOutside, 32, seg(0, func(s *nexe.Segment) { s.MemSize = 0xffff0000 })},        // integer overflow
		{CodeOutside, 0, seg(2, func(s *nexe.Segment) { s.Addr = 0x1000 })},
		{CodeDuplicate, 0, more(nexe.Segment{Type: nexe.Load, Flags: nexe.R, Addr: 0x20000000, Data: nops(1)})},
		{CodeDuplicate, 0, func(f *nexe.File, b []byte) []byte {
			note := nexe.Segment{Type: ptNote, Flags: nexe.R, MemSize: 1}
			f.Segments = append(f.Segments, note, note)
			return f.Bytes()
		}},
		{CodeBadPlace, 0, seg(0, func(s *nexe.Segment) { s.Addr = 0x10000 })}, // old_abi
		{CodeBadSegment, 0, seg(0, func(s *nexe.Segment) { s.Flags |= nexe.W })},
		{CodeBadSegment, 0, seg(1, func(s *nexe.Segment) { s.Type = ptTLS; s.Flags = nexe.W })},
		{CodeBadSegment, 0, more(nexe.Segment{Type: ptShlib, Flags: nexe.R, MemSize: 1})},
		{CodeNoText, 0, seg(0, func(s *nexe.Segment) { s.Type = 0; s.Flags = nexe.R })},
		{CodeBadSegmentSize, 0, seg(2, func(s *nexe.Segment) { s.MemSize = 3 })},
		{CodeBadSegmentSize, 0, seg(2, func(s *nexe.Segment) { s.Offset = 0x30040 })},
		{CodeBadSegmentSize, 0, seg(2, func(s *nexe.Segment) { s.FileSize = 0x100000; s.MemSize = 0x100000 })},
		{CodeBadEntry, 0, func(f *nexe.File, b []byte) []byte { f.Entry = 0x20001; return f.Bytes() }},
		{CodeBadEntry, 0, func(f *nexe.File, b []byte) []byte { f.Entry = 0x20000 + 0x40; return f.Bytes() }},
		{CodeDataNotLast, 0, seg(0, func(s *nexe.Segment) { s.MemSize = 0x20000000 })},
		{CodeRodataNotLast, 0, func(f *nexe.File, b []byte) []byte {
			f.Segments = f.Segments[:2]
			f.Segments[0].MemSize = 0x20000000
			return f.Bytes()
		}},
		{CodeRodataOverData, 0, seg(1, func(s *nexe.Segment) { s.MemSize = 0x20001 })},
		{CodeTextOverRodata, 0, seg(1, func(s *nexe.Segment) { s.Addr = 0x20000 })},
		{CodeTextOverData, 0, func(f *nexe.File, b []byte) []byte {
			f.Segments = []nexe.Segment{f.Segments[0], f.Segments[2]}
			f.Segments[1].Addr, f.Segments[1].MemSize = 0x20000, 0x1000
			return f.Bytes()
		}},
		// No room for hlt between code and what follows, where sel_ldr crashed.
		{CodeTextOverRodata, 0, func(f *nexe.File, b []byte) []byte {
			f.Segments[0].Data, f.Segments[1].Addr = nops(0x10000), 0x30000
			return f.Bytes()
		}},
		{CodeRodataAlignment, 0, seg(1, func(s *nexe.Segment) { s.Addr += 0x20 })},
		{CodeDataOverStack, 0, seg(2, func(s *nexe.Segment) { s.MemSize = 0xefdf0000 })}, // negative_hole
		{CodeDataNotLast, 0, more(nexe.Segment{Type: ptGNUStack, Flags: nexe.R | nexe.W, Addr: 0xffff0000, MemSize: 0x10000})},
	} {
		for _, class := range []int{32, 64} {
			if test.class != 0 && test.class != class {
				continue
			}
			f := nexe.Program(class, nops(64), nops(8), nops(8))
			b := test.edit(f, f.Bytes())
			_, err := readClassic(b)
			var e *ClassicError
			if !errors.As(err, &e) || e.Code != test.code {
				t.Errorf("%d, class %d: %v, want %d", i, class, err, test.code)
			}
		}
	}
}

// TestClassicPlaces: the sizes of code and the places of data around 64 KiB, with
// the room for dynamic code and the first break.
func TestClassicPlaces(t *testing.T) {
	for _, test := range []struct {
		text, rodata       int
		textEnd, end, brk_ uint32
	}{
		{0x8000, 0, 0x30000, 0x30000, 0x30000},
		{0xffe0, 0, 0x30000, 0x30000, 0x30000},
		{0xffe4, 0, 0x40000, 0x40000, 0x40000},
		{0x10000, 0, 0x40000, 0x40000, 0x40000},
		{0x8000, 0x30000, 0x30000, 0x30000, 0x40000},
		{0xffe0, 0x30000, 0x30000, 0x30000, 0x40000},
		{0x10000, 0x100000, 0x30000, 0x100000, 0x110000},
		{0xffe4, 0x100000, 0x30000, 0x100000, 0x110000},
	} {
		f := nexe.Program(64, nops(test.text), nil, nil)
		if test.rodata != 0 {
			f.Segments = append(f.Segments, nexe.Segment{Type: nexe.Load, Flags: nexe.R, Addr: uint64(test.rodata), Data: []byte{1}})
		}
		c, err := readClassic(f.Bytes())
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		if c.TextEnd != test.textEnd || c.DynamicEnd != test.end || c.DataEnd != test.brk_ {
			t.Errorf("%#x bytes, data at %#x: code to %#x, dynamic to %#x, break %#x; want %#x, %#x, %#x",
				test.text, test.rodata, c.TextEnd, c.DynamicEnd, c.DataEnd, test.textEnd, test.end, test.brk_)
		}
		if err := MapClassic(classicCage(t), c); err != nil {
			t.Error(err)
		}
	}
}

// TestClassicUnsafe: unsafe code does not get in, and nothing of it is mapped.
func TestClassicUnsafe(t *testing.T) {
	for _, code := range [][]byte{{0xc3}, {0x0f, 0x05}, {0xcd, 0x80}, {0x90, 0xe9, 0xfd, 0xff, 0xff, 0xff}, {0x41, 0x0f, 0x01}} {
		f, err := readClassic(nexe.Program(32, code, nil, nil).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		c := classicCage(t)
		err = MapClassic(c, f)
		var e *TextError
		if !errors.As(err, &e) {
			t.Errorf("% x: %v", code, err)
		}
		if n := len(c.Mappings()); n != 1 {
			t.Errorf("% x: %d mappings", code, n)
		}
	}
}

// TestClassicCut: no file that was cut or changed in its headers does more than to
// be refused.
func TestClassicCut(t *testing.T) {
	for _, class := range []int{32, 64} {
		f := nexe.Program(class, nops(64), nops(8), nops(8))
		good := f.Bytes()
		for n := range 400 {
			readClassic(good[:n])
		}
		for i := range 240 {
			for _, x := range []byte{0, 1, 0x7f, 0x80, 0xff} {
				b := append([]byte(nil), good...)
				b[i] = x
				if c, err := readClassic(b); err == nil {
					if uint64(c.TextEnd) > uint64(c.DynamicEnd) || c.Entry%32 != 0 || c.Text.Addr != ClassicTextStart {
						t.Errorf("byte %d = %#x: %+v", i, x, c)
					}
				}
			}
		}
		if r, err := Verify("f", bytes.NewReader(good), int64(len(good)), VerifyOptions{ABI: validator.Classic}); err != nil || !r.OK() {
			t.Errorf("class %d: %v %v", class, r, err)
		}
	}
}

func FuzzClassic(f *testing.F) {
	for _, class := range []int{32, 64} {
		b := nexe.Program(class, nops(64), nops(8), nops(8)).Bytes()
		f.Add(b[:0x200], uint32(0))
	}
	f.Fuzz(func(t *testing.T, head []byte, stack uint32) {
		b := append(append([]byte(nil), head...), make([]byte, 0x40000)...)
		c, err := ReadClassic(bytes.NewReader(b), int64(len(b)), "f", stack)
		if err != nil {
			return
		}
		if c.Text.Addr != ClassicTextStart || uint64(c.TextEnd) < ClassicTextStart+uint64(c.Text.FileSize) || c.DynamicEnd < c.TextEnd {
			t.Errorf("%+v", c)
		}
		for _, s := range []*ClassicSegment{c.Rodata, c.Data} {
			if s != nil && (limitOf(s) < uint64(c.DynamicEnd) || s.End() > ClassicStackTop) {
				t.Errorf("%+v: %+v", c, s)
			}
		}
	})
}

func ExampleIsClassic() {
	fmt.Println(IsClassic(nexe.Program(32, nops(32), nil, nil).Bytes()))
	// Output: true
}
