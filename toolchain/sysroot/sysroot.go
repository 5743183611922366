// Package sysroot builds the C library for the sandbox: musl, from the Debian
// source package, unmodified but for an architecture of ours (overlay/musl,
// which musl's own makefile takes as a further one, called halite), with our
// builtins in place of libgcc (overlay/rt), start files, libnacl
// (overlay/libnacl) and the kernel's headers.
//
// Invariant: a sysroot is named by everything that went into it (our sources,
// the version of musl, the outside tools), is complete when it has that name,
// and is never changed afterwards. Every executable segment in it has passed
// the validator.
//
// Lock order: the lock of one sysroot key, then that of package debsrc.
//
// Not promised: C++, locales beyond musl's own, a dynamic linker inside (the
// host links).
package sysroot

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/halite-run/halite/toolchain"
	"github.com/halite-run/halite/toolchain/debsrc"
)

// Options of a build.
type Options struct {
	Force   bool      // build even if it is there
	Refresh bool      // ask the archive for a newer musl
	Jobs    int       // 0: one for each processor
	Log     io.Writer // progress; nil for none
	Verbose bool      // the makefile's output as well
}

// Main is `halite sysroot`.
func Main(args []string) int {
	flags := flag.NewFlagSet("halite sysroot", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `usage: halite sysroot [options]

Builds the C library for the sandbox from the Debian source package of musl
and puts it into the cache ($HALITE_CACHE, default ~/.cache/halite). Does
nothing when it is there already.

  halite sysroot            build if needed
  halite sysroot --print    print where it is (and build nothing)

options:
`)
		flags.PrintDefaults()
	}
	var o Options
	show := flags.Bool("print", false, "print the directory; fail if it is not built")
	flags.BoolVar(&o.Force, "force", false, "build again")
	flags.BoolVar(&o.Refresh, "refresh", false, "ask the Debian archive for a newer version of musl")
	flags.BoolVar(&o.Verbose, "v", false, "show the output of the build")
	flags.IntVar(&o.Jobs, "j", 0, "number of parallel jobs (default: the number of processors)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "halite sysroot: unexpected argument %q; see halite sysroot --help\n", flags.Arg(0))
		return 2
	}
	if *show {
		dir, err := toolchain.Sysroot()
		if err != nil {
			fmt.Fprintln(os.Stderr, "halite sysroot:", err)
			return 1
		}
		fmt.Println(dir)
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.Log = os.Stderr
	if _, err := Ensure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "halite sysroot:", err)
		return 1
	}
	return 0
}

// Ensure returns the directory of the sysroot and builds it first if needed.
func Ensure(ctx context.Context, o Options) (string, error) {
	if o.Jobs <= 0 {
		o.Jobs = runtime.NumCPU()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	tools, err := toolchain.Tools("gcc-12", "llvm-mc-19", "ld.lld-19", "llvm-ar-19", "make", "dpkg-source")
	if err != nil {
		return "", err
	}
	source, err := debsrc.Fetch(ctx, "musl", debsrc.Options{Refresh: o.Refresh, Log: o.logf})
	if err != nil {
		return "", err
	}
	key, err := Key(source.Version, tools)
	if err != nil {
		return "", err
	}
	link, err := toolchain.SysrootLink()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(link), key)
	if !o.Force && complete(dir) {
		return dir, point(link, dir)
	}
	unlock, err := toolchain.Lock(dir+".lock", func() { o.logf("waiting for another build of the same sysroot") })
	if err != nil {
		return "", err
	}
	defer unlock()
	if !o.Force && complete(dir) {
		return dir, point(link, dir)
	}
	// What an interrupted build of this key has left: the lock is ours.
	if left, err := filepath.Glob(dir + ".tmp-*"); err == nil {
		for _, d := range left {
			os.RemoveAll(d)
		}
	}
	start := time.Now()
	o.logf("building the C library for the sandbox (musl %s, %d jobs)", source.Version, o.Jobs)
	b := &build{Options: o, ctx: ctx, tools: tools, source: source, tmp: fmt.Sprintf("%s.tmp-%d", dir, os.Getpid())}
	defer os.RemoveAll(b.tmp)
	if err := b.run(); err != nil {
		return "", err
	}
	old := b.tmp + "/old"
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Rename(b.stage(), dir); err != nil {
		return "", err
	}
	o.logf("built %s in %.0f s", dir, time.Since(start).Seconds())
	return dir, point(link, dir)
}

func (o *Options) logf(format string, args ...any) {
	fmt.Fprintf(o.Log, "halite sysroot: "+format+"\n", args...)
}

// complete tells a finished sysroot: the manifest is written last.
func complete(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, manifest))
	return err == nil
}

const manifest = "halite-sysroot.txt"

// point makes the link by which the driver finds the sysroot.
func point(link, dir string) error {
	if old, err := os.Readlink(link); err == nil && old == filepath.Base(dir) {
		return nil
	}
	tmp := fmt.Sprintf("%s.%d", link, os.Getpid())
	os.Remove(tmp)
	if err := os.Symlink(filepath.Base(dir), tmp); err != nil {
		return err
	}
	return os.Rename(tmp, link)
}

// Key names a sysroot, or anything else that is built with it: our sources,
// the source package and the outside tools, by size and time of the files
// behind their names.
func Key(version string, tools map[string]string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", toolchain.Fingerprint(), version)
	for _, name := range []string{"gcc-12", "llvm-mc-19", "ld.lld-19", "llvm-ar-19"} {
		path, err := filepath.EvalSymlinks(tools[name])
		if err != nil {
			return "", err
		}
		st, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %s %d %d\n", name, path, st.Size(), st.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// build is one build in a temporary directory:
//
//	tmp/musl   the source with the overlay
//	tmp/bin    this binary under the names of the tools
//	tmp/stage  what becomes the sysroot
type build struct {
	Options
	ctx    context.Context
	tools  map[string]string
	source debsrc.Source
	tmp    string
}

func (b *build) stage() string { return filepath.Join(b.tmp, "stage") }
func (b *build) musl() string  { return filepath.Join(b.tmp, "musl") }
func (b *build) lib() string   { return filepath.Join(b.stage(), "lib") }
func (b *build) cc() string    { return filepath.Join(b.tmp, "bin", "halite-cc") }

func (b *build) run() error {
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"prepare", b.prepare},
		{"unpack musl", b.unpack},
		{"install headers", b.headers},
		{"compile the builtins", b.builtins},
		{"compile musl", b.compile},
		{"compile libnacl", b.libnacl},
		{"check", b.check},
		{"finish", b.finish},
	} {
		if err := step.do(); err != nil {
			if b.ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (b *build) prepare() error {
	if err := os.RemoveAll(b.tmp); err != nil {
		return err
	}
	for _, dir := range []string{b.lib(), filepath.Join(b.stage(), "include"), filepath.Dir(b.cc())} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range []string{"halite-cc", "halite-ar", "halite-ranlib"} {
		if err := os.Symlink(exe, filepath.Join(b.tmp, "bin", name)); err != nil {
			return err
		}
	}
	return nil
}

// unpack lays the overlay over musl. musl's makefile takes a file below a
// directory that is named after the architecture in place of the generic one
// beside it; so nothing of musl's is edited or removed, but for <dlfcn.h>, which
// is ours.
func (b *build) unpack() error {
	if err := b.source.Extract(b.ctx, b.musl()); err != nil {
		return err
	}
	version, err := os.ReadFile(filepath.Join(b.musl(), "VERSION"))
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(version, []byte("1.2.")) {
		return fmt.Errorf("musl %s: the overlay is for musl 1.2", bytes.TrimSpace(version))
	}
	// The kernel interface is that of x86-64: types, constants, numbers.
	arch := filepath.Join(b.musl(), "arch")
	if err := os.CopyFS(filepath.Join(arch, "halite", "bits"), os.DirFS(filepath.Join(arch, "x86_64", "bits"))); err != nil {
		return err
	}
	for _, name := range []string{"ksigaction.h", "kstat.h"} {
		if err := copyFile(filepath.Join(arch, "x86_64", name), filepath.Join(arch, "halite", name)); err != nil {
			return err
		}
	}
	// Mathematics with x87 and SSE, in C and in assembly: the pass takes both.
	math, err := filepath.Glob(filepath.Join(b.musl(), "src/math/x86_64/*.[cs]"))
	if err != nil {
		return err
	}
	for _, name := range math {
		if err := copyFile(name, filepath.Join(b.musl(), "src/math/halite", filepath.Base(name))); err != nil {
			return err
		}
	}
	overlay, err := fs.Sub(toolchain.Overlay(), "musl")
	if err != nil {
		return err
	}
	if err := copyTree(overlay, b.musl()); err != nil {
		return err
	}
	config := strings.Join([]string{
		"# written by halite sysroot in place of configure",
		"ARCH = halite",
		"srcdir = .",
		"prefix = ",
		"syslibdir = /lib",
		"includedir = /include",
		"libdir = /lib",
		"CC = " + b.cc(),
		"AR = " + filepath.Join(b.tmp, "bin", "halite-ar"),
		"RANLIB = " + filepath.Join(b.tmp, "bin", "halite-ranlib"),
		"CFLAGS_C99FSE = -std=c99 -ffreestanding -nostdinc -fexcess-precision=standard -frounding-math -Wa,--noexecstack",
		"CFLAGS_AUTO = -O2 -pipe -fomit-frame-pointer -fno-semantic-interposition -ffunction-sections -fdata-sections -w",
		"CFLAGS_MEMOPS = -fno-tree-loop-distribute-patterns",
		"LDFLAGS_AUTO = -Wl,--sort-section,alignment -Wl,--gc-sections -Wl,--hash-style=both -Wl,-z,defs " +
			"-Wl,--exclude-libs=ALL -Wl,--dynamic-list=./dynamic.list -Wl,-soname,libc.so",
		"LIBCC = -lgcc",
		"MALLOC_DIR = mallocng",
		"OPTIMIZE_GLOBS = internal/*.c malloc/*.c string/*.c",
		"", // a makefile ends with a newline
	}, "\n")
	return os.WriteFile(filepath.Join(b.musl(), "config.mak"), []byte(config), 0o644)
}

func (b *build) headers() error {
	if err := b.make("install-headers"); err != nil {
		return err
	}
	return b.kernelHeaders()
}

// kernelHeaders copies the kernel's user headers, where the machine has them.
// They describe an interface and are free of code; programs such as CPython
// look for a few of them.
func (b *build) kernelHeaders() error {
	for _, name := range []string{"linux", "asm-generic", "asm"} {
		for _, base := range []string{"/usr/include/x86_64-linux-gnu", "/usr/include"} {
			from := filepath.Join(base, name)
			if _, err := os.Stat(from); err != nil {
				continue
			}
			if err := os.CopyFS(filepath.Join(b.stage(), "include", name), os.DirFS(from)); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

func (b *build) compile() error {
	if err := b.make("all"); err != nil {
		return err
	}
	return b.make("install-libs")
}

// make runs musl's makefile. Its output is kept for the case that it fails.
func (b *build) make(target string) error {
	// The tool and compiler wrapper targets are for the machine itself. One
	// set of position-independent objects makes both libraries: what that
	// costs a static program, the linker takes out again (it turns loads from
	// the GOT into address computations).
	args := []string{"-C", b.musl(), fmt.Sprintf("-j%d", b.Jobs), "DESTDIR=" + b.stage(), "ALL_TOOLS=", "TOOL_LIBS=", "AOBJS=$(LOBJS)"}
	if target == "install-libs" {
		args = append(args, "LDSO_PATHNAME=/lib/libc.so.unused")
	}
	err := b.exec("make", append(args, target)...)
	os.Remove(filepath.Join(b.lib(), "libc.so.unused"))
	return err
}

// exec runs a program of the build with our tools and the sysroot so far.
func (b *build) exec(name string, args ...string) error {
	cmd := exec.CommandContext(b.ctx, name, args...)
	cmd.Env = append(os.Environ(), "HALITE_SYSROOT="+b.stage(), "LC_ALL=C", "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=")
	var out bytes.Buffer
	cmd.Stdout = &progress{build: b, out: &out, live: name == "make" && terminal(b.Log)}
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	cmd.Stdout.(*progress).done()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, tail(out.String(), 30))
	}
	return nil
}

// progress collects the output of a command and counts its lines on a terminal.
type progress struct {
	build *build
	out   *bytes.Buffer
	live  bool
	lines int
	shown time.Time
}

func (p *progress) Write(b []byte) (int, error) {
	if p.build.Verbose {
		p.build.Log.Write(b)
	}
	p.lines += bytes.Count(b, []byte("\n"))
	if p.live && !p.build.Verbose && time.Since(p.shown) > 200*time.Millisecond {
		p.shown = time.Now()
		fmt.Fprintf(p.build.Log, "\rhalite sysroot: %d steps done ", p.lines)
	}
	return p.out.Write(b)
}

func (p *progress) done() {
	if !p.shown.IsZero() {
		fmt.Fprint(p.build.Log, "\r\x1b[K")
	}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// tail returns the last lines of a log, the first errors before them.
func tail(log string, n int) string {
	var errs, last []string
	scan := bufio.NewScanner(strings.NewReader(log))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		line := scan.Text()
		if len(line) > 400 {
			line = line[:400] + "..."
		}
		if strings.Contains(line, "error:") && len(errs) < n {
			errs = append(errs, line)
		}
		if last = append(last, line); len(last) > n {
			last = last[1:]
		}
	}
	if len(errs) > 0 {
		return strings.Join(errs, "\n")
	}
	return strings.Join(last, "\n")
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// copyTree copies files over those that may be there (os.CopyFS refuses that).
func copyTree(from fs.FS, to string) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		path := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, data, 0o644)
	})
}
