package ports

import (
	"context"
	"os"
	"path/filepath"
)

// Dash builds Debian's shell: bin/dash, and bin/sh as a link to it. It is what
// system() and popen() of a domain need as /bin/sh.
func Dash(ctx context.Context, o Options) (string, error) {
	return dash(Sandbox).ensure(ctx, o)
}

// dash is the recipe. Line editing is left out, as in Debian.
func dash(c Compiler) *port { return recipe("dash", "dash.go", "dash", c, buildDash) }

func buildDash(j *job) error {
	// The configure script and Makefile.in in the package are older than Debian's
	// patches, and want the autotools to be made anew; what they lack is one file.
	// Tables are made by programs that run while building.
	env := []string{"ACLOCAL=:", "AUTOCONF=:", "AUTOMAKE=:", "AUTOHEADER=:", "CC_FOR_BUILD=gcc"}
	if err := j.configure(env, "--without-libedit", "--disable-static"); err != nil {
		return err
	}
	if err := j.make("-C", "src", "priv.o"); err != nil {
		return err
	}
	if err := j.make("dash_LDADD=builtins.o init.o nodes.o signames.o syntax.o priv.o"); err != nil {
		return err
	}
	if err := j.put("bin", 0o755, filepath.Join(j.src, "src", "dash")); err != nil {
		return err
	}
	return os.Symlink("dash", filepath.Join(j.install, "bin", "sh"))
}
