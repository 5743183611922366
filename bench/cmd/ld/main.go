// Command ld measures the dynamic linker next to glibc's and musl's: the start of a
// program with 50 libraries and 70,000 relocations, dlopen of a library with 1,000,
// and dlsym. All sides of a line run in turn, in one go; the medians are printed as a
// Markdown table.
//
//	make sysroot
//	cd bench && CGO_ENABLED=0 go run ./cmd/ld -cpu -write ../docs/performance.md
//
// Natively a start is that of a process. Ours is halite.Run in a process that has run the
// program before, then in one that has run nothing, and, apart from that, the command.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/bench"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/toolchain"
)

//go:embed guest/open.c
var open string

func main() { bench.Main("ld", nil, run) }

func run(r *bench.Race, w io.Writer) error {
	dir, err := os.MkdirTemp("", "ld")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sysroot, err := toolchain.Sysroot()
	if err != nil {
		return err
	}
	command := filepath.Join(dir, "halite-command")
	if err := bench.Execute("env", "CGO_ENABLED=0", "go", "build", "-o", command, "github.com/halite-run/halite/cmd/halite"); err != nil {
		return err
	}
	ours := &tool{name: "halite", cc: []string{command, "cc"}}
	glibc, musl := &tool{name: "glibc", cc: []string{"gcc"}}, &tool{name: "musl", cc: []string{"musl-gcc"}}
	fmt.Fprintln(os.Stderr, "building 50 libraries for each of three linkers")
	if err := build(dir, []*tool{ours, glibc, musl}); err != nil {
		return err
	}
	x := &set{dir: dir, command: command, libraries: []string{ours.dir, filepath.Join(sysroot, "lib")}, ours: ours}
	r.Ours = "halite"
	return r.Run(w, []bench.Line{
		{Name: "start of a program, once more in one process", Target: "≤ 1.0 times", Start: starts(x.start(true), process(glibc), process(musl))},
		{Name: "start of a program by the command, verdicts cached", Start: starts(x.run(true), process(glibc), process(musl))},
		{Name: "start of a program, nothing cached or known", Start: starts(x.start(false), process(glibc), process(musl))},
		{Name: "dlopen and dlclose of 1,000 relocations", Target: "≤ 50 µs", Start: starts(x.call("open_close"), loop(glibc, "open_close"))},
		{Name: "dlsym", Target: "≤ 200 ns", Start: starts(x.call("look_up"), loop(glibc, "look_up"), loop(musl, "look_up"))},
	})
}

func starts(l ...func() (*bench.Contestant, error)) []func() (*bench.Contestant, error) { return l }

type set struct {
	dir, command string
	libraries    []string
	ours         *tool
}

func (x *set) config(cached bool) halite.Config {
	c := halite.Config{Program: filepath.Join(x.ours.dir, "main"), Libraries: x.libraries}
	if cached {
		c.VerdictCache = filepath.Join(x.dir, "verdicts")
	}
	return c
}

// start runs the program in this process.
func (x *set) start(cached bool) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		return &bench.Contestant{Name: "halite", Close: func() {}, Run: func(n int) error {
			for range n {
				if !cached { // as in a process that has run nothing before
					loader.FlushTextCache()
					loader.FlushFiles()
					ld.FlushLinks()
				}
				status, err := halite.Run(context.Background(), x.config(cached))
				if err != nil || status != (halite.ExitStatus{}) {
					return fmt.Errorf("%v, %w", status, err)
				}
			}
			return nil
		}}, nil
	}
}

// run has the command run it.
func (x *set) run(cached bool) func() (*bench.Contestant, error) {
	args := []string{"run"}
	for _, l := range x.libraries {
		args = append(args, "-lib", l)
	}
	return execute(append(append([]string{x.command}, args...), filepath.Join(x.ours.dir, "main"))...)
}

func process(t *tool) func() (*bench.Contestant, error) { return execute(filepath.Join(t.dir, "main")) }

func execute(command ...string) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		name := filepath.Base(filepath.Dir(command[0]))
		return &bench.Contestant{Name: name, Close: func() {}, Run: func(n int) error {
			for range n {
				cmd := exec.Command(command[0], command[1:]...)
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("%w\n%s", err, out)
				}
			}
			return nil
		}}, nil
	}
}

// call calls a function of open.c in a domain.
func (x *set) call(what string) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		ctx := context.Background()
		c := x.config(true)
		c.Program, c.Stderr = filepath.Join(x.ours.dir, "libopen.so"), os.Stderr
		lib, err := halite.Load(ctx, c)
		if err != nil {
			return nil, err
		}
		f, err := lib.Func(what)
		if err != nil {
			lib.Close()
			return nil, err
		}
		return &bench.Contestant{Name: "halite", Close: func() { lib.Close() }, Run: func(n int) error {
			r, err := f.Call(ctx, halite.String("libsmall.so"), halite.Int(n))
			if err == nil && int(r.Int32()) != n {
				err = fmt.Errorf("%s of libsmall.so: %d of %d", what, r.Int32(), n)
			}
			return err
		}}, nil
	}
}

// loop has a native program do the same.
func loop(t *tool, what string) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		cmd := exec.Command(filepath.Join(t.dir, "open"), filepath.Join(t.dir, "libsmall.so"))
		return bench.Piped(t.name, what, cmd, func(answer string, n int) bool { return answer == fmt.Sprint(n) })
	}
}
