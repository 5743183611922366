package toolchaintests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A driverTest is a sequence of commands in a fresh directory, for what the
// table of testdata can't say: how halite cc itself behaves.
type driverTest struct {
	t   *testing.T
	dir string
}

func newDriverTest(t *testing.T, files map[string]string) *driverTest {
	t.Helper()
	d := &driverTest{t, t.TempDir()}
	for name, text := range files {
		d.write(name, text)
	}
	return d
}

func (d *driverTest) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driverTest) read(name string) string {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

// do runs halite with the given words and wants it to succeed.
func (d *driverTest) do(args ...string) result {
	d.t.Helper()
	r := d.try(args...)
	if r.status != 0 {
		d.t.Fatalf("halite %s: status %d\n%s%s", strings.Join(args, " "), r.status, r.stdout, r.stderr)
	}
	return r
}

func (d *driverTest) try(args ...string) result {
	d.t.Helper()
	return command(d.t, d.dir, nil, "", append([]string{haliteCmd}, args...)...)
}

// prints runs a built program and compares its output.
func (d *driverTest) prints(program, want string) {
	d.t.Helper()
	d.do("verify", "-q", program)
	r := d.do("run", program)
	if r.stdout != want {
		d.t.Errorf("%s printed %q, want %q", program, r.stdout, want)
	}
}

const helloC = "#include <stdio.h>\nint main(void) { puts(\"hi\"); return 0; }\n"

func TestDriverResponseFile(t *testing.T) {
	d := newDriverTest(t, map[string]string{"a b.c": helloC, "args": "-O2 -DX=1\n\"a b.c\"\n-o prog\n"})
	d.do("cc", "@args")
	d.prints("prog", "hi\n")
}

func TestDriverStages(t *testing.T) {
	d := newDriverTest(t, map[string]string{"p.c": "#define WORD \"staged\"\n" + strings.Replace(helloC, `"hi"`, "WORD", 1)})
	d.do("cc", "-E", "p.c", "-o", "p.i")
	if text := d.read("p.i"); !strings.Contains(text, `puts("staged")`) || strings.Contains(text, "#define WORD") {
		t.Error("-E did not preprocess")
	}
	d.do("cc", "-O2", "-S", "p.i", "-o", "p.s")
	d.do("cc", "-c", "p.s", "-o", "p.o")
	d.do("cc", "p.o", "-o", "prog")
	d.prints("prog", "staged\n")
	d.do("cc", "-O2", "-S", "p.c")
	d.do("cc", "p.s")
	d.prints("a.out", "staged\n")
	d.do("cc", "-pipe", "-save-temps=obj", "-c", "p.c", "-o", "t.o")
	d.do("cc", "-static", "t.o", "-o", "still")
	d.prints("still", "staged\n")
}

func TestDriverStdin(t *testing.T) {
	d := newDriverTest(t, nil)
	r := command(t, d.dir, nil, helloC, haliteCmd, "cc", "-x", "c", "-", "-o", "prog")
	if r.status != 0 {
		t.Fatal(r.stderr)
	}
	d.prints("prog", "hi\n")
}

func TestDriverLanguageFlag(t *testing.T) {
	d := newDriverTest(t, map[string]string{"src.txt": helloC})
	d.do("cc", "-x", "c", "src.txt", "-x", "none", "-o", "prog")
	d.prints("prog", "hi\n")
}

func TestDriverDependencies(t *testing.T) {
	d := newDriverTest(t, map[string]string{"p.c": "#include \"own.h\"\n" + helloC, "own.h": ""})
	d.do("cc", "-MMD", "-MF", "p.d", "-MT", "target", "-c", "p.c", "-o", "p.o")
	if deps := d.read("p.d"); !strings.HasPrefix(deps, "target:") || !strings.Contains(deps, "own.h") || strings.Contains(deps, "stdio.h") {
		t.Errorf("-MMD wrote %q", deps)
	}
	if r := d.do("cc", "-M", "p.c"); !strings.Contains(r.stdout, "stdio.h") || strings.Contains(r.stdout, "/usr/include/") {
		t.Errorf("-M wrote %q: the host's headers must not be seen", r.stdout)
	}
}

func TestDriverPrint(t *testing.T) {
	d := newDriverTest(t, nil)
	for _, flag := range []string{"-print-search-dirs", "-print-libgcc-file-name", "-print-prog-name=ld", "-print-file-name=libc.so", "-dumpversion", "--version", "-dumpmachine"} {
		if r := d.do("cc", flag); strings.TrimSpace(r.stdout) == "" {
			t.Errorf("halite cc %s printed nothing", flag)
		}
	}
	lib := strings.TrimSpace(d.do("cc", "-print-file-name=libc.so").stdout)
	if _, err := os.Stat(lib); err != nil || strings.HasPrefix(lib, "/usr/") {
		t.Errorf("-print-file-name=libc.so is %q: %v", lib, err)
	}
}

// TestDriverErrors checks that mistakes are reported as gcc does, with file and
// line, and leave no output.
func TestDriverErrors(t *testing.T) {
	for _, c := range []struct{ name, file, text, want string }{
		{"syntax", "p.c", "int main(void) { return 0 }\n", "p.c:1"},
		{"undefined", "p.c", "int f(void);\nint main(void) { return f(); }\n", "f"},
		{"system instruction", "p.s", "\t.text\n\t.globl main\nmain:\n\twbinvd\n\tret\n", "p.s:4"},
		{"base register", "p.s", "\t.text\n\t.globl main\nmain:\n\tmov %rdi, %r15\n\tret\n", "p.s:4"},
		{"inline", "p.c", "int main(void)\n{\n\t__asm__ volatile(\"wrmsr\");\n\treturn 0;\n}\n", "wrmsr"},
		{"no such instruction", "p.s", "\t.text\n\t.globl main\nmain:\n\tfrobnicate %eax\n\tret\n", "p.s:4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDriverTest(t, map[string]string{c.file: c.text})
			r := d.try("cc", c.file, "-o", "prog")
			if r.status == 0 || !strings.Contains(r.stderr, c.want) {
				t.Errorf("status %d, wanted a failure that names %q\n%s", r.status, c.want, r.stderr)
			}
			if _, err := os.Stat(filepath.Join(d.dir, "prog")); err == nil {
				t.Error("a program was written nevertheless")
			}
		})
	}
}

func TestDriverNoHostFiles(t *testing.T) {
	d := newDriverTest(t, map[string]string{"p.c": "#include <X11/Xlib.h>\nint main(void) { return 0; }\n", "g.c": "#include <gnu/libc-version.h>\nint main(void) { return 0; }\n"})
	for _, f := range []string{"p.c", "g.c"} {
		if r := d.try("cc", f); r.status == 0 {
			t.Errorf("%s was built with a header of the host", f)
		}
	}
}

// TestDriverDebug checks that line tables describe the sandboxed code.
func TestDriverDebug(t *testing.T) {
	d := newDriverTest(t, map[string]string{"p.c": "#include <stdio.h>\nint twice(int x)\n{\n\treturn x * 2;\n}\nint main(void)\n{\n\tprintf(\"%d\\n\", twice(4));\n\treturn 0;\n}\n"})
	d.do("cc", "-g", "-O0", "-static", "p.c", "-o", "prog")
	d.prints("prog", "8\n")
	r := command(t, d.dir, nil, "", "objdump", "--dwarf=decodedline", "prog")
	if !strings.Contains(r.stdout, "p.c") {
		t.Errorf("no line table\n%s", head(r.stdout+r.stderr))
	}
	r = command(t, d.dir, nil, "", "nm", "prog")
	if !strings.Contains(r.stdout, " T main") {
		t.Errorf("no symbol table")
	}
	d.do("strip", "prog")
	d.prints("prog", "8\n")
}

// TestDriverPartialLink links relocatably first, as some build systems do.
func TestDriverPartialLink(t *testing.T) {
	d := newDriverTest(t, map[string]string{"a.c": "int b(void); int a(void) { return b() + 1; }\n", "b.c": "int b(void) { return 41; }\n",
		"m.c": "#include <stdio.h>\nint a(void);\nint main(void) { printf(\"%d\\n\", a()); return 0; }\n"})
	d.do("cc", "-c", "a.c", "b.c")
	d.do("cc", "-r", "a.o", "b.o", "-o", "ab.o")
	d.do("cc", "m.c", "ab.o", "-o", "prog")
	d.prints("prog", "42\n")
}

// TestDriverDeterministic checks that equal input gives equal output.
func TestDriverDeterministic(t *testing.T) {
	d := newDriverTest(t, map[string]string{"p.c": helloC})
	d.do("cc", "-O2", "p.c", "-o", "one")
	d.do("cc", "-O2", "p.c", "-o", "two")
	if d.read("one") != d.read("two") {
		t.Error("two builds of the same source differ")
	}
}
