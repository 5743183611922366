package validator

import (
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// FuzzValidate holds Validate against the reference on whole texts: the same
// verdict, no panic, and errors that make sense. For accepted texts it checks
// lengths against x86asm, and control flow with a walk of its own.
func FuzzValidate(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.text, v.options.Offset, v.options.ThreadPointer)
	}
	f.Add(syntheticText(256), uint32(0x20000), int32(0))
	f.Fuzz(func(t *testing.T, text []byte, offset uint32, thread int32) {
		if len(text) > 1<<12 {
			return
		}
		for len(text)%BundleSize != 0 {
			text = append(text, 0x90)
		}
		offset &^= BundleSize - 1
		if uint64(offset)+uint64(len(text)) > 1<<32 {
			offset = 0x20000
		}
		o := Options{Offset: offset, ThreadPointer: thread, MaxErrors: 1 << 16, CollectThreadPointerLoads: true}
		r, err := Validate(text, o)
		if err != nil {
			t.Fatal(err)
		}
		if thread == 0 {
			thread = DefaultThreadPointer
		}
		if ok, why := refValidate(text, int64(offset), uint32(thread)); ok != r.OK() {
			t.Fatalf("validator: %v, reference: %v %s", r.Err(), ok, why)
		}
		for _, e := range r.Errors {
			if int(e.Offset) >= len(text) || len(e.Code) == 0 || e.Detail == "" || !ruleKnown(e.Rule) {
				t.Fatalf("strange error %+v", e)
			}
		}
		if !r.OK() {
			return
		}
		for _, l := range r.ThreadPointerLoads {
			if int(l)+4 > len(text) {
				t.Fatalf("thread pointer load at %#x of %#x", l, len(text))
			}
		}
		for off := 0; off < len(text); off += BundleSize {
			for p := off; p < off+BundleSize; {
				in, why := refStep(text[p:off+BundleSize], int64(p), int64(offset), uint32(thread))
				if why != "" {
					t.Fatal(why)
				}
				// A unit is three instructions for x86asm, and those that it
				// does not know are left to LLVM.
				if refUnit(text[p:]) == 0 {
					if inst, err := x86asm.Decode(text[p:off+BundleSize], 64); err == nil && inst.Op != 0 && inst.Len != in.n && !x86asmDisagrees(text[p:p+in.n]) {
						t.Fatalf("% x: length %d, x86asm says %d", text[p:p+in.n], in.n, inst.Len)
					}
				}
				p += in.n
			}
		}
	})
}

// FuzzStep compares single instructions, which covers more encodings a second
// than whole texts do.
func FuzzStep(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.text[:15])
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		agree(t, newChecker(0x20000, 0x10), code)
	})
}

// FuzzDisassemble: no bytes make it panic or claim more than there is.
func FuzzDisassemble(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.text[:15])
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		if text, n := Disassemble(code, 0x20000); text == "" || n > len(code) || n > 15 || n <= 0 && len(code) > 0 {
			t.Fatalf("% x: %q %d", code, text, n)
		}
	})
}
