package sfi

import (
	"os"
	"path/filepath"
	"testing"
)

// TestNative checks the frame transformation by running it: the code is
// transformed with native memory operands and branches but a data stack of its
// own, linked natively, and must compute what the untransformed code does.
func TestNative(t *testing.T) {
	need(t, "gcc-12", "llvm-mc-19")
	const driver = `
#include <stdio.h>
#include <stdlib.h>
extern long results[];
extern int nresults;
void test(void);
void run(void (*f)(void), char *stack);
int main(int argc, char **argv)
{
	char *s = aligned_alloc(4096, 1 << 20);
	if (argc > 1)
		run(test, s + (1 << 20) - 256);
	else
		test();
	for (int i = 0; i < nresults; i++)
		printf("%d %ld\n", i, results[i]);
}
`
	const shim = `
	.globl run
run:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	sub $8, %rsp
	mov %rsi, %r14
	lea -256(%rsi), %rbp
	call *%rdi
	add $8, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.section .note.GNU-stack,"",@progbits
`
	base := t.TempDir()
	os.WriteFile(filepath.Join(base, "main.c"), []byte(driver), 0o644)
	os.WriteFile(filepath.Join(base, "shim.s"), []byte(shim), 0o644)
	for _, n := range []string{"main.c", "shim.s"} {
		if _, err := run(base, "gcc-12", "-c", n); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"calls.c", "frames.c", "jumps.c", "asm.c"} {
		f, _ := filepath.Abs(filepath.Join("testdata/c", f))
		t.Run(filepath.Base(f), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			m, sh := filepath.Join(base, "main.o"), filepath.Join(base, "shim.o")
			for _, flags := range gccMatrix {
				pie := "-pie"
				if contains(flags, "-fno-pic") {
					pie = "-no-pie"
				}
				src, err := compile(dir, f, flags...)
				if err != nil {
					t.Fatal(err)
				}
				os.WriteFile(filepath.Join(dir, "n.s"), src, 0o644)
				if _, err := run(dir, "gcc-12", pie, "-o", "native", "n.s", m, sh); err != nil {
					t.Fatal(err)
				}
				want, err := run(dir, "./native")
				if err != nil {
					t.Fatal(err)
				}
				out, err := rewrite(src, Options{Name: filepath.Base(f), native: true})
				if err != nil {
					t.Errorf("%v: %v", flags, err)
					continue
				}
				if _, err := assemble(dir, "x", out); err != nil {
					t.Errorf("%v: %v", flags, err)
					continue
				}
				if _, err := run(dir, "gcc-12", pie, "-o", "moved", "x.o", m, sh); err != nil {
					t.Errorf("%v: %v", flags, err)
					continue
				}
				got, err := run(dir, "./moved", "x")
				if err != nil {
					t.Errorf("%v: %v", flags, err)
				} else if string(got) != string(want) {
					t.Errorf("%v: got\n%s\nwant\n%s", flags, got, want)
				} else {
					continue
				}
				if k := os.Getenv("SFI_KEEP"); k != "" {
					os.WriteFile(k+".s", src, 0o644)
					os.WriteFile(k+".out.s", out, 0o644)
				}
			}
		})
	}
}
