package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/halite-run/halite/toolchain"
)

// TestScripts runs the command as a user would: testdata/*.txtar.
func TestScripts(t *testing.T) {
	bin := filepath.Dir(buildCommand(t))
	cache, err := toolchain.Cache()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("HALITE_CACHE", cache)
			e.Setenv("HALITE_SYSROOT", os.Getenv("HALITE_SYSROOT"))
			return nil
		},
	})
}

// buildCommand builds the command, for tests that need a sysroot.
func buildCommand(t *testing.T) string {
	t.Helper()
	if _, err := toolchain.Sysroot(); errors.Is(err, toolchain.ErrNoSysroot) {
		t.Skip("no sysroot for this state of the toolchain; make sysroot builds it")
	}
	bin := filepath.Join(t.TempDir(), "halite")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}
