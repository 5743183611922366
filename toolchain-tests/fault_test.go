package toolchaintests

import (
	"regexp"
	"testing"
)

// TestFaultReport checks that the report of a fault tells what happened, where, by
// which instruction and on which way there.
func TestFaultReport(t *testing.T) {
	const calls = `
__attribute__((noinline)) int inner(int x) { return fault(x) + x; }
__attribute__((noinline)) int outer(int x) { return inner(x + 1) * 2; }
int main(void) { return outer(3); }
`
	const path = `(?s).*\n\s*0 .*\n.* outer\+0x.*\n.* main\+0x`
	for _, c := range []struct{ name, fault, want string }{
		{"read", "return *(volatile int *volatile)(long)0x1234;", `SIGSEGV: read at 0x1234 .*mov[^\n]*%gs:` + path},
		{"write", "*(volatile int *volatile)(long)0x5678 = 1; return 0;", `SIGSEGV: write at 0x5678 .*mov[^\n]*%gs:` + path},
		{"wild", "return *(volatile int *volatile)0x123456789a;", `SIGSEGV: read at 0x3456789a ` + path},
		{"jump", "int (*volatile f)(void) = (int (*)(void))0x4000; return f();", `SIGSEGV: .*0x4000 ` + path},
		{"division", "volatile int z = 0; return 5 / z;", `SIGFPE: .*idiv` + path},
		{"trap", "__builtin_trap();", `SIGILL: .*ud2` + path},
		{"breakpoint", `__asm__ volatile("int3"); return 0;`, `SIGTRAP: ` + path},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDriverTest(t, map[string]string{"p.c": "static inline __attribute__((always_inline)) int fault(int x) { " + c.fault + " }\n" + calls})
			d.do("cc", "-O1", "-fno-optimize-sibling-calls", "p.c", "-o", "prog")
			r := d.try("run", "prog")
			if r.status <= 128 {
				t.Errorf("status %d", r.status)
			}
			if !regexp.MustCompile(c.want).MatchString(r.stderr) {
				t.Errorf("the report does not match %s:\n%s", c.want, r.stderr)
			}
		})
	}
}

// TestControlStackOverflow checks that endless recursion is named for what it is.
func TestControlStackOverflow(t *testing.T) {
	d := newDriverTest(t, map[string]string{"p.c": `
int depth;
__attribute__((noinline, noclone)) int down(int n) { depth++; __asm__ volatile("" : "+r"(n)); n = down(n); __asm__ volatile("" : "+r"(n)); return n; }
int main(void) { return down(1); }
`})
	d.do("cc", "-O2", "-fno-optimize-sibling-calls", "p.c", "-o", "prog")
	r := d.try("run", "prog")
	if r.status != 139 || !regexp.MustCompile(`SIGSEGV: .*stack.*down\+0x`).MatchString(r.stderr) {
		t.Errorf("status %d\n%s", r.status, head(r.stderr))
	}
}
