package toolchaintests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRefused checks that what the toolchain did not sandbox is refused, by
// verify and by run, with rule, offset and instruction.
func TestRefused(t *testing.T) {
	needMusl(t)
	verdict := regexp.MustCompile(`text\+0x[0-9a-f]+: V-[A-Z0-9-]+: \S+`)
	build := func(name string, args ...string) string {
		out := filepath.Join(t.TempDir(), name)
		r := command(t, "testdata", nil, "", append(args, "-o", out)...)
		if r.status != 0 {
			t.Fatalf("%v: %s", args, r.stderr)
		}
		return out
	}
	for _, c := range []struct {
		name string
		args []string
		run  bool
	}{
		{"musl static", []string{"musl-gcc", "-O2", "-static", "hello.c"}, true},
		{"musl dynamic", []string{"musl-gcc", "-O2", "hello.c"}, true},
		{"gcc dynamic", []string{"gcc", "-O2", "hello.c"}, true},
		{"gcc static", []string{"gcc", "-O2", "-static", "hello.c"}, true},
		{"shared library", []string{"gcc", "-O2", "-shared", "-fPIC", "lib_chain/c3.c"}, false},
		{"object", []string{"gcc", "-O2", "-c", "lib_chain/a3.c"}, false},
		// The right registers and flags, but not the pass.
		{"flags only", []string{"musl-gcc", "-O2", "-static", "-ffixed-r15", "-ffixed-r14", "-ffixed-r11", "-mno-red-zone", "hello.c"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.args[0] == "gcc" && strings.Contains(strings.Join(c.args, " "), "hello.c") {
				if _, err := os.Stat("/usr/include/stdio.h"); err != nil {
					t.Skip("no headers of the host's C library")
				}
			}
			file := build(strings.ReplaceAll(c.name, " ", "-"), c.args...)
			r := command(t, ".", nil, "", haliteCmd, "verify", file)
			if r.status == 0 {
				t.Error("halite verify accepted it")
			}
			if out := r.stdout + r.stderr; !verdict.MatchString(out) || !strings.Contains(out, filepath.Base(file)) {
				t.Errorf("file, rule, offset or instruction is missing:\n%s", head(out))
			}
			if !c.run {
				return
			}
			r = command(t, ".", nil, "", haliteCmd, "run", file)
			if r.status != 125 || strings.Contains(r.stdout, "hello") {
				t.Errorf("halite run: status %d, wanted 125\n%s%s", r.status, r.stdout, head(r.stderr))
			}
		})
	}
}

// TestRefusedLibrary checks that a sound program does not get a native library
// linked in, neither at start nor by dlopen.
func TestRefusedLibrary(t *testing.T) {
	d := newDriverTest(t, map[string]string{
		"lib.c":  "int lib(void) { return 1; }\n",
		"prog.c": "#include <stdio.h>\nint lib(void);\nint main(void) { printf(\"%d\\n\", lib()); return 0; }\n",
		"open.c": "#include <dlfcn.h>\n#include <stdio.h>\nint main(void) { void *h = dlopen(\"/lib/x/liblib.so\", RTLD_NOW); printf(\"%s\\n\", h ? \"opened\" : dlerror()); return 0; }\n",
	})
	d.do("cc", "-shared", "-fPIC", "lib.c", "-o", "liblib.so")
	d.do("cc", "prog.c", "-L.", "-llib", "-Wl,-rpath,/lib/x", "-o", "prog")
	d.do("cc", "open.c", "-o", "open")
	mount := d.dir + ":/lib/x:ro"
	if r := d.do("run", "--dir", mount, "prog"); r.stdout != "1\n" {
		t.Fatalf("with the sound library: %q", r.stdout)
	}
	if r := d.do("run", "--dir", mount, "open"); r.stdout != "opened\n" {
		t.Fatalf("with the sound library: %q", r.stdout)
	}
	if out, err := exec.Command("gcc", "-O2", "-shared", "-fPIC", filepath.Join(d.dir, "lib.c"), "-o", filepath.Join(d.dir, "liblib.so")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if r := d.try("run", "--dir", mount, "prog"); r.status != 125 || !strings.Contains(r.stderr, "liblib.so") || !strings.Contains(r.stderr, "V-") {
		t.Errorf("status %d: %s", r.status, r.stderr)
	}
	if r := d.do("run", "--dir", mount, "open"); !strings.Contains(r.stdout, "liblib.so") || !strings.Contains(r.stdout, "V-") {
		t.Errorf("dlopen of a native library: %q", r.stdout)
	}
}

// TestRefusedDamaged flips bytes of a sound program's code: whatever verify
// still accepts must run without harm to the host, and most is refused.
//
// Attack: images that overlap or lie.
func TestRefusedDamaged(t *testing.T) {
	d := newDriverTest(t, map[string]string{"p.c": helloC})
	d.do("cc", "-O2", "-static", "p.c", "-o", "prog")
	sound := d.read("prog")
	at := strings.Index(sound, "\x7fELF")
	if at != 0 {
		t.Fatal("not an ELF file")
	}
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	refused := 0
	state := uint32(1)
	for range rounds {
		damaged := []byte(sound)
		for range 8 {
			state = state*1664525 + 1013904223
			damaged[64+int(state>>8)%(len(damaged)-64)] ^= 1 << (state >> 29)
		}
		if err := os.WriteFile(filepath.Join(d.dir, "damaged"), damaged, 0o755); err != nil {
			t.Fatal(err)
		}
		v := d.try("verify", "-q", "damaged")
		r := d.try("run", "--timeout", "2s", "damaged")
		if strings.Contains(r.stderr, "goroutine ") || strings.Contains(v.stderr, "goroutine ") {
			t.Fatalf("the host panicked:\n%s%s", v.stderr, r.stderr)
		}
		if v.status != 0 {
			refused++
			if r.status != 125 {
				t.Errorf("verify refused what run ran (status %d)\n%s", r.status, v.stdout)
			}
		}
	}
	t.Logf("%d of %d refused", refused, rounds)
}
