package ports

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

// Main is `halite port`.
func Main(args []string) int {
	flags := flag.NewFlagSet("halite port", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `usage: halite port [options] lua|lpeg|dash|python|LIBRARY

Builds a program for the sandbox from its Debian source package, unless that
has been done, and prints the directory it is installed in. The libraries are
those that CPython's extension modules need: bzip2, expat, libedit, libffi,
ncurses, openssl, sqlite, xz, zlib.

  halite run --dir $(halite port lua):/usr:ro $(halite port lua)/bin/lua -v

options:
`)
		flags.PrintDefaults()
	}
	var o Options
	flags.BoolVar(&o.Force, "force", false, "build again")
	flags.IntVar(&o.Jobs, "j", 0, "number of parallel jobs (default: the number of processors)")
	native := flags.String("native", "", "build natively with this `compiler` (gcc or musl-gcc), for comparison")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o.Log = os.Stderr
	dir, err := build(ctx, flags.Arg(0), Compiler(*native), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "halite port:", err)
		return 1
	}
	fmt.Println(dir)
	return 0
}

// build finds the recipe; native is the empty string for the sandbox.
func build(ctx context.Context, name string, native Compiler, o Options) (string, error) {
	c := Sandbox
	if native != "" {
		c = native
		if c != GCC && c != MuslGCC {
			return "", fmt.Errorf("-native %s: gcc and musl-gcc are the native compilers", c)
		}
		if _, err := toolPath(c); err != nil {
			return "", err
		}
		if name == "lpeg" || name != "lua" && c != MuslGCC {
			return "", fmt.Errorf("%s is not built with %s: gcc and musl-gcc build lua, musl-gcc also dash, python and the libraries", name, c)
		}
	}
	switch {
	case name == "lua" && c != Sandbox:
		return NativeLua(ctx, c, o)
	case name == "lua":
		return Lua(ctx, o)
	case name == "lpeg":
		return Lpeg(ctx, o)
	case name == "dash":
		return dash(c).ensure(ctx, o)
	case name == "python":
		return python(c).ensure(ctx, o)
	case name == "libpng":
		return png(c).ensure(ctx, o)
	case libraries[name] != nil:
		return libraries[name](c).ensure(ctx, o)
	}
	return "", fmt.Errorf("no recipe for %q; there are lua, lpeg, dash, python and the libraries bzip2, expat, libedit, libffi, libpng, ncurses, openssl, sqlite, xz, zlib", name)
}

// programs are those of installed ports that have a name of their own.
var programs = map[string]func(Compiler) *port{
	"lua": lua, "dash": dash, "sh": dash, "python": python, "python3": python, "python3.11": python,
}

// Find returns where the port that a program belongs to is installed, and the
// program's file there. known tells whether there is such a port at all;
// when it is known and dir is empty it has not been built.
func Find(program string) (dir, file string, known bool) {
	recipe := programs[program]
	if recipe == nil {
		return "", "", false
	}
	dir, ok := recipe(Sandbox).installed()
	if !ok {
		return "", "", true
	}
	if program == "python" {
		program = "python3.11"
	}
	return dir, filepath.Join(dir, "bin", program), true
}

// PortOf is the name under which `halite port` builds the port of a program.
func PortOf(program string) string {
	if program == "sh" {
		return "dash"
	}
	name, _, _ := strings.Cut(program, "3")
	return name
}

// NativePython builds the same CPython with musl-gcc, to compare with.
func NativePython(ctx context.Context, o Options) (string, error) {
	if _, err := toolPath(MuslGCC); err != nil {
		return "", err
	}
	return python(MuslGCC).ensure(ctx, o)
}
