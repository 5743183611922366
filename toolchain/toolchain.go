// Package toolchain holds what the rooms of the C toolchain share: where the
// cache is, which outside tools are used and which Debian packages bring
// them, the name of the target, and the fingerprint of everything in this
// repository that decides what a compiled object looks like.
//
// Invariant: nothing in the cache is ever changed in place. A directory is
// built under a temporary name, renamed to its content key when it is
// complete, and found again by that key; so a half-built one is never seen
// and several processes may build at once (Lock serialises those that want
// the same key).
//
// Lock order: one Lock at a time, except that a port may hold its own lock
// while the source fetcher takes the lock of its download directory.
//
// Not promised: that the cache survives a change of the repository. Any
// change of the assembly pass, the driver or the overlay makes new keys; old
// directories are left for the user to remove.
package toolchain

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
)

// Triple names the target to configure scripts. config.sub of any age reads
// it as cpu-vendor-kernel-libc, and to every package it is a Linux with musl,
// which is what a domain looks like from inside; the vendor keeps it apart
// from the machine's own compilers.
const Triple = "x86_64-halite-linux-musl"

// Interpreter is the PT_INTERP of dynamic programs. The host links them; the
// file never exists, so that a kernel refuses to start one by accident.
const Interpreter = "/lib/ld-halite.so.1"

// sources is what decides the bytes of an object file: the assembly pass, the
// driver's flags, the C library's overlay and how it is built.
//
//go:embed sfi/*.go sfi/*.txt driver/*.go sysroot/*.go all:sysroot/overlay
var sources embed.FS

// Fingerprint names the state of this repository's part of the toolchain:
// the same for the same sources, whatever binary they were built into.
var Fingerprint = sync.OnceValue(func() string {
	var names []string
	err := fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(name, "_test.go") {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		panic(err) // an embedded tree can be walked
	}
	sort.Strings(names)
	h := sha256.New()
	buf := make([]byte, 32<<10) // read in pieces: each new page of memory costs as much as its hash
	for _, name := range names {
		f, err := sources.Open(name)
		if err != nil {
			panic(err)
		}
		info, err := f.Stat()
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(h, "%s %d\n", name, info.Size())
		if _, err := io.CopyBuffer(h, f, buf); err != nil {
			panic(err)
		}
		f.Close()
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
})

// Overlay returns the embedded files of the C library port.
func Overlay() fs.FS {
	sub, err := fs.Sub(sources, "sysroot/overlay")
	if err != nil {
		panic(err)
	}
	return sub
}

// Cache returns the directory for everything that is built: $HALITE_CACHE,
// or halite in the user's cache directory.
func Cache() (string, error) {
	if dir := os.Getenv("HALITE_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w; set HALITE_CACHE", err)
	}
	return filepath.Join(dir, "halite"), nil
}

// Lock takes the exclusive lock of a file, which it creates, and returns what
// releases it. Another process that holds the lock is waited for; waiting
// is called once before that.
func Lock(path string, waiting func()) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		if waiting != nil {
			waiting()
		}
		err = flock(f, syscall.LOCK_EX)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// packages says which Debian package brings a tool.
var packages = map[string]string{
	"gcc-12":      "gcc-12",
	"make":        "make",
	"musl-gcc":    "musl-tools",
	"ld.lld-19":   "lld-19",
	"dpkg-source": "dpkg-dev",
	"apt-get":     "apt",
	"xz":          "xz-utils",
	"patch":       "patch",
	"python3.11":  "python3.11-minimal",
}

// MissingError says that a program is not installed and how to get it.
type MissingError struct{ Tools []string }

func (e *MissingError) Error() string {
	need := map[string]bool{}
	for _, t := range e.Tools {
		need[Package(t)] = true
	}
	var names []string
	for p := range need {
		names = append(names, p)
	}
	sort.Strings(names)
	return fmt.Sprintf("%s not found; install with: apt-get install %s (or run scripts/setup)",
		strings.Join(e.Tools, ", "), strings.Join(names, " "))
}

// Package returns the Debian package of a tool.
func Package(tool string) string {
	if p, ok := packages[tool]; ok {
		return p
	}
	if strings.HasPrefix(tool, "llvm-") {
		return "llvm-19"
	}
	return tool
}

// Tool returns the path of an outside program: its versioned name, or for
// gcc-12 also a plain gcc that is version 12.
func Tool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	if name == "gcc-12" {
		if path, err := exec.LookPath("gcc"); err == nil {
			out, err := exec.Command(path, "-dumpversion").Output()
			if err == nil && strings.Split(strings.TrimSpace(string(out)), ".")[0] == "12" {
				return filepath.Abs(path)
			}
		}
	}
	// llvm-19 also installs its programs below its own prefix.
	if tool, ok := strings.CutSuffix(name, "-19"); ok {
		if path := "/usr/lib/llvm-19/bin/" + tool; executable(path) {
			return path, nil
		}
	}
	return "", &MissingError{Tools: []string{name}}
}

// Tools looks up several programs and reports all that are missing at once.
func Tools(names ...string) (map[string]string, error) {
	found := map[string]string{}
	var missing []string
	for _, name := range names {
		path, err := Tool(name)
		if err != nil {
			missing = append(missing, name)
			continue
		}
		found[name] = path
	}
	if missing != nil {
		return nil, &MissingError{Tools: missing}
	}
	return found, nil
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// ErrNoSysroot is what a compile without a C library ends with.
var ErrNoSysroot = errors.New("the C library for the sandbox is not built yet; run: halite sysroot")

// SysrootLink is the name under which the sysroot of this state of the
// toolchain is found without computing its full key: a symbolic link.
func SysrootLink() (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "sysroot", "for-"+Fingerprint()), nil
}

// Sysroot returns the directory of the built C library, or ErrNoSysroot.
// $HALITE_SYSROOT names another one; the sysroot's own build uses that.
func Sysroot() (string, error) {
	if dir := os.Getenv("HALITE_SYSROOT"); dir != "" {
		return filepath.Abs(dir)
	}
	link, err := SysrootLink()
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(link)
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNoSysroot
	}
	return dir, err
}
