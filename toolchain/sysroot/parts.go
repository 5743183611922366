package sysroot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/halite-run/halite/toolchain"
)

// extract writes a part of the overlay below the build directory.
func (b *build) extract(part string) (string, error) {
	sub, err := fs.Sub(toolchain.Overlay(), part)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.tmp, part)
	return dir, copyTree(sub, dir)
}

// parallel runs the commands, Jobs at a time, and returns the first errors.
func (b *build) parallel(commands [][]string) error {
	var wg sync.WaitGroup
	slots := make(chan struct{}, b.Jobs)
	errs := make([]error, len(commands))
	for i, c := range commands {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			errs[i] = b.exec(c[0], c[1:]...)
			<-slots
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// builtins makes what gcc expects of libgcc: the arithmetic that it does not
// expand inline, the processor model, and the start files that frame a
// program (crtbegin, crtend). All of it is ours.
func (b *build) builtins() error {
	dir, err := b.extract("rt")
	if err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(dir, "*.c"))
	if err != nil {
		return err
	}
	common := []string{b.cc(), "-O2", "-std=gnu11", "-ffreestanding", "-fno-builtin", "-fPIC", "-fvisibility=hidden", "-Wall", "-Werror", "-c"}
	var commands [][]string
	var members, atomics []string
	for _, src := range sources {
		base := strings.TrimSuffix(filepath.Base(src), ".c")
		if strings.HasPrefix(base, "crt") {
			continue
		}
		obj := filepath.Join(dir, base+".o")
		if base == "atomic" {
			atomics = append(atomics, obj)
		} else {
			members = append(members, obj)
		}
		commands = append(commands, append(append([]string{}, common...), "-o", obj, src))
	}
	// Programs (crtbegin.o), static programs (crtbeginT.o), and what is
	// position independent (crtbeginS.o): only libraries are unloaded. The
	// rest gcc links for -ffast-math and -mpc32, -mpc64, -mpc80.
	for _, crt := range []struct{ src, out, define string }{
		{"crtbegin.c", "crtbegin.o", "PROGRAM"},
		{"crtbegin.c", "crtbeginT.o", "PROGRAM"},
		{"crtbegin.c", "crtbeginS.o", "LIBRARY"},
		{"crtend.c", "crtend.o", "PROGRAM"},
		{"crtend.c", "crtendS.o", "LIBRARY"},
		{"crtfastmath.c", "crtfastmath.o", "PROGRAM"},
		{"crtprec.c", "crtprec32.o", "PRECISION=0x000"},
		{"crtprec.c", "crtprec64.o", "PRECISION=0x200"},
		{"crtprec.c", "crtprec80.o", "PRECISION=0x300"},
	} {
		commands = append(commands, append(append([]string{}, common...), "-D"+crt.define,
			"-o", filepath.Join(b.lib(), crt.out), filepath.Join(dir, crt.src)))
	}
	if err := b.parallel(commands); err != nil {
		return err
	}
	if err := b.archive("libgcc.a", members); err != nil {
		return err
	}
	if err := b.archive("libatomic.a", atomics); err != nil {
		return err
	}
	// gcc names these two in every link; there is no unwinder to put in them.
	for _, name := range []string{"libgcc_eh.a", "libgcc_s.a"} {
		if err := b.archive(name, nil); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) archive(name string, members []string) error {
	path := filepath.Join(b.lib(), name)
	os.Remove(path)
	return b.exec(b.tools["llvm-ar-19"], append([]string{"rcs", path}, members...)...)
}

// libnacl gives C programs the calls that only NaCl has: in a sandbox all of them,
// on plain Linux (in native/) messages and descriptors, by the host's compiler.
func (b *build) libnacl() error {
	dir, err := b.extract("libnacl")
	if err != nil {
		return err
	}
	headers := filepath.Join(dir, "include")
	for _, to := range []string{"include", "native/include"} {
		to = filepath.Join(b.stage(), to)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		for _, name := range []string{"nacl.h", "nacl_files.h"} {
			if err := copyFile(filepath.Join(headers, name), filepath.Join(to, name)); err != nil {
				return err
			}
		}
	}
	objects := func(suffix string, cc []string, sources ...string) (objects []string, err error) {
		var commands [][]string
		for _, src := range sources {
			obj := filepath.Join(dir, strings.TrimSuffix(src, ".c")+suffix)
			objects = append(objects, obj)
			commands = append(commands, append(cc, "-O2", "-fPIC", "-Wall", "-Werror", "-I", headers, "-c", "-o", obj, filepath.Join(dir, src)))
		}
		return objects, b.parallel(commands)
	}
	sandboxed, err := objects(".o", []string{b.cc()}, "nacl.c", "serve.c", "files.c")
	if err != nil {
		return err
	}
	if err := b.archive("libnacl.a", sandboxed); err != nil {
		return err
	}
	args := append([]string{"-shared", "-Wl,-soname,libnacl.so", "-o", filepath.Join(b.lib(), "libnacl.so")}, sandboxed...)
	if err := b.exec(b.cc(), args...); err != nil {
		return err
	}
	native, err := objects(".native.o", []string{b.tools["gcc-12"]}, "serve.c", "files.c", "native/imc.c")
	if err != nil {
		return err
	}
	return b.archive("../native/libnacl.a", native)
}

// finish writes the manifest, which makes the directory a sysroot.
func (b *build) finish() error {
	text := fmt.Sprintf("musl %s\nsources %s\n", b.source.Version, toolchain.Fingerprint())
	return os.WriteFile(filepath.Join(b.stage(), manifest), []byte(text), 0o644)
}
