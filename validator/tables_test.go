package validator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The hash of the reviewed data. A change of instructions.txt is a change of
// what guests may execute: look at the difference line by line, then put the
// new hash here.
const instructionsSHA256 = "d08863525ea5c7889c22b4195be07a9d3e21417b2af20b39e3d8577e6c6c3855"

func TestPinnedData(t *testing.T) {
	data, err := os.ReadFile("instructions.txt")
	if err != nil {
		t.Fatal(err)
	}
	if h := sha256.Sum256(data); hex.EncodeToString(h[:]) != instructionsSHA256 {
		t.Errorf("instructions.txt has hash %x; review what changed, then pin it in tables_test.go", h)
	}
}

// TestGenerated: the committed tables are what the generator makes of the
// committed data, and the data is what it makes of NaCl's table where that is
// at hand.
func TestGenerated(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command to run the generator with")
	}
	gen := func(args ...string) {
		cmd := exec.Command(goTool, append([]string{"run", "./internal/gen"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	same := func(dir, name string) {
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what the generator writes; run `go generate ./validator`", name)
		}
	}
	dir := t.TempDir()
	data, err := os.ReadFile("instructions.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "instructions.txt"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	gen("-dir", dir)
	same(dir, "tables_gen.go")

	tsv := "../../shared/reference/nacl-x86-instructions.tsv"
	if _, err := os.Stat(tsv); err != nil {
		t.Logf("not compared with its source, which is not here: %v", err)
		return
	}
	gen("-dir", dir, "-import", tsv)
	same(dir, "instructions.txt")
}

// TestLongest: no accepted instruction is longer than the 15 bytes that CPUs
// take, so that step needs no rule about it.
func TestLongest(t *testing.T) {
	longest := 0
	add := func(name string, opcodeBytes int, cells *[48][256]uint16, prefixes func(page int) int) {
		for page := range cells {
			for op, cell := range cells[page] {
				ids := []uint16{cell}
				switch cell >> 14 {
				case 1:
					ids = narrowGroups[cell&0x3fff][8:] // memory forms are the longer ones
				case 2:
					ids = wideGroups[cell&0x3fff][64:]
				}
				for _, id := range ids {
					f := &forms[id]
					if f.verdict[Halite] != ruleNone {
						continue
					}
					n := prefixes(page) + opcodeBytes + int(f.imm)
					if cell>>14 != 0 {
						n += 2 + 1 + 1 + 4 // 65 67, ModRM, SIB, disp32
					}
					if f.flags&fLock != 0 {
						n++
					}
					if n > 15 {
						t.Errorf("%s page %d opcode %#02x may be %d bytes long", name, page, op, n)
					}
					longest = max(longest, n)
				}
			}
		}
	}
	add("legacy", 0, &legacyCells64, func(page int) int {
		p := []int{0, 1, 1, 1, 2, 2}[page/2%6] // mandatory prefixes and 66
		return p + 1 /* REX */ + []int{1, 2, 3, 3}[page/12]
	})
	add("VEX", 1, &vexCells64, func(int) int { return 3 })
	t.Logf("longest: %d", longest)
}

// TestMemoryForms: the tables put every form that can have a memory operand
// where the memory rules look.
func TestMemoryForms(t *testing.T) {
	for i, g := range narrowGroups {
		checkGroup(t, i, g[:8], g[8:])
	}
	for i, g := range wideGroups {
		checkGroup(t, i, g[:64], g[64:])
	}
}

func checkGroup(t *testing.T, i int, reg, mem []uint16) {
	for _, id := range mem {
		if f := &forms[id]; f.verdict[Halite] == ruleNone && f.flags&fMem == 0 {
			t.Errorf("group %d: a memory form without fMem", i)
		} else if f.flags&fAddressOnly != 0 && f.flags&fLea == 0 && f.flags&anyGPR != 0 {
			t.Errorf("group %d: an address-only form with registers that is not lea", i)
		}
	}
	for _, id := range reg {
		if f := &forms[id]; f.verdict[Halite] == ruleNone && f.flags&fMem != 0 {
			t.Errorf("group %d: a register form with fMem", i)
		}
	}
}
