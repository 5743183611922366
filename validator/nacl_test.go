package validator

import (
	"bufio"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestLengthsNaCl compares lengths with those that NaCl's own automaton
// accepts, measured over all opcodes and ModRM digits, where that table is at
// hand.
func TestLengthsNaCl(t *testing.T) {
	f, err := os.Open("../../shared/reference/nacl-x86-opcode-matrix.tsv")
	if err != nil {
		t.Skipf("the measured opcode matrix is not here: %v", err)
	}
	defer f.Close()
	c := newChecker(0x20000, 0x10)
	compared, unknown := 0, 0
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		col := strings.Split(sc.Text(), "\t")
		if col[0] != "64" {
			continue
		}
		var code []byte
		put := func(s string) {
			b, err := hex.DecodeString(s)
			if err != nil {
				t.Fatalf("%q: %v", sc.Text(), err)
			}
			code = append(code, b...)
		}
		for form, lengths := range col[5:7] {
			for digit := 0; digit < 8; digit++ {
				want, err := strconv.ParseUint(lengths[digit:digit+1], 16, 8)
				if err != nil {
					continue // not decodable, or non-temporal
				}
				code = code[:0]
				if col[3] != "-" {
					put(col[3])
				}
				rex := byte(0)
				if col[4] == "1" {
					rex = 0x48
				}
				modrm := byte(0xc1 | digit<<3)
				if form == 1 { // (%r15)
					rex |= 0x41
					modrm = byte(0x07 | digit<<3)
				}
				if rex != 0 {
					code = append(code, rex)
				}
				if col[1] != "1" {
					put(col[1])
				}
				put(col[2])
				code = append(code, modrm)
				n, _ := c.stepOne(code)
				if n == 0 {
					unknown++
					continue
				}
				compared++
				if n != int(want) {
					t.Errorf("% x: length %d, NaCl says %d", c.text[:15], n, want)
				}
			}
		}
	}
	t.Logf("%d compared, %d refused without a length", compared, unknown)
	if compared < 10000 {
		t.Error("too few to mean anything")
	}
}
