package ports

import "path/filepath"

func sqlite(c Compiler) *port { return recipe("sqlite", "sqlite.go", "sqlite3", c, buildSqlite) }

func buildSqlite(j *job) error {
	// The options of Debian's package that change what a program can do.
	flags := optimize + " -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_FTS3_PARENTHESIS -DSQLITE_ENABLE_RTREE=1" +
		" -DSQLITE_ENABLE_UNLOCK_NOTIFY -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_LOAD_EXTENSION -DSQLITE_THREADSAFE=1" +
		" -DSQLITE_USE_URI=1 -DSQLITE_MAX_VARIABLE_NUMBER=250000"
	// Debian's makefile has a parser generator for the machine that builds, as
	// soon as it is told that it is another one.
	env := []string{"CFLAGS=" + flags, "BUILD_CC=gcc", "config_BUILD_CC=gcc", "config_TARGET_CFLAGS=" + flags, "CROSS_BUILDING=yes"}
	err := j.configure(env, "--disable-static", "--disable-tcl", "--disable-readline", "--enable-fts4", "--enable-fts5", "--enable-session")
	if err != nil {
		return err
	}
	if err := j.make("CROSS_BUILDING=yes", "libsqlite3.la", "sqlite3.h"); err != nil {
		return err
	}
	dest := filepath.Join(j.work, "dest", "usr")
	script := `set -e; mkdir -p "$1/lib" "$1/include"; cp -a .libs/libsqlite3.so* "$1/lib/"; cp sqlite3.h src/sqlite3ext.h "$1/include/"`
	if err := j.run(j.src, nil, "sh", "-c", script, "sh", dest); err != nil {
		return err
	}
	return j.takeLibraries(dest)
}
