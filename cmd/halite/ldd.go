package main

import (
	"fmt"
	"os"

	"github.com/halite-run/halite"
)

func lddMain(args []string) int {
	f := newFlags("ldd", "FILE...",
		"Shows which shared libraries programs and libraries need, where they are found, and\nwhat is missing: libraries, versions, symbols. Nothing is run.\nExit status: 0 when everything is found.",
		"halite ldd --lib ./lib ./lua")
	var where placement
	where.register(f)
	versions := f.Bool("v", false, "show which symbol versions are needed of whom")
	if code := parse(f, args); code >= 0 {
		return code
	}
	if f.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "halite ldd: no file named; see halite ldd --help")
		return 2
	}
	status := 0
	for _, name := range f.Args() {
		c := halite.Config{Program: name}
		if err := where.apply(&c); err != nil {
			return fail("ldd", err)
		}
		closure, err := halite.Libraries(c)
		if err != nil {
			status = fail("ldd", err)
			continue
		}
		if f.NArg() > 1 {
			fmt.Printf("%s:\n", name)
		}
		fmt.Print(closure)
		if *versions {
			fmt.Print(closure.VersionReport())
		}
		if !closure.OK() {
			status = 1
		}
	}
	return status
}
