package loader

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newTestObject makes an object with one executable section and one of data.
func newTestObject(code []byte) []byte {
	names := "\x00.text\x00.data\x00.shstrtab\x00"
	b := make([]byte, 64)
	put := func(p []byte) uint64 {
		at := len(b)
		b = append(b, p...)
		return uint64(at)
	}
	text := put(code)
	data := put([]byte("data"))
	strs := put([]byte(names))
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	shoff := uint64(len(b))
	section := func(name, typ uint32, flags, off, size uint64) {
		var w bytes.Buffer
		for _, x := range []any{name, typ, flags, uint64(0), off, size, uint32(0), uint32(0), uint64(1), uint64(0)} {
			binary.Write(&w, binary.LittleEndian, x)
		}
		b = append(b, w.Bytes()...)
	}
	section(0, 0, 0, 0, 0)
	section(1, sectionProgbits, sectionFlagAlloc|sectionFlagExec, text, uint64(len(code)))
	section(7, sectionProgbits, sectionFlagAlloc, data, 4)
	section(13, sectionStrtab, 0, strs, uint64(len(names)))
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 1)
	le.PutUint16(b[18:], 62)
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[40:], shoff)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[58:], shdrSize)
	le.PutUint16(b[60:], 4)
	le.PutUint16(b[62:], 3)
	return b
}

func TestVerifyObject(t *testing.T) {
	verify := func(b []byte) (*Report, error) {
		return Verify("a.o", bytes.NewReader(b), int64(len(b)), VerifyOptions{})
	}
	// A call that the linker will fill in: it leads to the next instruction.
	rep, err := verify(newTestObject([]byte{0xe8, 0, 0, 0, 0, 0xc3}))
	if err != nil || !rep.OK() || len(rep.Code) != 1 || rep.Code[0].Section != ".text" || rep.Code[0].Size != 6 {
		t.Fatalf("%+v %v", rep, err)
	}
	rep, err = verify(newTestObject([]byte{0x90, 0x0f, 0x05}))
	if err != nil || rep.OK() || !strings.HasPrefix(rep.Err().Error(), "a.o: .text: text+0x1: V-") {
		t.Fatalf("%+v %v", rep.Err(), err)
	}
	good := newTestObject([]byte{0x90})
	shoff := int(le.Uint64(good[40:]))
	for _, c := range []struct {
		name string
		do   func(b []byte)
		want string
	}{
		{"no sections", func(b []byte) { le.PutUint64(b[40:], 0) }, "header: L-SECTION: an object without sections"},
		{"entry size", func(b []byte) { le.PutUint16(b[58:], 40) }, "section headers: L-SECTION: e_shentsize is 40"},
		{"names", func(b []byte) { le.PutUint16(b[62:], 9) }, "L-SECTION: the section of names is 9 of 4"},
		{"table beyond", func(b []byte) { le.PutUint16(b[60:], 5000) }, "L-READ"},
		{"code beyond", func(b []byte) { le.PutUint64(b[shoff+64+24:], 1<<40) }, "section 1 (.text): L-READ"},
		{"code huge", func(b []byte) { le.PutUint64(b[shoff+64+32:], 1<<40) }, "section 1 (.text): L-SEG-SIZE"},
		{"compressed", func(b []byte) { b[shoff+64+9] |= sectionFlagPacked >> 8 }, "compressed code"},
		{"no contents", func(b []byte) { b[shoff+64+4] = sectionNobits }, "code without contents"},
	} {
		b := bytes.Clone(good)
		c.do(b)
		if _, err := verify(b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestVerifyNative: what the machine's compiler makes is refused, with rule,
// place, function and instruction.
func TestVerifyNative(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc on this machine")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "a.c")
	if err := os.WriteFile(src, []byte("static int __attribute__((noinline)) local(int *p) { return *p; }\nint f(int *p) { return local(p) + local(p + 1); }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-c", "-o", "a.o"}, {"-shared", "-fPIC", "-nostdlib", "-o", "a.so"}} {
		cmd := exec.Command(gcc, append(args, "-O1", "-fcf-protection=none", "a.c")...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		name := filepath.Join(dir, args[len(args)-1])
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rep, err := Verify("a", bytes.NewReader(b), int64(len(b)), VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if rep.OK() {
			t.Fatal("accepted")
		}
		s := rep.Err().Error()
		if !strings.Contains(s, "V-MEM-SEG") || !strings.Contains(s, "(%rdi)") {
			t.Errorf("%s", s)
		}
		if args[0] == "-shared" && !strings.Contains(s, "[in local]") {
			t.Errorf("the function is not named: %s", s)
		}
	}
}

// zeros is a file that goes on for ever.
type zeros struct{ head []byte }

func (z zeros) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(z.head)) {
		copy(p, z.head[off:])
	}
	return len(p), nil
}

// TestSizeLimits: sizes that a file can claim without having to be that large.
func TestSizeLimits(t *testing.T) {
	big := func(name string, do func(*testFile), want string) {
		t.Helper()
		tf := newTestFile()
		do(tf)
		_, err := ReadELF(zeros{tf.b}, 1<<40, "big")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	size := func(seg string, n uint64) func(*testFile) {
		return func(tf *testFile) { tf.u64(seg, phFileSz, n); tf.u64(seg, phMemSz, n) }
	}
	big("data", size("ph2", MaxImageBytes+1), "segment 2: L-SEG-SIZE: loadable segments of more than")
	big("code", size("ph1", MaxTextBytes+1), "segment 1: L-SEG-SIZE: 268435457 bytes of code")
	// A file that ends before its claimed size is not believed at once.
	tf := newTestFile()
	size("ph2", MaxImageBytes-1<<20)(tf)
	tf.u64("ph6", phMemSz, 0)
	r := io.NewSectionReader(bytes.NewReader(tf.b), 0, 1<<40)
	if _, err := ReadELF(r, 1<<40, "big"); err == nil || !strings.Contains(err.Error(), "L-READ") {
		t.Errorf("short file: %v", err)
	}
}
