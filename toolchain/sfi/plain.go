package sfi

import (
	_ "embed"
	"strings"
)

// mnemonics.txt lists, one a line and in AT&T spelling, every mnemonic whose
// effect is told by its operands alone: it has no implicit memory operand,
// does not branch, and changes no state that the sandbox depends on. What is
// neither there nor in the table of special ones is refused. Names may be in
// it that no assembler knows (a suffix too many): llvm-mc refuses those.
//
//go:embed mnemonics.txt
var plainText string

func plainMnemonics() map[string]bool {
	m := make(map[string]bool, 2000)
	for _, n := range strings.Fields(plainText) {
		m[n] = true
	}
	return m
}
