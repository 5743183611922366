package validator

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// assemble runs llvm-mc on AT&T source and returns the text section.
// References between sections don't occur, so that nothing is left to relocate
// but absolute addresses, which read as 0.
func assemble(t testing.TB, src string) []byte {
	needLLVM(t)
	obj := filepath.Join(t.TempDir(), "a.o")
	cmd := exec.Command(llvmMC, "-triple=x86_64-linux-gnu", "-mattr=+avx2,+fma", "-filetype=obj", "-o", obj)
	cmd.Stdin = strings.NewReader(src)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%.2000s", llvmMC, err, out)
	}
	f, err := elf.Open(obj)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := f.Section(".text").Data()
	if err != nil {
		t.Fatal(err)
	}
	for len(text)%BundleSize != 0 {
		text = append(text, 0xf4)
	}
	return text
}

// TestAcceptAssembly: what the toolchain's assembler makes of the usual
// instructions is accepted, padding of every length included.
func TestAcceptAssembly(t *testing.T) {
	src, err := os.ReadFile("testdata/accept.s")
	if err != nil {
		t.Fatal(err)
	}
	text := assemble(t, string(src))
	r, err := Validate(text, Options{Offset: 0x20000, MaxErrors: 100, CollectThreadPointerLoads: true})
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Errorf("refused:\n%v", r.Err())
	}
	if len(r.ThreadPointerLoads) != 3 {
		t.Errorf("%d thread pointer loads, want 3", len(r.ThreadPointerLoads))
	}
	for _, o := range r.ThreadPointerLoads {
		if !bytes.Equal(text[o:o+4], []byte{0x10, 0, 0, 0}) {
			t.Errorf("no displacement at %#x: % x", o, text[o:o+4])
		}
	}
}

// TestAcceptPadding: every padding that the assembler chooses, for alignment
// and inside of bundles.
func TestAcceptPadding(t *testing.T) {
	var b strings.Builder
	b.WriteString(".text\n.bundle_align_mode 5\n")
	// Larger alignments pad across bundles: the assembly pass goes to them in
	// steps.
	for _, align := range []int{1, 2, 3, 4, 5} {
		for n := 1; n < 64; n++ {
			fmt.Fprintf(&b, ".p2align 5\n.fill %d, 1, 0xf4\n.p2align %d\nret\n", n, align)
		}
	}
	for n := 1; n <= 32; n++ {
		// An instruction of 10 bytes behind n others: bundle padding.
		fmt.Fprintf(&b, ".p2align 5\n.fill %d, 1, 0xf4\nmovabsq $0x123456789abcdef0, %%rax\n", n)
		// A unit behind n others, and calls at the end of bundles.
		fmt.Fprintf(&b, ".p2align 5\n.fill %d, 1, 0xf4\n.bundle_lock\nandl $-32, %%r11d\naddq %%r15, %%r11\ncallq *%%r11\n.bundle_unlock\n", n)
		fmt.Fprintf(&b, ".p2align 5\n.fill %d, 1, 0xf4\n.bundle_lock align_to_end\nandl $-32, %%r11d\naddq %%r15, %%r11\ncallq *%%r11\n.bundle_unlock\n", n)
	}
	if r, err := Validate(assemble(t, b.String()), Options{Offset: 0x20000}); err != nil || !r.OK() {
		t.Errorf("%v %v", err, r.Err())
	}
}

// TestAcceptRoundTrip assembles what LLVM's disassembler prints for accepted
// instructions. The assembler's encodings of them must be accepted too: the
// canonical encoding of an accepted instruction is never refused.
func TestAcceptRoundTrip(t *testing.T) {
	needLLVM(t)
	c := newChecker(0x20000, 0x10)
	var codes [][]byte
	seen := map[string]bool{}
	for i, code := range registerForms() {
		if !thorough() && i%7 != 0 {
			continue
		}
		n, why := c.stepOne(code)
		if why != ruleNone || seen[string(c.text[:n])] {
			continue
		}
		seen[string(c.text[:n])] = true
		codes = append(codes, append([]byte{}, c.text[:n]...))
	}
	texts, _ := llvmDisassemble(t, codes)
	// Forms that the disassembler prints and the assembler does not take.
	reject := regexp.MustCompile(`^(movslq\t.*, %(e..|r\d+d)|mov[sz]ww\t.*)$`)
	lines := map[string]bool{}
	var b strings.Builder
	b.WriteString(".text\n.bundle_align_mode 5\n")
	for _, s := range texts {
		name, _, _ := strings.Cut(s, "\t")
		if s == "" || lines[s] || name[0] == 'j' || name == "callq" || strings.HasPrefix(name, "loop") || name == "ud2" || reject.MatchString(s) {
			continue
		}
		lines[s] = true
		b.WriteString(s + "\n")
	}
	text := assemble(t, b.String())
	r, err := Validate(text, Options{Offset: 0x20000, MaxErrors: 30})
	if err != nil || !r.OK() {
		t.Errorf("%v %v", err, r.Err())
	}
	t.Logf("%d instructions, %d bytes", len(lines), len(text))
}
