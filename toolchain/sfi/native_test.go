package sfi

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const driver = `
#include <stdio.h>
#include <stdlib.h>
extern long results[];
extern int nresults;
void test(void);
void run(void (*f)(void), char *stack);
int main(int argc, char **argv)
{
	static char s[1 << 20] __attribute__((aligned(4096)));
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
	xor %r15d, %r15d
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

// twinModes are the two ways to run transformed code without a sandbox.
//
// native: with native memory operands and branches, but a data stack of its
// own.
//
// low: exactly as in a sandbox, in a process whose memory lies below 4 GiB:
// gs base is 0 there, %fs:0x10 holds the thread pointer, and 0 in r15 makes a
// sandbox of it.
var twinModes = []struct {
	name  string
	opt   Options
	flags []string
}{
	{"native", Options{native: true}, nil},
	{"low", Options{}, []string{"-static", "-no-pie"}},
}

// TestRun checks the meaning of transformed code by running it: it must
// compute what the same assembly does untransformed.
func TestRun(t *testing.T) {
	need(t, "gcc-12", "llvm-mc-19", "ld.lld-19")
	base := t.TempDir()
	os.WriteFile(filepath.Join(base, "main.c"), []byte(driver), 0o644)
	os.WriteFile(filepath.Join(base, "shim.s"), []byte(shim), 0o644)
	for _, n := range []string{"main.c", "shim.s"} {
		if _, err := run(base, "gcc-12", "-O1", "-c", n); err != nil {
			t.Fatal(err)
		}
	}
	// gcc runs what is called ld in this directory.
	os.Mkdir(filepath.Join(base, "bin"), 0o755)
	lld, _ := exec.LookPath("ld.lld-19")
	os.Symlink(lld, filepath.Join(base, "bin/ld"))
	m, sh := filepath.Join(base, "main.o"), filepath.Join(base, "shim.o")
	for _, f := range []string{"calls.c", "frames.c", "jumps.c", "asm.c"} {
		f, _ := filepath.Abs(filepath.Join("testdata/c", f))
		t.Run(filepath.Base(f), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, flags := range matrix() {
				pie := "-pie"
				if contains(flags, "-fno-pic") {
					pie = "-no-pie"
				}
				src, err := compile(dir, f, flags...)
				if err != nil {
					t.Fatal(err)
				}
				// The C library of the test process must not use the
				// transformed functions.
				for _, n := range []string{"memcpy", "memset"} {
					src = bytes.ReplaceAll(src, []byte(n), []byte("their_"+n))
				}
				os.WriteFile(filepath.Join(dir, "n.s"), src, 0o644)
				if _, err := run(dir, "gcc-12", pie, "-o", "native", "n.s", m, sh); err != nil {
					t.Fatal(err)
				}
				want, err := run(dir, "./native")
				if err != nil {
					t.Fatal(err)
				}
				for _, mode := range twinModes {
					link := mode.flags
					if link == nil {
						link = []string{pie}
					}
					if err := runTwin(dir, f, src, mode.opt, append(append([]string{}, link...), "-B"+base+"/bin", m, sh), string(want)); err != nil {
						t.Errorf("%s %v: %v", mode.name, flags, err)
						if k := os.Getenv("SFI_KEEP"); k != "" {
							os.WriteFile(k, src, 0o644)
						}
					}
				}
			}
		})
	}
}

func runTwin(dir, name string, src []byte, o Options, link []string, want string) error {
	o.Name = filepath.Base(name)
	out, err := rewrite(src, o)
	if err != nil {
		return err
	}
	if _, err := assemble(dir, "x", out); err != nil {
		return err
	}
	if _, err := run(dir, "gcc-12", append([]string{"-o", "moved", "x.o"}, link...)...); err != nil {
		return err
	}
	if err := Postlink(filepath.Join(dir, "moved")); err != nil {
		return err
	}
	got, err := run(dir, "./moved", "x")
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("got\n%s\nwant\n%s", got, want)
	}
	return nil
}
