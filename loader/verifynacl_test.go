package loader

import (
	"bytes"
	"strings"
	"testing"

	"github.com/halite-run/halite/validator"
)

// naclFile makes the smallest file of an ABI that has code.
func naclFile(abi validator.ABI, code []byte) []byte {
	s := elfShapes[abi]
	b := make([]byte, s.header+s.phdr)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], uint16(TypeProgram))
	le.PutUint16(b[18:], machineX86_64)
	put := func(at int, v uint64) { le.PutUint64(b[at:], v) }
	if abi == validator.X86_32 {
		b[4] = 1
		le.PutUint16(b[18:], machine386)
		put = func(at int, v uint64) { le.PutUint32(b[at:], uint32(v)) }
	}
	put(s.phoff, uint64(s.header))
	le.PutUint16(b[s.sizes+2:], uint16(s.phdr))
	le.PutUint16(b[s.sizes+4:], 1)
	p := s.header
	le.PutUint32(b[p:], ptLoad)
	put(p+s.poffset, uint64(len(b)))
	put(p+s.pvaddr, 0x20000)
	put(p+s.pfilesz, uint64(len(code)))
	le.PutUint32(b[p+s.pflags:], uint32(FlagRead|FlagExec))
	return append(b, code...)
}

func TestVerifyNaCl(t *testing.T) {
	for _, abi := range []validator.ABI{validator.Classic, validator.X86_32} {
		good := naclFile(abi, []byte{0x89, 0xc3, 0x55})
		verify := func(b []byte) (*Report, error) {
			return Verify("f", bytes.NewReader(b), int64(len(b)), VerifyOptions{ABI: abi})
		}
		r, err := verify(good)
		if err != nil || !r.OK() || r.ABI != abi || len(r.Code) != 1 || r.Code[0].Size != 3 || r.Code[0].Address != 0x20000 {
			t.Errorf("%v: %+v %v", abi, r, err)
		}
		r, err = verify(naclFile(abi, []byte{0x90, 0xc3}))
		if err != nil || r.OK() || !strings.Contains(r.Err().Error(), "f: text+0x1: V-RET") {
			t.Errorf("%v: %v %v", abi, r.Err(), err)
		}
		// What a writer of files may do to it: an error or a verdict, no panic.
		for i := range good {
			if _, err := verify(good[:i]); err == nil {
				t.Errorf("%v: accepted when cut at %d", abi, i)
			}
			for _, x := range []byte{0, 1, 0x7f, 0x80, 0xff} {
				b := append([]byte(nil), good...)
				b[i] = x
				verify(b)
			}
		}
		odd := append([]byte(nil), good...)
		odd[elfShapes[abi].header+elfShapes[abi].pvaddr] = 1
		if _, err := verify(odd); err == nil || !strings.Contains(err.Error(), "multiple of 32") {
			t.Errorf("%v: %v", abi, err)
		}
	}
}

func TestVerifyRaw(t *testing.T) {
	code := []byte{0x41, 0x0f, 0xc3, 0x07} // movnti %eax,(%r15)
	o := VerifyOptions{ABI: validator.Classic}
	if r, err := VerifyRaw("f", code, 0x20000, o); err != nil || !r.OK() || code[0] != 0x41 {
		t.Errorf("%v %v % x", err, r, code)
	}
	o.ReadOnly = true
	if r, err := VerifyRaw("f", code, 0x20000, o); err != nil || r.OK() {
		t.Errorf("%v %v", err, r)
	}
	if _, err := VerifyRaw("f", code, 0x20001, o); err == nil {
		t.Error("an offset within a bundle")
	}
}
