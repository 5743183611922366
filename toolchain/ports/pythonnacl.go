package ports

import (
	"embed"
	"os"
	"path/filepath"

	"github.com/halite-run/halite/toolchain"
)

//go:embed nacl
var naclFiles embed.FS

// naclModule adds the extension module nacl, the one that is ours. It is for any
// Python from 3.11 on, and has libnacl in it.
func (j *job) naclModule() error {
	text, err := naclFiles.ReadFile("nacl/naclmodule.c")
	if err != nil {
		return err
	}
	source := filepath.Join(j.work, "naclmodule.c")
	if err := os.WriteFile(source, text, 0o644); err != nil {
		return err
	}
	sysroot, err := toolchain.Sysroot()
	if err != nil {
		return err
	}
	lib := filepath.Join(j.work, "nacl.abi3.so")
	err = j.run(j.work, nil, j.cc(), "-O2", "-Wall", "-shared", "-fPIC", "-I"+filepath.Join(j.install, "include", "python3.11"),
		"-o", lib, source, filepath.Join(sysroot, "lib", "libnacl.a"))
	if err != nil {
		return err
	}
	return j.put(filepath.Join("lib", "python3.11", "lib-dynload"), 0o755, lib)
}
