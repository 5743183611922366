package ports

import (
	"os"
	"path/filepath"
)

func ncurses(c Compiler) *port { return recipe("ncurses", "ncurses.go", "ncurses", c, buildNcurses) }
func libedit(c Compiler) *port {
	return recipe("libedit", "ncurses.go", "libedit", c, buildLibedit, ncurses)
}

// terminals are those that ncurses knows without a database.
const terminals = "ansi,dumb,linux,rxvt,screen,screen-256color,tmux,tmux-256color,vt100,vt220,xterm,xterm-256color,xterm-color"

func buildNcurses(j *job) error {
	err := j.configure([]string{"BUILD_CC=gcc"}, "--with-shared", "--without-normal", "--without-debug", "--without-cxx", "--without-cxx-binding",
		"--without-ada", "--without-manpages", "--without-progs", "--without-tests", "--without-gpm", "--enable-widec", "--enable-overwrite",
		"--with-build-cc=gcc", "--with-fallbacks="+terminals, "--with-tic-path=/usr/bin/tic", "--with-infocmp-path=/usr/bin/infocmp",
		"--disable-db-install", "--with-default-terminfo-dir=/usr/share/terminfo", "--with-terminfo-dirs=/etc/terminfo:/lib/terminfo:/usr/share/terminfo",
		"--disable-stripping", "--without-pkg-config", "--disable-root-environ")
	if err != nil {
		return err
	}
	if err := j.make(); err != nil {
		return err
	}
	if err := j.stage("install.libs", "install.includes"); err != nil {
		return err
	}
	// Programs that ask for the library without wide characters get this one.
	return os.Symlink("libncursesw.so", filepath.Join(j.install, "lib", "libncurses.so"))
}

func buildLibedit(j *job) error {
	needed, err := j.merged()
	if err != nil {
		return err
	}
	// The package's files have the times of their unpacking: nothing is to be
	// generated again.
	if err := j.run(j.src, nil, "sh", "-c", "touch aclocal.m4 && sleep 0.1 && touch configure config.h.in && find . -name Makefile.in -exec touch {} +"); err != nil {
		return err
	}
	// musl's wide characters are Unicode, but it does not say so.
	err = j.configure([]string{"CFLAGS=" + optimize + " -D__STDC_ISO_10646__=201103L -I" + needed + "/include", "LDFLAGS=-L" + needed + "/lib"},
		"--disable-static", "--disable-examples")
	if err != nil {
		return err
	}
	if err := j.make(); err != nil {
		return err
	}
	return j.stage()
}
