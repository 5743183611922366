package sfi

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/halite-run/halite/validator"
)

// A composer makes assembly from fuzz input: statements from templates, so
// that nearly all of it gets past the parser.
type composer struct {
	in []byte
	b  strings.Builder
}

func (c *composer) next() int {
	if len(c.in) == 0 {
		return 0
	}
	x := int(c.in[0])
	c.in = c.in[1:]
	return x
}

func (c *composer) pick(l []string) string { return l[(c.next()|c.next()<<8)%len(l)] }

var fuzzMnemonics = func() []string {
	var l []string
	for n := range mnemonics() {
		l = append(l, n)
	}
	sort.Strings(l)
	return l
}()

var fuzzRegs = func() []string {
	var l []string
	for n := range regTable() {
		l = append(l, n)
	}
	sort.Strings(l)
	return append(l, "%r14", "%rsp", "%rsp", "%rbp", "%zmm3", "%k1", "%cr0")
}()

var (
	fuzzDisps    = []string{"", "0", "8", "-8", "120", "128", "4096", "0x7fffffff", "-0x80000000", "0xffffffff", "sym", "sym+8", ".L1", "x@tpoff", "x@gottpoff", "sym@GOTPCREL", "x@tlsgd", "x@tlsld", "1f", "1b", "0x123456789abc"}
	fuzzSegs     = []string{"", "", "", "", "", "", "%fs:", "%gs:", "%ds:", "%es:", "%ss:", "%cs:"}
	fuzzPrefixes = []string{"", "", "", "", "", "", "lock ", "rep ", "repne ", "notrack ", "data16 ", "rex64 ", "lock; ", "bnd ", "{vex} ", "xrelease "}
	fuzzImms     = []string{"$0", "$8", "$-8", "$16", "$-32", "$sym", "$.L1", "$0x12345678", "$-1", "$200"}
	// Statements with a role in the flow of control or of the stack.
	fuzzRoles = []string{
		"pushq %rbp", "movq %rsp, %rbp", "popq %rbp", "leave", "ret", "subq $24, %rsp", "addq $24, %rsp", "pushq %rbx", "popq %rbx",
		"andq $-32, %rsp", "subq %rax, %rsp", "leaq -8(%rbp), %rsp", "leaq 8(%rsp), %r10", "leaq -8(%r10), %rsp", "movq %rax, %rsp",
		"call other", "call *%rax", "call *8(%rsp)", "jmp *%rax", "notrack jmp *%rax", "jmp .L1", "jne .L1", "je .L2", "jmp other", "jne other",
		".L1:", ".L2:", "1:", "endbr64", "call setjmp", "syscall", "ud2", "hlt", "int3", "nop", "pause", "jrcxz 1b", "loop 1b",
		".p2align 4,,10", ".p2align 3", ".text", ".data", ".section .text.unlikely,\"ax\",@progbits", "f.cold:", "g:", ".type g, @function", ".globl g",
		".cfi_startproc", ".cfi_endproc", ".cfi_def_cfa_offset 16", ".cfi_def_cfa 7, 8", ".cfi_def_cfa_register 6", ".cfi_remember_state", ".cfi_restore_state",
		".quad .L1", ".section .rodata", ".long .L2-.L1", ".byte 0x90", ".halite_raw", ".set h, f", "h = f",
		"data16 leaq x@tlsgd(%rip), %rdi\n\t.value 0x6666\n\trex64\n\tcall __tls_get_addr@PLT", "leaq x@tlsld(%rip), %rdi\n\tcall __tls_get_addr@PLT",
		"movq %fs:0, %rax", "movl %fs:x@tpoff, %eax", "rep movsb", "repne scasb", "rep stosq", "movsl", "pushq 8(%rsp)", "popq 8(%rsp)", "pushq %rsp", "movb %ah, 4(%rsp)",
	}
)

func (c *composer) memory() string {
	s := c.pick(fuzzSegs) + c.pick(fuzzDisps)
	switch c.next() % 6 {
	case 0:
		return s
	case 1:
		return s + "(%rip)"
	case 2:
		return s + "(" + c.pick(fuzzRegs) + ")"
	case 3:
		return s + "(" + names64[c.next()&15] + "," + names64[c.next()&15] + "," + []string{"1", "2", "4", "8"}[c.next()&3] + ")"
	case 4:
		return s + "(" + names64[c.next()&15] + ")"
	}
	return s + "(," + c.pick(fuzzRegs) + ",4)"
}

func (c *composer) operand() string {
	switch c.next() % 8 {
	case 0:
		return c.pick(fuzzImms)
	case 1, 2, 3:
		return c.memory()
	case 4:
		return "*" + c.memory()
	case 5:
		return names64[c.next()&15]
	}
	return c.pick(fuzzRegs)
}

func (c *composer) compose() string {
	c.b.WriteString("\t.text\n\t.type f, @function\nf:\n")
	for len(c.in) > 0 && c.b.Len() < 8000 {
		if c.next()%3 == 0 {
			c.b.WriteString("\t" + c.pick(fuzzRoles) + "\n")
			continue
		}
		c.b.WriteString("\t" + c.pick(fuzzPrefixes) + c.pick(fuzzMnemonics))
		for i := range c.next() % 4 {
			if i > 0 {
				c.b.WriteString(",")
			}
			c.b.WriteString(" " + c.operand())
		}
		c.b.WriteString("\n")
	}
	return c.b.String()
}

// dropBad removes the lines that Rewrite complains of, so that the rest is
// tested too.
func dropBad(src string, l ErrorList) string {
	bad := map[int]bool{}
	for _, e := range l {
		bad[e.Line] = true
	}
	var b strings.Builder
	for i, s := range strings.SplitAfter(src, "\n") {
		if !bad[i+1] {
			b.WriteString(s)
		}
	}
	return b.String()
}

// llvmErrors returns the lines of the output that llvm-mc complains of.
func llvmErrors(msg string) map[int]bool {
	bad := map[int]bool{}
	for _, l := range strings.Split(msg, "\n") {
		var n, col int
		if _, err := fmt.Sscanf(l, "<stdin>:%d:%d: error:", &n, &col); err == nil {
			bad[n] = true
		}
	}
	return bad
}

// judge assembles what the pass made and asks the validator. It reports
// whether there was anything to judge.
func judge(dir string, out []byte) (bool, error) {
	o := filepath.Join(dir, "f.o")
	// What llvm-mc does not know is no danger; leave it out and judge the rest.
	for range 4 {
		c := exec.Command("llvm-mc-19", "-triple=x86_64-linux-gnu", "-filetype=obj", "-o", o)
		c.Stdin = bytes.NewReader(out)
		msg, err := c.CombinedOutput()
		if err == nil {
			return true, validateObject(o)
		}
		bad := llvmErrors(string(msg))
		if len(bad) == 0 {
			return false, nil
		}
		var b bytes.Buffer
		for i, l := range bytes.SplitAfter(out, []byte("\n")) {
			if !bad[i+1] {
				b.Write(l)
			}
		}
		out = b.Bytes()
	}
	return false, nil
}

// validateObject checks the text of an object file whose relocations are not
// applied: branches to elsewhere go to the next instruction then.
func validateObject(file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 || s.Size == 0 {
			continue
		}
		text, err := s.Data()
		if err != nil {
			return err
		}
		for len(text)%32 != 0 {
			text = append(text, 0xf4)
		}
		r, err := validator.Validate(text, validator.Options{Offset: 0x400000, MaxErrors: 100})
		if err != nil {
			return err
		}
		if err := r.Err(); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// FuzzRewrite: what the pass emits always validates, or it reports an error.
func FuzzRewrite(f *testing.F) {
	need(f, "llvm-mc-19")
	f.Add([]byte("some bytes to begin with"))
	for i := range 40 {
		b := make([]byte, 200)
		x := uint32(i*7919 + 1)
		for k := range b {
			x = x*1664525 + 1013904223
			b[k] = byte(x >> 16)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := composer{in: in}
		src := c.compose()
		var out []byte
		var err error
		for range 8 {
			out, err = rewrite([]byte(src), Options{Name: "fuzz.s"})
			var l ErrorList
			if !errors.As(err, &l) {
				break
			}
			src = dropBad(src, l)
		}
		if err != nil {
			return
		}
		if _, err := judge(t.TempDir(), out); err != nil {
			t.Fatalf("%v\ninput:\n%s\noutput:\n%s", err, src, out)
		}
	})
}

// FuzzParse: no input makes the pass panic or hang.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/golden/*.s")
	for _, n := range files {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := rewrite(in, Options{Name: "fuzz.s"})
		if err == nil && len(out) > 64*len(in)+4096 {
			t.Errorf("%d bytes became %d", len(in), len(out))
		}
	})
}
