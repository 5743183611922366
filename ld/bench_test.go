package ld

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
)

// manyLibraries builds a program with n libraries of m functions each. Library i
// refers to all functions of the one before, and the program to all.
func manyLibraries(b *testing.B, n, m int) string {
	b.Helper()
	dir := compilerDir(b)
	var refs []string
	for i := range n {
		var s strings.Builder
		for j := range m {
			fmt.Fprintf(&s, "int library_%d_function_number_%d(void) { return %d; }\n", i, j, j)
		}
		if i > 0 {
			for j := range m {
				fmt.Fprintf(&s, "int library_%d_function_number_%d(void);\n", i-1, j)
			}
			fmt.Fprintf(&s, "int (*table_%d[])(void) = {", i)
			for j := range m {
				fmt.Fprintf(&s, "library_%d_function_number_%d,", i-1, j)
			}
			s.WriteString("};\n")
		}
		name := fmt.Sprintf("l%d", i)
		if err := os.WriteFile(filepath.Join(dir, name+".c"), []byte(s.String()), 0o666); err != nil {
			b.Fatal(err)
		}
		args := []string{"-O0", "-fPIC", "-shared", "-nostdlib", "-fno-asynchronous-unwind-tables", "-o", name + ".so", name + ".c", "-Wl,-soname," + name + ".so", "-L."}
		if i > 0 {
			args = append(args, fmt.Sprintf("-l:l%d.so", i-1))
		}
		gcc(b, dir, args...)
		refs = append(refs, "-l:"+name+".so")
	}
	if err := os.WriteFile(filepath.Join(dir, "main.c"), []byte("#ifdef GUEST\nvoid _start(void) {}\n#else\nint main(void) { return 0; }\n#endif\n"), 0o666); err != nil {
		b.Fatal(err)
	}
	common := []string{"main.c", "-L.", "-Wl,--no-as-needed", "-Wl,-z,now", "-Wl,-rpath-link,."}
	gcc(b, dir, append(append([]string{"-DGUEST", "-nostdlib", "-nostartfiles", "-o", "guest"}, common...), refs...)...)
	gcc(b, dir, append(append([]string{"-o", "native"}, common...), refs...)...)
	return dir
}

// BenchmarkStart: 50 libraries with 1,000 functions each, 49,000 relocations by
// name. Without validation of code, which has benchmarks of its own; natively
// the whole process is measured.
func BenchmarkStart(b *testing.B) {
	dir := manyLibraries(b, 50, 1000)
	b.Run("halite", func(b *testing.B) {
		for b.Loop() {
			c, err := cage.New(cage.Config{Trampolines: engine.Trampolines()})
			if err != nil {
				b.Fatal(err)
			}
			l := New(Config{Cage: c, Open: openIn(dir), LibraryPath: []string{"/"}})
			l.withoutText = true
			if _, err := loadGuest(b, l, "/guest"); err != nil {
				b.Fatal(err)
			}
			if len(l.objects) != 51 {
				b.Fatalf("%d objects", len(l.objects))
			}
			c.Close()
		}
	})
	b.Run("native", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command("./native")
			cmd.Dir = dir
			cmd.Env = []string{"LD_LIBRARY_PATH=."}
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatal(err, string(out))
			}
		}
	})
}

func BenchmarkSym(b *testing.B) {
	dir := manyLibraries(b, 10, 1000)
	l := testLinker(b, dir)
	l.cfg.Trace = nil
	if _, err := loadGuest(b, l, "/guest"); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		if _, err := l.Sym(HandleDefault, "library_5_function_number_77", "", 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen: dlopen and dlclose of a library with 1,000 relocations.
func BenchmarkOpen(b *testing.B) {
	dir := manyLibraries(b, 2, 1000)
	gcc(b, dir, "-DGUEST", "-nostdlib", "-nostartfiles", "-o", "guest", "main.c", "-L.", "-Wl,--no-as-needed", "-l:l0.so", "-Wl,-z,now")
	l := testLinker(b, dir)
	l.cfg.Trace = nil
	if _, err := loadGuest(b, l, "/guest"); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		h, err := l.Open(thread1, "l1.so", RTLDNow, 0)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if addr, err := l.NextInit(thread1, h); err != nil || addr == 0 {
				break
			}
		}
		token, err := l.Close(h)
		if err != nil || token == 0 {
			b.Fatal(token, err)
		}
		if err := l.Unload(token); err != nil {
			b.Fatal(err)
		}
	}
}
