package ports

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/halite-run/halite/toolchain"
)

// Python builds CPython 3.11 as one static program: bin/python3.11 with the
// standard library in lib/python3.11. Its own configure runs as for any other
// cross-compiler; the source is not changed.
func Python(ctx context.Context, o Options) (string, error) {
	return (&port{name: "python", recipe: "python.go", source: "python3.11", compiler: Sandbox, build: buildPython}).ensure(ctx, o)
}

// pythonModules are the extension modules in the program. A static program
// can load no others.
const pythonModules = `*static*
math mathmodule.c
cmath cmathmodule.c
_struct _struct.c
array arraymodule.c
_json _json.c
_datetime _datetimemodule.c
_random _randommodule.c
_bisect _bisectmodule.c
_heapq _heapqmodule.c
_statistics _statisticsmodule.c
_sha1 sha1module.c
_sha256 sha256module.c
_sha512 sha512module.c
_md5 md5module.c
_sha3 _sha3/sha3module.c
_blake2 _blake2/blake2module.c _blake2/blake2b_impl.c _blake2/blake2s_impl.c
_pickle _pickle.c
_csv _csv.c
_queue _queuemodule.c
_opcode _opcode.c
_contextvars _contextvarsmodule.c
_asyncio _asynciomodule.c
_lsprof _lsprof.c rotatingtree.c
_posixsubprocess _posixsubprocess.c
_zoneinfo _zoneinfo.c
fcntl fcntlmodule.c
mmap mmapmodule.c
select selectmodule.c
unicodedata unicodedata.c
binascii binascii.c
`

func buildPython(j *job) error {
	build, err := buildPythonInterpreter()
	if err != nil {
		return err
	}
	dir := filepath.Join(j.work, "build")
	if err := os.MkdirAll(filepath.Join(dir, "Modules"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "Modules", "Setup.local"), []byte(pythonModules), 0o644); err != nil {
		return err
	}
	tool := func(name string) string { return filepath.Join(j.bin, toolchain.Triple+"-"+name) }
	env := []string{
		"CC=" + tool("gcc"), "CPP=" + tool("gcc") + " -E", "AR=" + tool("ar"), "RANLIB=" + tool("ranlib"), "READELF=" + tool("readelf"),
		"LINKFORSHARED= ", "LDFLAGS=-static", "OPT=-DNDEBUG -O2 -Wall -fno-semantic-interposition",
		"PKG_CONFIG=false", "MODULE_BUILDTYPE=static",
		// What configure would find out by running a program.
		"ac_cv_file__dev_ptmx=no", "ac_cv_file__dev_ptc=no", "ac_cv_buggy_getaddrinfo=no", "ac_cv_working_tzset=yes",
		"SOURCE_DATE_EPOCH=1675836000",
	}
	j.logf("configuring CPython")
	err = j.run(dir, env, filepath.Join(j.src, "configure"), "--host="+toolchain.Triple, "--build=x86_64-linux-gnu",
		"--with-build-python="+build, "--prefix=/usr", "--disable-shared", "--without-ensurepip", "--disable-test-modules",
		"--disable-ipv6", "--with-static-libpython", "--without-readline", "LIBS=-lm")
	if err != nil {
		return err
	}
	j.logf("compiling CPython (%d jobs)", j.Jobs)
	if err := j.run(dir, env, "make", fmt.Sprintf("-j%d", j.Jobs), "python", "pybuilddir.txt"); err != nil {
		return err
	}
	bin := filepath.Join(j.install, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "python"), filepath.Join(bin, "python3.11")); err != nil {
		return err
	}
	lib := filepath.Join(j.install, "lib", "python3.11")
	if err := os.CopyFS(lib, os.DirFS(filepath.Join(j.src, "Lib"))); err != nil {
		return err
	}
	for _, big := range []string{"test", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "distutils/tests", "unittest/test"} {
		if err := os.RemoveAll(filepath.Join(lib, big)); err != nil {
			return err
		}
	}
	// configure's findings, which sysconfig reads.
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
	// Debian's library asks for it by a name without the system in it; the
	// configure script in the package is the original one, which has it.
	for _, file := range found {
		name := strings.Replace(filepath.Base(file), "_linux_", "_", 1)
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(lib, name), data, 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(lib, "lib-dynload"), 0o755); err != nil {
		return err
	}
	// The library is often mounted read-only: compile it now, with the
	// interpreter of the same version, for the place where it will be.
	return j.run(lib, nil, build, "-m", "compileall", "-q", fmt.Sprintf("-j%d", j.Jobs), "-s", lib, "-p", "/usr/lib/python3.11",
		"--invalidation-mode", "unchecked-hash", ".")
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
