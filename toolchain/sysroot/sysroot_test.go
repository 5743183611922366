package sysroot

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halite-run/halite/toolchain"
)

// native compiles C natively and runs it; the machine's own library is the
// oracle for ours.
type native struct {
	t   *testing.T
	dir string
}

func newNative(t *testing.T) *native {
	t.Helper()
	for _, tool := range []string{"gcc", "objcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("skipped: no native %s", tool)
		}
	}
	return &native{t: t, dir: t.TempDir()}
}

func (n *native) run(name string, args ...string) string {
	n.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = n.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// object compiles an overlay file and renames what it defines.
func (n *native) object(file string, flags []string, rename ...string) string {
	n.t.Helper()
	obj := filepath.Join(n.dir, strings.TrimSuffix(filepath.Base(file), ".c")+".o")
	src, err := filepath.Abs(filepath.Join("overlay", file))
	if err != nil {
		n.t.Fatal(err)
	}
	n.run("gcc", append(append([]string{"-O2", "-std=gnu11", "-ffreestanding", "-fno-builtin", "-c", "-o", obj}, flags...), src)...)
	n.run("objcopy", append(rename, obj)...)
	return obj
}

func TestBuiltins(t *testing.T) {
	n := newNative(t)
	var objects []string
	for _, f := range []string{"bits", "int128", "int128float", "complex", "half"} {
		objects = append(objects, n.object("rt/"+f+".c", nil, "--prefix-symbols=h"))
	}
	main, err := filepath.Abs("testdata/rt.c")
	if err != nil {
		t.Fatal(err)
	}
	// One object may call another's or libgcc's functions: undo the prefix
	// where nothing of ours has that name.
	n.run("gcc", append([]string{"-O1", "-o", "rt", main}, append(objects, "-lm")...)...)
	if out := n.run("./rt"); out != "ok\n" {
		t.Error(out)
	}
}

func TestStrings(t *testing.T) {
	n := newNative(t)
	include := filepath.Join(n.dir, "features.h")
	// What the functions use of musl's internal headers.
	text := "#include_next <features.h>\n#define hidden __attribute__((visibility(\"hidden\")))\n" +
		"#define weak_alias(old, new) extern __typeof(old) new __attribute__((weak, alias(#old)))\n"
	if err := os.WriteFile(include, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var objects []string
	for _, f := range []string{"memcpy", "memset", "memcmp", "memchr", "strlen", "strcmp", "strchrnul", "wide"} {
		flags := []string{"-I" + n.dir, "-D_GNU_SOURCE", "-fno-tree-loop-distribute-patterns", "-include", include, "-fPIC"}
		objects = append(objects, n.object("musl/src/string/halite/"+f+".c", flags,
			"--redefine-sym=memcpy=h_memcpy", "--redefine-sym=memmove=h_memmove", "--redefine-sym=memset=h_memset", "--redefine-sym=memcmp=h_memcmp",
			"--redefine-sym=memchr=h_memchr", "--redefine-sym=strlen=h_strlen", "--redefine-sym=strcmp=h_strcmp", "--redefine-sym=strchrnul=h_strchrnul"))
	}
	main, err := filepath.Abs("testdata/string.c")
	if err != nil {
		t.Fatal(err)
	}
	n.run("gcc", append([]string{"-O1", "-o", "string", main}, objects...)...)
	if out := n.run("./string"); out != "ok\n" {
		t.Error(out)
	}
}

// TestOverlayIsEmbedded finds every file of the overlay in the binary: names
// that begin with an underscore are easily left out.
func TestOverlayIsEmbedded(t *testing.T) {
	embedded := map[string]bool{}
	err := fs.WalkDir(toolchain.Overlay(), ".", func(name string, d fs.DirEntry, err error) error {
		embedded[name] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("overlay", func(path string, d fs.DirEntry, err error) error {
		if name, _ := filepath.Rel("overlay", path); err == nil && !embedded[filepath.ToSlash(name)] {
			t.Errorf("%s is not embedded", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestInstalled checks the sysroot that the driver uses.
func TestInstalled(t *testing.T) {
	dir, err := toolchain.Sysroot()
	if errors.Is(err, toolchain.ErrNoSysroot) {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !complete(dir) {
		t.Errorf("%s has no %s", dir, manifest)
	}
	for _, lib := range []string{"libc.so", "libnacl.so"} {
		if err := verify(filepath.Join(dir, "lib", lib)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"lib/libc.a", "lib/crt1.o", "lib/Scrt1.o", "lib/rcrt1.o", "lib/crti.o", "lib/crtn.o", "lib/crtbegin.o", "lib/crtbeginS.o",
		"lib/crtbeginT.o", "lib/crtend.o", "lib/crtendS.o", "lib/crtfastmath.o", "lib/crtprec64.o", "lib/libgcc.a", "lib/libgcc_eh.a", "lib/libm.a", "lib/libpthread.a", "lib/libdl.a",
		"lib/librt.a", "lib/libutil.a", "lib/libcrypt.a", "lib/libatomic.a", "lib/libnacl.a", "include/stdio.h", "include/bits/alltypes.h", "include/nacl.h", "include/nacl_files.h", "native/include/nacl.h", "native/include/nacl_files.h", "native/libnacl.a"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestTail(t *testing.T) {
	if got := tail("one\ntwo: error: bad\nthree\n", 5); got != "two: error: bad" {
		t.Errorf("tail = %q", got)
	}
	if got := tail("1\n2\n3\n4\n", 2); got != "3\n4" {
		t.Errorf("tail = %q", got)
	}
}
