package validator

import (
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// Disassemble returns the first instruction of code, which stands at pc, in
// GNU syntax, and its length. It is for people: the validator has a decoder of
// its own and never listens to this one. Bytes that it can't decode come back
// as ".byte 0x.., …", with the length of all of code, at most 15.
func Disassemble(code []byte, pc uint64) (text string, n int) {
	return disassemble(code, pc, 64)
}

// disassemble is Disassemble for 32-bit or 64-bit mode.
func disassemble(code []byte, pc uint64, mode int) (text string, n int) {
	defer func() {
		// The disassembler belongs to somebody else and is fed hostile bytes.
		if recover() != nil {
			text, n = rawBytes(code)
		}
	}()
	if len(code) == 0 {
		return "(nothing)", 0
	}
	inst, err := x86asm.Decode(code, mode)
	if err != nil || inst.Len <= 0 || inst.Len > len(code) || inst.Op == 0 {
		return rawBytes(code)
	}
	text = strings.Join(strings.Fields(x86asm.GNUSyntax(inst, pc, nil)), " ")
	if text == "" || strings.Contains(text, "Op(") || strings.Contains(text, "error") {
		return rawBytes(code)
	}
	return text, inst.Len
}

func rawBytes(code []byte) (string, int) {
	if len(code) > 15 {
		code = code[:15]
	}
	var b strings.Builder
	b.WriteString(".byte")
	for i, x := range code {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %#02x", x)
	}
	return b.String(), len(code)
}
