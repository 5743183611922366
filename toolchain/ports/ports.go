// Package ports builds real programs for the sandbox from Debian source
// packages: Lua 5.4 with its library, lpeg as a loadable module, CPython 3.11.
// The sources are not changed; a recipe only chooses options and files.
//
// Invariant: as for the sysroot, an installed port is named by everything that
// went into it, complete under that name, never changed, and every executable
// segment in it has passed the validator.
//
// Lock order: the lock of a port, then that of another port that it needs,
// then those of packages sysroot and debsrc.
//
// Not promised: every feature of a port.
package ports

import (
	"bytes"
	"context"
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
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/toolchain"
	"github.com/halite-run/halite/toolchain/debsrc"
	"github.com/halite-run/halite/toolchain/driver"
	"github.com/halite-run/halite/toolchain/sysroot"
)

// The recipe is part of a port's key.
//
//go:embed *.go
var recipes embed.FS

// Options of a build.
type Options struct {
	Force bool
	Jobs  int       // 0: one for each processor
	Log   io.Writer // progress; nil for none
}

// Compiler is what a port is built with.
type Compiler string

// The sandbox's compiler, and native ones for comparison.
const (
	Sandbox Compiler = "halite"
	GCC     Compiler = "gcc"
	MuslGCC Compiler = "musl-gcc"
)

// port is one recipe.
type port struct {
	name     string
	recipe   string // file of this package, part of the key
	source   string // Debian source package
	compiler Compiler
	files    *embed.FS // what else the recipe is made of; nil for nothing
	needs    []*port
	build    func(j *job) error
}

// recipe describes a port for one compiler, and those that it needs.
func recipe(name, file, source string, c Compiler, build func(*job) error, needs ...func(Compiler) *port) *port {
	p := &port{name: name, recipe: file, source: source, compiler: c, build: build}
	if c != Sandbox {
		p.name += "-" + string(c)
	}
	for _, n := range needs {
		p.needs = append(p.needs, n(c))
	}
	return p
}

// job is one run of a recipe.
type job struct {
	Options
	ctx     context.Context
	port    *port
	src     string            // the unpacked source
	work    string            // scratch
	bin     string            // the compiler and its companions under their names
	install string            // what becomes the installed port
	deps    map[string]string // installed ports that it needs
}

func (o *Options) logf(format string, args ...any) {
	if o.Log != nil {
		fmt.Fprintf(o.Log, "halite port: "+format+"\n", args...)
	}
}

const manifest = "halite-port.txt"

// installed returns the directory in which a port is, or would be if it were
// built, and whether it is. It builds and fetches nothing.
func (p *port) installed() (dir string, ok bool) {
	cache, err := toolchain.Cache()
	if err != nil {
		return "", false
	}
	source, ok := debsrc.Present(p.source)
	if !ok {
		return "", false
	}
	j := &job{port: p, deps: map[string]string{}}
	for _, n := range p.needs {
		if j.deps[n.name], ok = n.installed(); !ok {
			return "", false
		}
	}
	key, err := j.key(source.Version)
	if err != nil {
		return "", false
	}
	dir = filepath.Join(cache, "ports", p.name+"-"+key)
	_, err = os.Stat(filepath.Join(dir, manifest))
	return dir, err == nil
}

// ensure returns the directory of an installed port and builds it if needed.
func (p *port) ensure(ctx context.Context, o Options) (string, error) {
	if o.Jobs <= 0 {
		o.Jobs = runtime.NumCPU()
	}
	cache, err := toolchain.Cache()
	if err != nil {
		return "", err
	}
	j := &job{Options: o, ctx: ctx, port: p}
	if p.compiler == Sandbox {
		if _, err := toolchain.Sysroot(); errors.Is(err, toolchain.ErrNoSysroot) {
			if _, err := sysroot.Ensure(ctx, sysroot.Options{Jobs: o.Jobs, Log: o.Log}); err != nil {
				return "", err
			}
		} else if err != nil {
			return "", err
		}
	}
	j.deps = map[string]string{}
	for _, n := range p.needs {
		if j.deps[n.name], err = n.ensure(ctx, Options{Jobs: o.Jobs, Log: o.Log}); err != nil {
			return "", err
		}
	}
	source, err := debsrc.Fetch(ctx, p.source, debsrc.Options{Log: o.logf})
	if err != nil {
		return "", err
	}
	key, err := j.key(source.Version)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "ports", p.name+"-"+key)
	done := func() bool {
		_, err := os.Stat(filepath.Join(dir, manifest))
		return err == nil && !o.Force
	}
	if done() {
		return dir, nil
	}
	unlock, err := toolchain.Lock(dir+".lock", func() { o.logf("waiting for another build of %s", p.name) })
	if err != nil {
		return "", err
	}
	defer unlock()
	if done() {
		return dir, nil
	}
	// What an interrupted build of this key has left: the lock is ours.
	if left, err := filepath.Glob(dir + ".tmp-*"); err == nil {
		for _, d := range left {
			os.RemoveAll(d)
		}
	}
	start := time.Now()
	o.logf("building %s %s with %s", p.source, source.Version, p.compiler)
	tmp := fmt.Sprintf("%s.tmp-%d", dir, os.Getpid())
	j.src, j.work, j.bin, j.install = tmp+"/src", tmp+"/work", tmp+"/bin", tmp+"/install"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	for _, d := range []string{j.work, j.bin, j.install} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return "", err
		}
	}
	if _, err := driver.InstallNames(j.bin); err != nil {
		return "", err
	}
	if err := source.Extract(ctx, j.src); err != nil {
		return "", err
	}
	if err := p.build(j); err != nil {
		if ctx.Err() != nil {
			return "", errors.New("interrupted")
		}
		return "", fmt.Errorf("%s: %w", p.name, err)
	}
	if p.compiler == Sandbox {
		if err := j.verify(); err != nil {
			return "", fmt.Errorf("%s: the validator refuses %w", p.name, err)
		}
	}
	text := fmt.Sprintf("%s %s\n", p.source, source.Version)
	if err := os.WriteFile(filepath.Join(j.install, manifest), []byte(text), 0o644); err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.Rename(j.install, dir); err != nil {
		return "", err
	}
	o.logf("built %s in %.0f s", p.name, time.Since(start).Seconds())
	return dir, nil
}

// key names the result: recipe, source, compiler and what is linked in.
func (j *job) key(version string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"ports.go", j.port.recipe} {
		text, err := recipes.ReadFile(name)
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	if j.port.files != nil {
		err := fs.WalkDir(j.port.files, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := j.port.files.ReadFile(name)
			fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	fmt.Fprintf(h, "%s %s %s\n", j.port.name, version, j.port.compiler)
	if j.port.compiler == Sandbox {
		dir, err := toolchain.Sysroot()
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, filepath.Base(dir))
	}
	var names []string
	for name := range j.deps {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintln(h, filepath.Base(j.deps[name]))
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// cc is the compiler's command.
func (j *job) cc() string {
	if j.port.compiler == Sandbox {
		return filepath.Join(j.bin, toolchain.Triple+"-gcc")
	}
	return string(j.port.compiler)
}

// run executes a command of the recipe in dir.
func (j *job) run(dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(j.ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C", "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL="), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, lastLines(out.String(), 25))
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

// compile turns sources into objects in the work directory, in parallel.
func (j *job) compile(flags []string, sources ...string) ([]string, error) {
	objects := make([]string, len(sources))
	errs := make([]error, len(sources))
	slots := make(chan struct{}, j.Jobs)
	var wg sync.WaitGroup
	for i, src := range sources {
		objects[i] = filepath.Join(j.work, strings.TrimSuffix(filepath.Base(src), ".c")+".o")
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			args := append(append([]string{}, flags...), "-c", "-o", objects[i], src)
			errs[i] = j.run(j.work, nil, j.cc(), args...)
			<-slots
		}()
	}
	wg.Wait()
	return objects, errors.Join(errs...)
}

// put copies files into a directory of the installed port.
func (j *job) put(dir string, mode os.FileMode, files ...string) error {
	to := filepath.Join(j.install, dir)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), data, mode); err != nil {
			return err
		}
	}
	return nil
}

// verify checks every ELF file of the installed port.
func (j *job) verify() error {
	return filepath.WalkDir(j.install, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		var magic [4]byte
		if _, err := f.ReadAt(magic[:], 0); err != nil || string(magic[:]) != "\x7fELF" {
			return nil
		}
		st, err := f.Stat()
		if err != nil {
			return err
		}
		report, err := loader.Verify(filepath.Base(path), f, st.Size(), loader.VerifyOptions{})
		if err != nil {
			return err
		}
		return report.Err()
	})
}
