package ld

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halite-run/halite/toolchain"
)

// TestSandbox runs the programs of TestBinding and TestOrder in the sandbox, as
// the project's own toolchain builds them: what this package told the other
// tests is what a guest sees.
func TestSandbox(t *testing.T) {
	if testing.Short() {
		t.Skip("builds many programs")
	}
	halite := os.Getenv("HALITE") // another build of the command, with its sysroot
	if halite == "" {
		if dir, err := toolchain.Sysroot(); err != nil {
			t.Skip("no sysroot: ", err)
		} else if _, err := os.Stat(filepath.Join(dir, "lib", "libc.so")); err != nil {
			t.Skip("no sysroot; build it with halite sysroot")
		}
		halite = filepath.Join(t.TempDir(), "halite")
		if out, err := exec.Command("go", "build", "-o", halite, "../cmd/halite").CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	for _, c := range append(append([]testCase{}, bindingCases...), orderCases...) {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "copy relocation" {
				t.Skip("programs of the toolchain are position-independent")
			}
			t.Parallel()
			dir := build(t, c.libs, c.main, c.args)
			want := native(t, dir, c.script)
			cc := func(args ...string) {
				t.Helper()
				cmd := exec.Command(halite, append([]string{"cc", "-O1", "-fPIC", "-L."}, args...)...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("halite cc %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			for _, s := range c.libs {
				cc(append([]string{"-shared", "-nostdlib", "-o", s.name + ".so", s.name + ".c", "-Wl,-soname," + s.name + ".so"}, s.args...)...)
			}
			cc(append([]string{"-o", "prog", "main.c", "-rdynamic", "-Wl,--no-as-needed"}, c.args...)...)
			cmd := exec.Command(halite, append([]string{"run", "--dir", dir + ":/w:ro", "--env", "LD_LIBRARY_PATH=/w", "--cwd", "/w", filepath.Join(dir, "prog")}, c.script...)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("halite run: %v\n%s", err, out)
			}
			if got := strings.TrimSpace(string(out)); got != strings.Join(want, "\n") {
				t.Errorf("in the sandbox:\n%s\nnatively:\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}
