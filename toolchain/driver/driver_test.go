package driver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/toolchain"
	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is also the tools: gcc calls it as `as` and `ld`.
func TestMain(m *testing.M) {
	if handled, code := MultiCall(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// needToolchain skips a test on a machine without compiler or sysroot.
func needToolchain(t testing.TB) {
	t.Helper()
	if _, err := toolchain.Tools("gcc-12", "llvm-mc-19", "ld.lld-19", "llvm-ar-19"); err != nil {
		t.Skipf("skipped: %v", err)
	}
	if _, err := toolchain.Sysroot(); errors.Is(err, toolchain.ErrNoSysroot) {
		t.Skipf("skipped: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// TestScripts runs each testdata/*.txtar: one behaviour of the driver each,
// where it can be compared with gcc's own.
func TestScripts(t *testing.T) {
	needToolchain(t)
	cache, err := toolchain.Cache()
	if err != nil {
		t.Fatal(err)
	}
	sysroot, err := toolchain.Sysroot()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if _, err := InstallNames(bin); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+":/usr/local/bin:/usr/bin:/bin")
			env.Setenv("HALITE_CACHE", cache)
			env.Setenv("SYSROOT", sysroot)
			env.Setenv("HALITE_SYSROOT", sysroot)
			env.Setenv("LC_ALL", "C")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"verify": verifyCmd,
		},
	})
}

// verify FILE...: the validator accepts (or refuses) every file.
func verifyCmd(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		err := verifyFile(ts.MkAbs(name))
		if neg && err == nil {
			ts.Fatalf("%s was accepted", name)
		}
		if !neg && err != nil {
			ts.Fatalf("%v", err)
		}
	}
}

func verifyFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := loader.Verify(filepath.Base(path), f, st.Size(), loader.VerifyOptions{})
	if err != nil {
		return err
	}
	return r.Err()
}

func TestSplitWords(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"a b\tc\nd", "a|b|c|d"},
		{`-DX="a b" 'c d'e`, "-DX=a b|c de"},
		{`a\ b \"q\"`, `a b|"q"`},
		{`"" x`, "|x"},
		{`'a\'b'`, "a'b"},
	} {
		if got := strings.Join(splitWords(c.in), "|"); got != c.want {
			t.Errorf("splitWords(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestScan(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-c a.c", ""},
		{"-m32 a.c", "-m32"},
		{"a.cc", "C++"},
		{"-x c a.cc", ""},
		{"-x c++ a.c", "-x c++"},
		{"-xassembler-with-cpp a.foo", ""},
		{"-o a.cc b.c", ""},
		{"-include a.hpp.cc b.c", ""},
		{"-fsanitize=address b.c", "-fsanitize"},
	} {
		_, err := scan(strings.Fields(c.args))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.args, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v does not name %q", c.args, err, c.want)
		}
	}
}

func TestParseLd(t *testing.T) {
	host := func(dir string) bool { return strings.HasPrefix(dir, "/host") }
	for _, c := range []struct{ args, want string }{
		{"-plugin /x/lto.so -plugin-opt=-pass a.o", "a.o"},
		{"-L/host/lib -L /host -Lmine -L mine a.o -lx", "-Lmine -L mine a.o -lx"},
		{"-dynamic-linker /lib64/ld.so -pie a.o", "a.o"},
		{"-z lazy -z relro -zexecstack a.o", "-z relro a.o"},
		{"-static a.o", "-Bstatic a.o"},
		{"-soname x -rpath=/y a.o", "-soname x -rpath=/y a.o"},
		{"-omine a.o", "a.o"},
	} {
		j, err := parseLd(strings.Fields(c.args), host)
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		if got := strings.Join(j.args, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
	for _, args := range []string{"-m elf_i386", "-N a.o", "/host/crt1.o", "-o"} {
		if _, err := parseLd(strings.Fields(args), host); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

// TestPLTForms damages each byte of a linkage table in turn: every byte but
// those of the slot's displacement is compared.
func TestPLTForms(t *testing.T) {
	const addr = 0x2010
	table := append([]byte{}, retpolineHeader...)
	for i := range 2 {
		jump := int32(-(pltHeaderSize + i*pltEntrySize + 12))
		table = append(table, 0x4c, 0x8b, 0x1d, 1, 2, 3, 4, 0xe9, byte(jump), byte(jump>>8), byte(jump>>16), byte(jump>>24), 0xcc, 0xcc, 0xcc, 0xcc)
	}
	check := func(b []byte) error {
		o := &linked{b: b, sections: []section{{name: ".plt", addr: addr, size: uint64(len(b))}}}
		_, err := o.pltHeader()
		return err
	}
	if err := check(table); err != nil {
		t.Fatal(err)
	}
	for i := range table {
		bad := append([]byte{}, table...)
		bad[i] ^= 0x10
		in := i - pltHeaderSize
		free := in >= 0 && in%pltEntrySize >= 3 && in%pltEntrySize <= 6
		if err := check(bad); (err == nil) != free {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

// TestNoteIsLinked looks for the ABI note in a program.
func TestNoteIsLinked(t *testing.T) {
	needToolchain(t)
	dir := t.TempDir()
	src := filepath.Join(dir, "a.s")
	if err := os.WriteFile(src, []byte("\t.globl _start\n\t.type _start,@function\n_start:\n\tret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	obj, exe := filepath.Join(dir, "a.o"), filepath.Join(dir, "a")
	if code := assemble([]string{"-o", obj, src}); code != 0 {
		t.Fatalf("as: %d", code)
	}
	if code := link([]string{"-static", "-o", exe, obj}); code != 0 {
		t.Fatalf("ld: %d", code)
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, _ := f.Stat()
	file, err := loader.ReadELF(f, st.Size(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if file.HaliteABI != 1 {
		t.Errorf("ABI version %d, want 1", file.HaliteABI)
	}
	if file.Entry < 0x400000 || file.Entry%32 != 0 {
		t.Errorf("entry %#x", file.Entry)
	}
}

// BenchmarkCompile compares a compile with gcc's own: the driver, the pass and
// llvm-mc against gcc and gas.
func BenchmarkCompile(b *testing.B) {
	needToolchain(b)
	dir := b.TempDir()
	src := filepath.Join(dir, "a.c")
	if err := os.WriteFile(src, []byte("int f(int x) { return x + 1; }\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	bin := b.TempDir()
	if _, err := InstallNames(bin); err != nil {
		b.Fatal(err)
	}
	for _, cc := range []string{"gcc-12", filepath.Join(bin, "x86_64-nacl-gcc")} {
		b.Run(strings.TrimPrefix(filepath.Base(cc), "x86_64-nacl-"), func(b *testing.B) {
			for b.Loop() {
				if _, err := output(cc, "-O2", "-c", "-o", filepath.Join(dir, "a.o"), src); err != nil {
					b.Fatal(fmt.Errorf("%s: %w", cc, err))
				}
			}
		})
	}
}
