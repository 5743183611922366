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

// TestVectorsNaCl judges byte strings that were judged by NaCl's own
// automaton, where they are at hand.
func TestVectorsNaCl(t *testing.T) {
	f, err := os.Open("../../shared/reference/nacl-validator-vectors.tsv")
	if err != nil {
		t.Skipf("the recorded vectors are not here: %v", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Scan() // the header
	lines, defects := 0, 0
	for sc.Scan() {
		col := strings.Split(sc.Text(), "\t")
		abi := Classic
		if col[0] == "32" {
			abi = X86_32
		}
		text := bundleOf(t, col[1])
		r, err := Validate(text, Options{ABI: abi})
		if err != nil {
			t.Fatal(err)
		}
		verdict := "bad"
		switch {
		case r.OK():
			verdict = "ok"
		case r.NonTemporal():
			verdict = "rewrite"
		}
		lines++
		switch {
		case verdict == col[2]:
		case col[2] == "ok" && extendsNop(text, r):
			defects++
		default:
			t.Errorf("%s: %s: %v", sc.Text(), verdict, r.Err())
		}
	}
	if lines != 4527 {
		t.Errorf("%d vectors, want 4527", lines)
	}
	t.Logf("%d with the defect of the original", defects)
}

// TestMatrixNaCl compares what is decoded, and how long it is, with what NaCl's
// automaton accepts, for every opcode, prefix and ModRM digit of both modes,
// where that table is at hand.
func TestMatrixNaCl(t *testing.T) {
	f, err := os.Open("../../shared/reference/nacl-x86-opcode-matrix.tsv")
	if err != nil {
		t.Skipf("the measured opcode matrix is not here: %v", err)
	}
	defer f.Close()
	type key struct{ mode, opmap, op, prefix, w string }
	matrix := map[key][2]string{}
	sc := bufio.NewScanner(f)
	sc.Scan()
	for sc.Scan() {
		col := strings.Split(sc.Text(), "\t")
		matrix[key{col[0], col[1], col[2], col[3], col[4]}] = [2]string{col[5], col[6]}
	}
	compared := 0
	for _, mode := range []string{"32", "64"} {
		for _, opmap := range []string{"1", "0f", "0f38", "0f3a"} {
			for op := 0; op < 256; op++ {
				if opmap == "1" && isPrefix(mode, byte(op)) || opmap == "1" && op == 0x0f || opmap == "0f" && (op == 0x38 || op == 0x3a) ||
					opmap == "1" && (op == 0xc4 || op == 0xc5) {
					continue
				}
				for _, prefix := range []string{"-", "66", "f2", "f3"} {
					for _, w := range []string{"0", "1"} {
						if w == "1" && mode == "32" {
							continue
						}
						have := matrixRow(t, mode, opmap, byte(op), prefix, w)
						want, ok := matrix[key{mode, opmap, strconv.FormatUint(uint64(op)|0x100, 16)[1:], prefix, w}]
						if !ok {
							want = [2]string{"........", "........"}
						}
						compared++
						if have != want {
							t.Errorf("%s %s %02x %s W=%s: %v, NaCl %v", mode, opmap, op, prefix, w, have, want)
						}
					}
				}
			}
		}
	}
	t.Logf("%d rows", compared)
}

func isPrefix(mode string, b byte) bool {
	switch b {
	case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3:
		return true
	}
	return mode == "64" && b&0xf0 == 0x40
}

// matrixRow makes a row of the matrix from our validator.
func matrixRow(t *testing.T, mode, opmap string, op byte, prefix, w string) (row [2]string) {
	for form := range row {
		var s strings.Builder
		for digit := 0; digit < 8; digit++ {
			var code []byte
			if prefix != "-" {
				b, _ := hex.DecodeString(prefix)
				code = append(code, b...)
			}
			rex := byte(0)
			if w == "1" {
				rex = 0x48
			}
			modrm := byte(0xc1 | digit<<3)
			if form == 1 {
				modrm = byte(0x03 | digit<<3)
				if mode == "64" { // (%r15)
					rex |= 0x41
					modrm = byte(0x07 | digit<<3)
				}
			}
			if rex != 0 {
				code = append(code, rex)
			}
			if opmap != "1" {
				b, _ := hex.DecodeString(opmap)
				code = append(code, b...)
			}
			code = append(code, op, modrm)
			c := newChecker(0x20000, 0x10)
			c.abi = Classic
			if mode == "32" {
				c.abi = X86_32
			}
			c.zx = noReg
			n, broken := c.stepOne(code)
			switch broken {
			case ruleNone, ruleMemBase, ruleMemIndex, ruleSPWrite, ruleBPWrite, ruleR15, ruleJumpRange, ruleSPFix, ruleBPFix:
				s.WriteString(strconv.FormatUint(uint64(n), 16))
			case ruleNonTemporal:
				s.WriteByte('w')
			default:
				s.WriteByte('.')
			}
		}
		row[form] = s.String()
	}
	return row
}
