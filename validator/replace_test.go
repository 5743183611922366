package validator

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// bundleOf pads hex with nops to whole bundles.
func bundleOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	for len(b) == 0 || len(b)%BundleSize != 0 {
		b = append(b, 0x90)
	}
	return b
}

// replacements are attacks on code that is being executed, and changes that
// programs make. rule "" allows.
var replacements = []struct {
	name     string
	abi      ABI
	old, new string
	rule     Rule
}{
	// Everywhere.
	{"nothing", Halite, "b8 01 00 00 00", "b8 01 00 00 00", ""},
	{"immediate", Halite, "b8 01 00 00 00", "b8 02 00 00 00", ""},
	{"immediate", Classic, "b8 01 00 00 00", "b8 02 00 00 00", ""},
	{"immediate", X86_32, "b8 01 00 00 00", "b8 02 00 00 00", ""},
	{"call", Halite, "e8 1b 00 00 00", "e8 00 00 00 00", ""},
	{"call", Classic, "e8 1b 00 00 00", "e8 00 00 00 00", ""},
	{"call", X86_32, "e8 1b 00 00 00", "e8 00 00 00 00", ""},
	{"a branch out that stays", Halite, "eb 7f b8 01 00 00 00", "eb 7f b8 02 00 00 00", ""},
	{"a branch out that stays", Classic, "eb 7f b8 01 00 00 00", "eb 7f b8 02 00 00 00", ""},
	{"a branch out that stays", X86_32, "eb 7f b8 01 00 00 00", "eb 7f b8 02 00 00 00", ""},
	{"a branch out that is new", Halite, "eb 00", "eb 7f", "V-JUMP-RANGE"},
	{"a branch out that is new", Classic, "e8 1b 00 00 00", "e8 7a 00 00 00", "V-JUMP-RANGE"},
	{"a branch out that is new", X86_32, "eb 00", "eb 7f", "V-JUMP-RANGE"},
	{"a branch into a unit", Halite, "eb 00 83 e0 e0 4c 01 f8 ff e0", "eb 03 83 e0 e0 4c 01 f8 ff e0", "V-JUMP-TARGET"},
	{"a branch into a unit", Classic, "e8 00 00 00 00 83 e0 e0 4c 01 f8 ff e0", "e8 03 00 00 00 83 e0 e0 4c 01 f8 ff e0", "V-JUMP-TARGET"},
	{"a branch to what relies on the instruction before", Classic, "e8 00 00 00 00 89 c0 41 8b 04 07", "e8 02 00 00 00 89 c0 41 8b 04 07", "V-JUMP-TARGET"},
	{"a branch into a unit", X86_32, "eb 00 83 e0 e0 ff e0", "eb 03 83 e0 e0 ff e0", "V-JUMP-TARGET"},
	{"something forbidden", Halite, "90 90", "0f 05", "V-INSN-SYSCALL"},
	{"something forbidden", Classic, "90 90", "0f 05", "V-INSN-SYSCALL"},
	{"something forbidden", X86_32, "90 90", "cd 80", "V-INSN-SYSCALL"},

	// Boundaries: a return address, or a thread that was interrupted, points
	// to the starts of the old code.
	{"one for two", Halite, "90 90", "66 90", "V-REPLACE-START"},
	{"two for one", Halite, "66 90", "90 90", "V-REPLACE-START"},
	{"shifted", Halite, "b8 01 00 00 00 90", "90 b8 01 00 00 00", "V-REPLACE-START"},
	{"shifted", X86_32, "b8 01 00 00 00 90", "90 b8 01 00 00 00", "V-REPLACE-START"},
	{"shifted", Classic, "b8 01 00 00 00 90", "90 b8 01 00 00 00", "V-REPLACE"},
	{"hidden in an immediate", Halite, "90 90 90 90 90", "b8 0f 05 0f 05", "V-REPLACE-START"},
	{"hidden in an immediate", X86_32, "90 90 90 90 90", "b8 0f 05 0f 05", "V-REPLACE-START"},
	{"behind a call", Halite, "e8 1b 00 00 00 90 90", "e8 1b 00 00 00 66 90", "V-REPLACE-START"},
	{"old that does not decode", Halite, "06", "90", "V-REPLACE-START"},

	// Units: a thread may stand between their parts.
	{"unit that stays", Halite, "b8 01 00 00 00 83 e0 e0 4c 01 f8 ff e0", "b8 02 00 00 00 83 e0 e0 4c 01 f8 ff e0", ""},
	{"unit that stays", X86_32, "b8 01 00 00 00 83 e0 e0 ff e0", "b8 02 00 00 00 83 e0 e0 ff e0", ""},
	{"unit of another register", Halite, "83 e0 e0 4c 01 f8 ff e0", "83 e3 e0 4c 01 fb ff e3", "V-REPLACE-UNIT"},
	{"unit of another register", X86_32, "83 e0 e0 ff e0", "83 e3 e0 ff e3", "V-REPLACE-UNIT"},
	{"unit of another register", Classic, "83 e0 e0 4c 01 f8 ff e0", "83 e3 e0 4c 01 fb ff e3", "V-REPLACE"},
	{"jump to call", Halite, "83 e0 e0 4c 01 f8 ff e0", "83 e0 e0 4c 01 f8 ff d0", "V-REPLACE-UNIT"},
	{"unit made", Halite, "83 e0 e0 4c 01 f8 66 90", "83 e0 e0 4c 01 f8 ff e0", "V-REPLACE-UNIT"},
	{"unit made of one", Halite, "0f 1f 84 00 00 00 00 00", "83 e0 e0 4c 01 f8 ff e0", "V-REPLACE-UNIT"},
	{"unit made of one", X86_32, "b8 00 00 00 00", "83 e0 e0 ff e0", "V-REPLACE-UNIT"},
	{"unit unmade", Halite, "83 e0 e0 4c 01 f8 ff e0", "0f 1f 84 00 00 00 00 00", "V-REPLACE-UNIT"},
	{"unit unmade", X86_32, "83 e0 e0 ff e0", "b8 00 00 00 00", "V-REPLACE-UNIT"},
	{"unit unmade into parts", X86_32, "83 e0 e0 ff e0", "83 e0 e0 89 c0", "V-REPLACE-START"},

	// Halite: an instruction is safe from any state, so any may be another.
	{"another instruction", Halite, "48 89 c3", "48 01 c3", ""},
	{"another instruction in front of a unit", X86_32, "40 83 e0 e0 ff e0", "48 83 e0 e0 ff e0", ""},
	{"another instruction", X86_32, "89 c3", "01 c3", ""},
	{"another instruction", Classic, "48 89 c3", "48 01 c3", "V-REPLACE"},
	{"call to jump", Halite, "e8 1b 00 00 00", "e9 1b 00 00 00", ""},
	{"memory operand", Halite, "65 67 8b 03", "65 67 8b 01", ""},
	{"memory without gs", Halite, "65 67 8b 03", "67 48 8b 03", "V-MEM-SEG"},

	// Classic: what follows may rely on what a mov has left.
	{"displacement", Classic, "41 8b 47 08", "41 8b 47 10", ""},
	{"displacement behind SIB", Classic, "89 c0 41 8b 84 07 00 01 00 00", "89 c0 41 8b 84 07 00 02 00 00", ""},
	{"scale", Classic, "89 c0 41 8b 44 07 08", "89 c0 41 8b 44 47 08", "V-REPLACE"},
	{"rip-relative", Classic, "8b 05 00 10 00 00", "8b 05 00 20 00 00", ""},
	{"immediate of a store", Classic, "41 c7 47 08 01 00 00 00", "41 c7 47 0c 02 00 00 00", ""},
	{"immediate for a register", Classic, "48 c7 c0 01 00 00 00", "48 c7 c0 02 00 00 00", ""},
	{"immediate for a register that looks like SIB", Classic, "41 c7 c4 01 00 00 00", "41 c7 c4 02 00 00 00", ""},
	{"other destination", Classic, "b8 01 00 00 00", "b9 01 00 00 00", "V-REPLACE"},
	{"immediate of test", Classic, "a9 01 00 00 00", "a9 02 00 00 00", "V-REPLACE"},
	{"immediate of add", Classic, "05 01 00 00 00", "05 02 00 00 00", "V-REPLACE"},
	{"mask of a unit", Classic, "83 e0 e0 4c 01 f8 ff e0", "83 e0 c0 4c 01 f8 ff e0", "V-REPLACE"},
	{"displacement of lea", Classic, "8d 40 01", "8d 40 02", "V-REPLACE"},
	{"jump", Classic, "e9 1b 00 00 00", "e9 00 00 00 00", "V-REPLACE"},
	{"string unit", Classic, "89 ff 49 8d 3c 3f aa", "8b ff 49 8d 3c 3f aa", "V-REPLACE"},
	{"masked store of another", Classic, "89 ff 49 8d 3c 3f 0f f7 c1", "89 ff 49 8d 3c 3f 0f f7 c2", "V-REPLACE"},
	{"non-temporal that stays", Classic, "41 0f c3 07", "41 0f c3 07", "V-NONTEMPORAL"},
}

func TestReplacement(t *testing.T) {
	for _, c := range replacements {
		new := bundleOf(t, c.new)
		r, err := ValidateReplacement(bundleOf(t, c.old), new, Options{ABI: c.abi, Offset: 0x20000, CollectTargets: true})
		switch {
		case err != nil:
			t.Errorf("%s, %v: %v", c.name, c.abi, err)
		case c.rule == "" && !r.OK():
			t.Errorf("%s, %v: refused: %v", c.name, c.abi, r.Err())
		case c.rule != "" && (r.OK() || r.Errors[0].Rule != c.rule):
			t.Errorf("%s, %v: %v, want %s", c.name, c.abi, r.Err(), c.rule)
		case r.OK() && len(r.Targets) != 1:
			t.Errorf("%s, %v: no targets", c.name, c.abi)
		}
		if !bytes.Equal(new, bundleOf(t, c.new)) {
			t.Errorf("%s, %v: the new code was changed", c.name, c.abi)
		}
	}
}

func TestReplacementMisuse(t *testing.T) {
	if _, err := ValidateReplacement(nops(2), nops(1), Options{}); err == nil || !strings.Contains(err.Error(), "cannot replace") {
		t.Error(err)
	}
	if _, err := ValidateReplacement(nops(1)[:5], nops(1)[:5], Options{}); err == nil {
		t.Error("part of a bundle")
	}
}

// TestReplacementCPU: what was overwritten with hlt when it was loaded stays
// so, when a program writes the original bytes over it.
func TestReplacementCPU(t *testing.T) {
	const pshufb = "66 0f 38 00 c1"
	o := Options{ABI: Classic, Features: FeatureSSE2 | FeatureX87}
	new := bundleOf(t, pshufb)
	r, err := ValidateReplacement(bundleOf(t, "f4 f4 f4 f4 f4"), new, o)
	if err != nil || !r.OK() || !bytes.Equal(new, bundleOf(t, "f4 f4 f4 f4 f4")) {
		t.Errorf("%v %v % x", err, r.Err(), new)
	}
	r, err = ValidateReplacement(bundleOf(t, "f4 f4 f4 f4 90"), bundleOf(t, pshufb), o)
	if err != nil || r.OK() || r.Errors[0].Rule != "V-FEATURE" {
		t.Errorf("%v %v", err, r.Err())
	}
	// In 32-bit mode and for halite, too, where boundaries are compared.
	for _, abi := range []ABI{Halite, X86_32} {
		o.ABI = abi
		if r, err = ValidateReplacement(bundleOf(t, "f4 f4 f4 f4 f4"), bundleOf(t, pshufb), o); err != nil || !r.OK() {
			t.Errorf("%v: %v %v", abi, err, r.Err())
		}
	}
}

func TestRewrite(t *testing.T) {
	sse2 := FeatureX87 | FeatureSSE | FeatureSSE2
	for _, c := range []struct {
		name     string
		abi      ABI
		cpu      Features
		old, new string // new "" refuses
	}{
		{"nothing to do", Classic, 0, "48 89 c3", "48 89 c3"},
		{"prefetchnta", Classic, 0, "0f 18 00", "90 90 90"},
		{"prefetchnta", X86_32, 0, "0f 18 00", "90 90 90"},
		{"movntq", Classic, 0, "41 0f e7 07", "41 0f 7f 07"},
		{"movntq", X86_32, 0, "0f e7 07", "0f 7f 07"},
		{"movntq without REX", Classic, 0, "0f e7 04 24", ""},
		{"movntps", Classic, 0, "41 0f 2b 07", "41 0f 29 07"},
		{"movntdq", Classic, 0, "66 41 0f e7 07", "66 41 0f 7f 07"},
		{"movntpd", Classic, 0, "66 41 0f 2b 07", ""},
		{"movntdqa", Classic, 0, "66 41 0f 38 2a 07", ""},
		{"vmovntdq", Classic, 0, "c4 c1 79 e7 07", ""},
		{"movnti", Classic, 0, "41 0f c3 07", "90 41 89 07"},
		{"movnti, rip-relative", Classic, 0, "40 0f c3 05 00 10 00 00", "90 40 89 05 00 10 00 00"},
		{"movnti with an index", Classic, 0, "89 c0 41 0f c3 1c 07", "89 c0 41 89 1c 07 90"},
		{"movnti", X86_32, 0, "0f c3 07", ""},
		{"movnti", Halite, 0, "65 67 0f c3 03", ""},
		{"what does not decode", Classic, 0, "06", ""},
		{"what does not decode", Halite, 0, "06", ""},
		{"a stack pointer left alone at the end", Classic, 0, strings.Repeat("90", 30) + "89 c4", ""},
		{"a frame pointer left alone at the end", Classic, 0, strings.Repeat("90", 30) + "89 c5", ""},
		{"with an error elsewhere", Classic, 0, "0f 18 00 0f 05", ""},
		{"jump into the middle", Classic, 0, "eb 01 0f 18 00", ""},
		{"jump behind", Classic, 0, "eb 03 0f 18 00", "eb 03 90 90 90"},
		{"missing feature", Classic, sse2, "66 0f 38 00 c1", "f4 f4 f4 f4 f4"},
		{"missing feature", X86_32, sse2, "66 0f 38 00 c1", "f4 f4 f4 f4 f4"},
		{"missing feature", Halite, sse2, "66 0f 38 00 c1", "f4 f4 f4 f4 f4"},
		{"jump into a missing feature", Halite, sse2, "eb 01 66 0f 38 00 c1", ""},
		{"missing feature that extends an index", Classic, FeatureX87, "66 0f 7e c0 41 8b 04 07", ""},
		{"two in one bundle", Classic, sse2, "0f 18 00 66 0f 38 00 c1 90 0f 18 00", "90 90 90 f4 f4 f4 f4 f4 90 90 90 90"},
		{"in the second bundle", Classic, 0, strings.Repeat("90", 32) + "0f 18 00", strings.Repeat("90", 35)},
	} {
		text := bundleOf(t, c.old)
		r, err := Rewrite(text, Options{ABI: c.abi, Features: c.cpu, Offset: 0x20000, CollectTargets: true})
		want := bundleOf(t, c.new)
		if c.new == "" {
			want = bundleOf(t, c.old)
		}
		if err != nil || r.OK() != (c.new != "") || !bytes.Equal(text, want) {
			t.Errorf("%s, %v: %v %v % x", c.name, c.abi, err, r.Err(), text)
		}
		if r.OK() && len(r.Targets) == 0 {
			t.Errorf("%s, %v: no targets", c.name, c.abi)
		}
	}
}

func TestFeatures(t *testing.T) {
	for f := Features(1); f < featureEnd; f <<= 1 {
		if g, err := ParseFeatures(strings.ToLower(f.String())); err != nil || g != f {
			t.Errorf("%v: %v %v", f, g, err)
		}
	}
	if f, err := ParseFeatures(AllFeatures.String()); err != nil || f != AllFeatures {
		t.Error(f, err)
	}
	if _, err := ParseFeatures("SSE,MMY"); err == nil || !strings.Contains(err.Error(), "MMY") {
		t.Error(err)
	}
	// Every CPU with 64-bit mode has these.
	if base := FeatureX87 | FeatureMMX | FeatureSSE | FeatureSSE2 | FeatureCMOV | FeatureCX8 | FeatureTSC; HostFeatures()&base != base {
		t.Errorf("this CPU lacks %v", base&^HostFeatures())
	}
	for i := needNothing + 1; i < needCount; i++ {
		if n := needFeatures[i]; n[0] == 0 || n[1] == 0 || Features(0).lacks(i) == false || AllFeatures.lacks(i) {
			t.Errorf("need %d: %v", i, n)
		}
	}
}

// TestThreadPointerLoadsEverywhere: they are named by all three functions, at
// the default displacement and at another.
func TestThreadPointerLoadsEverywhere(t *testing.T) {
	o := Options{Offset: 0x20000, CollectThreadPointerLoads: true}
	text := bundleOf(t, strings.Repeat("90", 32)+"64 8b 04 25 10 00 00 00 64 44 8b 04 25 10 00 00 00")
	for name, judge := range map[string]func() (Result, error){
		"Validate":            func() (Result, error) { return Validate(text, o) },
		"Rewrite":             func() (Result, error) { return Rewrite(text, o) },
		"ValidateReplacement": func() (Result, error) { return ValidateReplacement(text, text, o) },
	} {
		r, err := judge()
		if err != nil || !r.OK() || len(r.ThreadPointerLoads) != 2 || r.ThreadPointerLoads[0] != 36 || r.ThreadPointerLoads[1] != 45 {
			t.Errorf("%s: %v %v %v", name, err, r.Err(), r.ThreadPointerLoads)
		}
	}
	// Running code may not turn to another word.
	other := bundleOf(t, strings.Repeat("90", 32)+"64 8b 04 25 18 00 00 00 64 44 8b 04 25 10 00 00 00")
	if r, err := ValidateReplacement(text, other, o); err != nil || r.OK() || r.Errors[0].Rule != "V-MEM-FS" {
		t.Errorf("%v %v", err, r.Err())
	}
}
