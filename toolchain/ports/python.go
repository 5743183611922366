package ports

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/halite-run/halite/toolchain"
)

// Python builds CPython 3.11: bin/python3.11, lib/libpython3.11.so, extension
// modules in lib/python3.11/lib-dynload and the libraries that they need in
// lib. Mounted at /usr in a domain it finds everything. Its own configure and
// makefile run as for any other cross-compiler; the source is not changed.
func Python(ctx context.Context, o Options) (string, error) {
	return python(Sandbox).ensure(ctx, o)
}

// python is the recipe; MuslGCC builds the same natively, to compare with.
func python(c Compiler) *port {
	p := recipe("python", "python.go", "python3.11", c, buildPython,
		zlib, bzip2, xz, sqlite, openssl, expat, libffi, ncurses, libedit)
	if c == Sandbox {
		p.files = &naclFiles
	}
	return p
}

// pythonCache is what configure would find out by running a program. It is
// the same for both compilers.
var pythonCache = []string{
	"ac_cv_file__dev_ptmx=yes", "ac_cv_file__dev_ptc=no", "ac_cv_buggy_getaddrinfo=no", "ac_cv_working_tzset=yes",
	"ac_cv_aligned_required=no", "ac_cv_rshift_extends_sign=yes", "ac_cv_broken_sem_getvalue=no", "ac_cv_posix_semaphores_enabled=yes",
	"ac_cv_have_chflags=no", "ac_cv_have_lchflags=no", "ac_cv_broken_nice=no", "ac_cv_broken_poll=no", "ac_cv_x87_double_rounding=no",
	"ac_cv_tanh_preserves_zero_sign=yes", "ac_cv_wchar_t_signed=yes",
}

func buildPython(j *job) error {
	build, err := buildPythonInterpreter()
	if err != nil {
		return err
	}
	needed, err := j.merged()
	if err != nil {
		return err
	}
	dir := filepath.Join(j.work, "build")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	env := append(j.toolEnv(),
		"CPPFLAGS=-I"+needed+"/include",
		// Calls and data within the library need no table.
		"LDFLAGS=-L"+needed+"/lib -Wl,-Bsymbolic",
		"OPT=-DNDEBUG -O2 -Wall -fno-semantic-interposition",
		// Debian's fixes make pyexpat use the interpreter's internals.
		"LIBEXPAT_CFLAGS=-DPy_BUILD_CORE_MODULE",
		"LINKFORSHARED= ", "SOURCE_DATE_EPOCH=1675836000")
	env = append(env, pythonCache...)
	// setup.py would ask dpkg for the directories of the machine's own musl.
	fake := filepath.Join(j.work, "path")
	if err := os.MkdirAll(fake, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(fake, "dpkg-architecture"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		return err
	}
	env = append(env, "PATH="+fake+":"+os.Getenv("PATH"))
	if j.port.compiler == MuslGCC {
		// It would ask the compiler for them, too.
		cc := filepath.Join(fake, "cc")
		script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = -print-multiarch ] && exit 0\nexec musl-gcc -idirafter %s \"$@\"\n", j.kernelHeaders())
		if err := os.WriteFile(cc, []byte(script), 0o755); err != nil {
			return err
		}
		env = append(env, "CC="+cc, "CPP="+cc+" -E")
	}
	j.logf("configuring CPython")
	err = j.run(dir, env, filepath.Join(j.src, "configure"), "--host="+j.host(), "--build=x86_64-linux-gnu",
		"--with-build-python="+build, "--prefix=/usr", "--enable-shared", "--without-ensurepip", "--without-static-libpython",
		"--enable-ipv6", "--enable-loadable-sqlite-extensions", "--with-computed-gotos", "--with-readline=editline",
		"--with-system-expat", "--with-system-ffi", "--with-openssl="+needed, "--with-dbmliborder=", "LIBS=-lm")
	if err != nil {
		return err
	}
	j.logf("compiling CPython (%d jobs)", j.Jobs)
	if err := j.run(dir, env, "make", fmt.Sprintf("-j%d", j.Jobs), "build_all"); err != nil {
		return err
	}
	dest := filepath.Join(j.work, "dest")
	if err := j.run(dir, env, "make", "DESTDIR="+dest, "altbininstall", "sharedinstall", "inclinstall"); err != nil {
		return err
	}
	script := `set -e
mkdir -p "$2/bin" "$2/lib"
cp -a "$1/usr/bin/python3.11" "$2/bin/"
ln -s python3.11 "$2/bin/python3"
cp -a "$1/usr/lib/." "$2/lib/"
cp -a "$1/usr/include" "$2/"
cp -a "$3/lib/." "$2/lib/"
mkdir -p "$2/lib/python3.11"
cp -a "$4/Lib/." "$2/lib/python3.11/"
find "$2/lib/python3.11" -name __pycache__ -prune -exec rm -rf {} +`
	if err := j.run(dir, nil, "sh", "-c", script, "sh", dest, j.install, needed, j.src); err != nil {
		return err
	}
	if j.port.compiler == Sandbox {
		// With the C library in it, the directory is all that a host needs.
		sysroot, err := toolchain.Sysroot()
		if err != nil {
			return err
		}
		if err := j.put("lib", 0o755, filepath.Join(sysroot, "lib", "libc.so")); err != nil {
			return err
		}
		if err := j.naclModule(); err != nil {
			return err
		}
	}
	lib := filepath.Join(j.install, "lib", "python3.11")
	if err := j.sysconfigData(dir, lib); err != nil {
		return err
	}
	// The library is often mounted read-only: compile it now, with the
	// interpreter of the same version, for the place where it will be.
	return j.run(lib, nil, build, "-m", "compileall", "-q", fmt.Sprintf("-j%d", j.Jobs), "-s", lib, "-p", "/usr/lib/python3.11",
		"--invalidation-mode", "unchecked-hash", "-x", "bad_coding|badsyntax|lib2to3/tests/data|/test/data/", ".")
}

// sysconfigData installs configure's findings, which sysconfig reads.
func (j *job) sysconfigData(dir, lib string) error {
	data, err := os.ReadFile(filepath.Join(dir, "pybuilddir.txt"))
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, strings.TrimSpace(string(data)), "_sysconfigdata*.py"))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("no _sysconfigdata in %s", strings.TrimSpace(string(data)))
	}
	for _, file := range found {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		// Whoever builds an extension module has the tools by their own names
		// and not at the places of this build.
		data = bytes.ReplaceAll(data, []byte(j.bin+"/"+toolchain.Triple+"-gcc"), []byte("halite cc"))
		data = bytes.ReplaceAll(data, []byte(j.bin+"/"+toolchain.Triple+"-"), []byte("halite "))
		data = bytes.ReplaceAll(data, []byte(filepath.Join(j.work, "needed")), []byte("/usr"))
		// Debian's library asks for it by a name without the system in it; the
		// configure script in the package is the original one, which has it.
		base := filepath.Base(file)
		for _, name := range []string{base, strings.Replace(base, "_linux_", "_", 1)} {
			if err := os.WriteFile(filepath.Join(lib, name), data, 0o644); err != nil {
				return err
			}
		}
	}
	// The makefile, where sysconfig looks for it.
	text, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	m := regexp.MustCompile(`'LIBPL': '/usr/lib/python3\.11/([^/']+)'`).FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("no LIBPL in %s", found[0])
	}
	to := filepath.Join("lib", "python3.11", string(m[1]))
	return j.put(to, 0o644, filepath.Join(dir, "Makefile"), filepath.Join(dir, "Modules", "Setup.local"),
		filepath.Join(dir, "Modules", "config.c"), filepath.Join(j.src, "Modules", "Setup"))
}

// buildPythonInterpreter finds a Python of the same version that runs here:
// a cross-build needs one to freeze modules. pyenv's shims are scripts that
// need not have the version, so the candidate is asked.
func buildPythonInterpreter() (string, error) {
	for _, name := range []string{"/usr/bin/python3.11", "python3.11", "/usr/local/bin/python3.11", "python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(path, "-c", "import sys; print('%d.%d %s' % (sys.version_info[:2] + (sys.executable,)))").Output()
		version, exe, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		if err == nil && version == "3.11" && filepath.IsAbs(exe) {
			return exe, nil
		}
	}
	return "", &toolchain.MissingError{Tools: []string{"python3.11"}}
}
