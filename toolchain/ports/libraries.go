package ports

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/halite-run/halite/toolchain"
)

// The libraries that CPython's extension modules are made of, each built from
// its Debian source package by its own build system, as shared objects.
//
// Every recipe installs lib/ and include/ and nothing else.

func zlib(c Compiler) *port  { return recipe("zlib", "libraries.go", "zlib", c, buildZlib) }
func bzip2(c Compiler) *port { return recipe("bzip2", "libraries.go", "bzip2", c, buildBzip2) }
func xz(c Compiler) *port    { return recipe("xz", "libraries.go", "xz-utils", c, buildXz) }

func expat(c Compiler) *port { return recipe("expat", "libraries.go", "expat", c, buildExpat) }

// optimize are the options that every library and CPython are compiled with,
// for every compiler, so that run times compare.
const optimize = "-O2 -fPIC"

// host is what configure scripts get as the machine to build for.
func (j *job) host() string {
	if j.port.compiler == Sandbox {
		return toolchain.Triple
	}
	return "x86_64-linux-musl"
}

// toolEnv names compiler and companions to a build system.
func (j *job) toolEnv() []string {
	if j.port.compiler == Sandbox {
		tool := func(name string) string { return filepath.Join(j.bin, toolchain.Triple+"-"+name) }
		return []string{"CC=" + tool("gcc"), "CPP=" + tool("gcc") + " -E", "LD=" + tool("ld"), "AR=" + tool("ar"), "RANLIB=" + tool("ranlib"),
			"NM=" + tool("nm"), "STRIP=" + tool("strip"), "READELF=" + tool("readelf"), "OBJDUMP=" + tool("objdump"), "PKG_CONFIG=false"}
	}
	cc := string(j.port.compiler)
	if j.port.compiler == MuslGCC {
		// Its headers don't include the kernel's, which the sysroot has.
		cc += " -idirafter " + j.kernelHeaders()
	}
	return []string{"CC=" + cc, "CPP=" + cc + " -E", "LD=ld", "AR=ar", "RANLIB=ranlib",
		"NM=nm", "STRIP=strip", "READELF=/usr/bin/readelf", "OBJDUMP=objdump", "PKG_CONFIG=false"}
}

// kernelHeaders makes a directory in which only the kernel's headers are.
func (j *job) kernelHeaders() string {
	dir := filepath.Join(j.work, "kernel-headers")
	if err := os.MkdirAll(dir, 0o755); err == nil {
		_ = os.Symlink("/usr/include/linux", filepath.Join(dir, "linux"))
		_ = os.Symlink("/usr/include/asm-generic", filepath.Join(dir, "asm-generic"))
		_ = os.Symlink("/usr/include/x86_64-linux-gnu/asm", filepath.Join(dir, "asm"))
	}
	return dir
}

// merged copies lib/ and include/ of every needed port into one directory.
func (j *job) merged() (string, error) {
	dir := filepath.Join(j.work, "needed")
	for _, dep := range j.deps {
		if err := j.run(j.work, nil, "mkdir", "-p", dir); err != nil {
			return "", err
		}
		for _, sub := range []string{"lib", "include"} {
			if _, err := os.Stat(filepath.Join(dep, sub)); err != nil {
				continue
			}
			if err := j.run(j.work, nil, "cp", "-a", filepath.Join(dep, sub), dir+"/"); err != nil {
				return "", err
			}
		}
	}
	return dir, nil
}

// configure runs a configure script in its source directory.
func (j *job) configure(env []string, args ...string) error {
	env = append(append(j.toolEnv(), "CFLAGS="+optimize), env...)
	args = append([]string{"--prefix=/usr", "--host=" + j.host(), "--build=x86_64-linux-gnu"}, args...)
	return j.run(j.src, env, filepath.Join(j.src, "configure"), args...)
}

// make runs make in the source directory.
func (j *job) make(args ...string) error {
	return j.run(j.src, nil, "make", append([]string{fmt.Sprintf("-j%d", j.Jobs)}, args...)...)
}

// stage runs `make install` and takes the shared libraries and the headers of it.
func (j *job) stage(args ...string) error {
	if len(args) == 0 {
		args = []string{"install"}
	}
	dest := filepath.Join(j.work, "dest")
	if err := j.run(j.src, nil, "make", append(args, "DESTDIR="+dest)...); err != nil {
		return err
	}
	return j.takeLibraries(filepath.Join(dest, "usr"))
}

func (j *job) takeLibraries(from string) error {
	for _, sub := range []string{"lib", "include"} {
		if err := os.MkdirAll(filepath.Join(j.install, sub), 0o755); err != nil {
			return err
		}
	}
	libs, err := filepath.Glob(filepath.Join(from, "lib", "*.so*"))
	if err != nil {
		return err
	}
	if len(libs) == 0 {
		return fmt.Errorf("no shared library was built")
	}
	if err := j.run(j.work, nil, "cp", append([]string{"-a"}, append(libs, filepath.Join(j.install, "lib")+"/")...)...); err != nil {
		return err
	}
	return j.run(j.work, nil, "cp", "-a", filepath.Join(from, "include"), j.install+"/")
}

func buildZlib(j *job) error {
	// Not an autoconf script: it takes the host from CHOST and tries whether
	// shared libraries can be made.
	env := append(j.toolEnv(), "CFLAGS="+optimize, "CHOST="+j.host())
	// Its list of exported names has some that it does not define.
	env[0] += " -Wl,--undefined-version"
	if err := j.run(j.src, env, filepath.Join(j.src, "configure"), "--prefix=/usr"); err != nil {
		return err
	}
	// Only the library, whose name has the version in it.
	if err := j.run(j.src, nil, "sh", "-c", `make "$(sed -n 's/^SHAREDLIBV=//p' Makefile)"`); err != nil {
		return err
	}
	dest := filepath.Join(j.work, "dest", "usr")
	for _, sub := range []string{"lib", "include"} {
		if err := os.MkdirAll(filepath.Join(dest, sub), 0o755); err != nil {
			return err
		}
	}
	libs, _ := filepath.Glob(filepath.Join(j.src, "libz.so*"))
	if err := j.run(j.src, nil, "cp", append([]string{"-a"}, append(libs, filepath.Join(dest, "lib"))...)...); err != nil {
		return err
	}
	if err := j.run(j.src, nil, "cp", "zlib.h", "zconf.h", filepath.Join(dest, "include")); err != nil {
		return err
	}
	return j.takeLibraries(dest)
}

func buildBzip2(j *job) error {
	args := []string{"-f", "Makefile-libbz2_so", "CFLAGS=" + optimize + " -D_FILE_OFFSET_BITS=64"}
	for _, v := range j.toolEnv() {
		if strings.HasPrefix(v, "CC=") {
			args = append(args, v)
		}
	}
	if err := j.run(j.src, nil, "make", args...); err != nil {
		return err
	}
	dest := filepath.Join(j.work, "dest", "usr")
	script := `set -e; mkdir -p "$1/lib" "$1/include"; cp -a libbz2.so* "$1/lib/"; cp bzlib.h "$1/include/"
cd "$1/lib"; [ -e libbz2.so ] || ln -s libbz2.so.1.0 libbz2.so`
	if err := j.run(j.src, nil, "sh", "-c", script, "sh", dest); err != nil {
		return err
	}
	return j.takeLibraries(dest)
}

func buildXz(j *job) error {
	err := j.configure(nil, "--disable-static", "--disable-xz", "--disable-xzdec", "--disable-lzmadec", "--disable-lzmainfo",
		"--disable-lzma-links", "--disable-scripts", "--disable-doc", "--disable-nls", "--disable-assembler")
	if err != nil {
		return err
	}
	if err := j.make(); err != nil {
		return err
	}
	return j.stage()
}

// buildExpat compiles expat's three files itself: the package has no configure
// script, only what makes one.
func buildExpat(j *job) error {
	lib := filepath.Join(j.src, "expat", "lib")
	flags := append(strings.Fields(optimize), "-DXML_DTD", "-DXML_GE=1", "-DXML_NS", "-DXML_CONTEXT_BYTES=1024", "-DBYTEORDER=1234",
		"-DHAVE_GETRANDOM", "-DHAVE_MEMMOVE", "-DHAVE_UNISTD_H", "-DXML_ENABLE_VISIBILITY=1", "-fvisibility=hidden", "-fno-strict-aliasing")
	header := filepath.Join(j.work, "expat_config.h")
	if err := os.WriteFile(header, []byte("/* everything is given as options */\n"), 0o644); err != nil {
		return err
	}
	objects, err := j.compile(append(flags, "-I"+j.work, "-I"+lib), filepath.Join(lib, "xmlparse.c"), filepath.Join(lib, "xmlrole.c"), filepath.Join(lib, "xmltok.c"))
	if err != nil {
		return err
	}
	dir := filepath.Join(j.install, "lib")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args := append([]string{"-shared", "-Wl,-soname,libexpat.so.1", "-o", filepath.Join(dir, "libexpat.so.1")}, objects...)
	if err := j.run(j.work, nil, j.cc(), args...); err != nil {
		return err
	}
	if err := os.Symlink("libexpat.so.1", filepath.Join(dir, "libexpat.so")); err != nil {
		return err
	}
	return j.put("include", 0o644, filepath.Join(lib, "expat.h"), filepath.Join(lib, "expat_external.h"))
}

// libraries are all of them by name.
var libraries = map[string]func(Compiler) *port{
	"zlib": zlib, "bzip2": bzip2, "xz": xz, "sqlite": sqlite, "openssl": openssl, "expat": expat,
	"ncurses": ncurses, "libedit": libedit, "libffi": libffi,
}
