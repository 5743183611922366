package bench

import (
	"os"
	"path/filepath"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/toolchain"
)

// Library builds a C source into a library for the sandbox, in dir, and returns what
// loads it.
func Library(dir, source string) (halite.Config, error) {
	sysroot, err := toolchain.Sysroot()
	if err != nil {
		return halite.Config{}, err
	}
	src, so := filepath.Join(dir, "lib.c"), filepath.Join(dir, "liblib.so")
	if err := os.WriteFile(src, []byte(source), 0o666); err != nil {
		return halite.Config{}, err
	}
	if err := Execute("go", "tool", "halite", "cc", "-O2", "-shared", "-fPIC", src, "-o", so); err != nil {
		return halite.Config{}, err
	}
	return halite.Config{Program: so, Libraries: []string{filepath.Join(sysroot, "lib")}}, nil
}
