package sfi

import (
	"errors"
	"strings"
	"testing"
)

// TestRefuse: what can't be made safe, or can't keep its meaning, is reported
// with its line.
func TestRefuse(t *testing.T) {
	tests := []struct{ asm, want string }{
		{"frobnicate %eax", "unknown instruction"},
		{"int $0x80", "way into the kernel"},
		{"sysenter", "way into the kernel"},
		{"iretq", "way into the kernel"},
		{"in $5, %al", "way into the kernel"},
		{"pushfq", "flags register"},
		{"popfq", "flags register"},
		{"std", "upwards"},
		{"lcall *(%rax)", "far"},
		{"lretq", "far"},
		{"enter $8, $0", "can't be sandboxed"},
		{"xlatb", "can't be sandboxed"},
		{"maskmovdqu %xmm0, %xmm1", "can't be sandboxed"},
		{"wrfsbase %rax", "segment"},
		{"rdgsbase %rax", "segment"},
		{"movw %ax, %ds", "segment"},
		{"movl %gs:(%rax), %eax", "segment"},
		{"movl %es:(%rax), %eax", "segment"},
		{"movl %cs:(%rax), %eax", "segment"},
		{"vmovups (%rax,%ymm1,4), %ymm2", "gathers"},
		{"vpgatherdd %ymm0, (%rax,%ymm1,4), %ymm2", "unknown"},
		{"vmovups %zmm0, (%rax)", "register not known"},
		{"vmovups (%rax), %ymm1{%k1}", "masks"},
		{"vmovups (%rax), %xmm17", "register not known"},
		{"movq %cr0, %rax", "register not known"},
		{"btl %eax, (%rdi)", "bit string"},
		{"clflush (%rax)", "cache lines"},
		{"xrstor (%rax)", "state"},
		{"fxrstor (%rax)", "state"},
		{"movq %rax, %r15", "r15"},
		{"movq (%r15), %rax", "r15"},
		{"movq %r14, %rax", "r14"},
		{"movq %rax, %r14", "r14"},
		{"xchgq %rax, %rsp", "exchanged"},
		{"movl %eax, %esp", "part of the stack pointer"},
		{"orq $1, %rsp", "stack pointer in this way"},
		{"incq %rsp", "stack pointer in this way"},
		{"cmovne %rax, %rsp", "stack pointer in this way"},
		{"popq %rax", "return address"},
		{"addq $8, %rsp", "return address"},
		{"pushq %rax\n\tret", "8 bytes are on the stack"},
		{"pushq %rax\n\tjmp other", "out of the function"},
		{"pushq %rax\n\tjne other", "out of the function"},
		{".byte 0x0f, 0x05", "data in a text section"},
		{".quad 0", "data in a text section"},
		{".ascii \"\\17\\5\"", "data in a text section"},
		{".zero 3", "data in a text section"},
		{".org 64", "data in a text section"},
		{".macro foo\n.endm", "macros"},
		{".rept 3\n.endr", "macros"},
		{".include \"x\"", "preprocessor"},
		{".incbin \"x\"", "preprocessor"},
		{".if 1\n.endif", "conditional"},
		{".intel_syntax noprefix", "AT&T"},
		{".code32", "64-bit"},
		{".bundle_lock", "bundles"},
		{".reloc 0, R_X86_64_NONE, x", "directive not supported"},
		{"rep addl %eax, %ecx", "prefix"},
		{"rep movl (%rax), %ecx", "prefix"},
		{"rex64 movl (%rax), %ecx", "prefix"},
		{"data16 call foo", "prefix"},
		{"lock setc (%rdi)", "lock"},
		{"lock addl (%rdi), %eax", "lock"},
		{"lock xaddl %eax, %ecx", "lock"},
		{"lock movl %eax, (%rdi)", "lock"},
		{"lock cmpl %eax, (%rdi)", "lock"},
		{"lock addq $8, %rsp", "lock"},
		{"movl %eip, %eax", "can't be named"},
		{"movl (%eip), %eax", "eip"},
		{"movq %r11, %rax\n\tpushq (%rdi)\n\tmovq %r11, %rcx", "r11"},
		{"movl %eax, foo(%rip,%rcx)", "rip can't have"},
		{"decb (%rdi), %ah", "AVX2"},
		{"negl %eax, %ecx", "AVX2"},
		{"shll (%rdi), %eax", "AVX2"},
		{"sarq %rcx, %rax", "AVX2"},
		{"subb $1, -0x80000000(%rip)", "label"},
		{"leaq 7(%rip), %rax", "label"},
		{"leaq %fs:0(%rax), %rcx", "segment"},
		{"call *%eax", "not understood"},
		{"lock", "without an instruction"},
		{".data\n\tmovl %eax, %ecx", "not executable"},
		{"movl %eax,,%ecx", "empty operand"},
		{"jmp *(%rsp,%rsp)", "bad index"},
		{"xbegin 1f\n1:", "transactions"},
	}
	for _, c := range tests {
		src := "\t.text\n\t.type f, @function\nf:\n\t" + c.asm + "\n"
		_, err := rewrite([]byte(src), Options{Name: "x.s"})
		var l ErrorList
		if !errors.As(err, &l) {
			t.Errorf("%q: accepted (%v)", c.asm, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want something about %q", c.asm, err, c.want)
		}
		if c.asm != "lock" && (l[0].File != "x.s" || l[0].Line < 4) {
			t.Errorf("%q: reported at %s:%d", c.asm, l[0].File, l[0].Line)
		}
	}
}

// TestErrorPositions: all errors are listed, by the line markers of the
// preprocessor where there are any.
func TestErrorPositions(t *testing.T) {
	src := `	.text
	int $3
# 10 "foo.S" 1
	nop
	int $4; int $5
# 0 "" 2
	/* two
	lines */ int $6
# 7 "bar.h"
	iret
`
	_, err := rewrite([]byte(src), Options{Name: "x.s"})
	var l ErrorList
	if !errors.As(err, &l) {
		t.Fatal(err)
	}
	want := []struct {
		file string
		line int
	}{{"x.s", 2}, {"foo.S", 11}, {"foo.S", 11}, {"x.s", 8}, {"bar.h", 7}}
	if len(l) != len(want) {
		t.Fatalf("%d errors, want %d:\n%v", len(l), len(want), err)
	}
	for i, w := range want {
		if l[i].File != w.file || l[i].Line != w.line {
			t.Errorf("error %d at %s:%d, want %s:%d", i, l[i].File, l[i].Line, w.file, w.line)
		}
	}
}
